"""Sizes, taken apart by their names."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.azure_disk.vm_size import VmSize


@pytest.mark.parametrize(
    ("name", "family", "features", "version"),
    [
        ("Standard_D2s_v3", "D", "s", 3),
        ("standard_a2m_v2", "A", "m", 2),
        ("Standard_E96-24ads_v5", "E", "ads", 5),
        ("Standard_NC24ads_A100_v4", "NC", "ads", 4),
        ("Standard_DS2_v2", "DS", "", 2),
        ("Standard_M128ms", "M", "ms", 1),
    ],
)
def test_sizes_are_taken_apart(name: str, family: str, features: str, version: int) -> None:
    size = VmSize.parse(name)
    assert size == VmSize("standard", family, features, version)
    assert size.local_disk == ("d" in features)


@given(st.text())
def test_any_text_is_a_size_or_none(name: str) -> None:
    VmSize.parse(name)
