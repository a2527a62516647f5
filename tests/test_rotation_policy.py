"""Rotation policies, and vaults that have none."""

from __future__ import annotations

import pytest

import keyhier
from keyhier import RotationPolicy
from keyhier.errors import InvalidInputError, UnsupportedError


@pytest.mark.parametrize("duration", ["P90D", "P2Y", "P18M", "P1Y6M", "P1Y2M3D"])
def test_durations_are_those_of_iso_8601(duration: str) -> None:
    assert RotationPolicy(rotate_after=duration).rotate_after == duration


@pytest.mark.parametrize(
    "duration", ["", "P", "90D", "P90", "PT5M", "P-1D", "P1.5D", "P٣D", "P1D\n"]
)
def test_another_duration_is_refused(duration: str) -> None:
    with pytest.raises(InvalidInputError, match="expires_after is a duration"):
        RotationPolicy(expires_after=duration)


def test_a_key_is_rotated_in_one_way_only() -> None:
    with pytest.raises(InvalidInputError, match="not both"):
        RotationPolicy(rotate_after="P90D", rotate_before_expiry="P30D", expires_after="P1Y")


def test_what_is_rotated_before_it_expires_has_to_expire() -> None:
    with pytest.raises(InvalidInputError, match="has to expire"):
        RotationPolicy(rotate_before_expiry="P30D")


def test_a_vault_that_rotates_nothing_by_itself_says_so() -> None:
    with keyhier.open("memory:") as vault:
        key = vault.create_key("kek", "AES-256")
        with pytest.raises(UnsupportedError, match="rotate keys by itself"):
            key.rotation_policy()
        with pytest.raises(UnsupportedError, match="rotate keys by itself"):
            key.set_rotation_policy(RotationPolicy(rotate_after="P90D"))
