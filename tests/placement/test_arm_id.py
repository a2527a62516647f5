"""Ids of resources: read, compared without case, refused with what is missing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError
from keyhier.placement import ArmId

DISK = "/subscriptions/S/resourceGroups/Rg/providers/Microsoft.Compute/disks/Data-1"


def test_an_id_is_taken_apart_and_put_together() -> None:
    identity = ArmId.parse(DISK)
    assert (identity.subscription, identity.resource_group, identity.name) == ("S", "Rg", "Data-1")
    assert identity.is_a("microsoft.compute/DISKS")
    assert str(identity) == DISK
    assert str(ArmId.parse(DISK + "/")) == DISK


def test_ids_are_compared_without_case() -> None:
    assert ArmId.parse(DISK.upper()) == ArmId.parse(DISK.lower())
    assert hash(ArmId.parse(DISK.upper())) == hash(ArmId.parse(DISK.lower()))
    assert ArmId.parse(DISK) != ArmId.parse(DISK + "2")


def test_a_resource_inside_another_has_two_names() -> None:
    identity = ArmId.parse(
        "/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm"
        "/extensions/ade"
    )
    assert identity.type == "Microsoft.Compute/virtualMachines/extensions"
    assert identity.names == ("vm", "ade")
    assert ArmId.parse(str(identity)) == identity


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "does not begin with /subscriptions"),
        ("disks/d", "does not begin with /subscriptions"),
        ("/tenants/t", "'subscriptions' is missing"),
        ("/subscriptions/", "'subscriptions'"),
        ("/subscriptions/s", "'resourceGroups' is missing"),
        ("/subscriptions/s/resourceGroups/", "nothing stands behind 'resourceGroups'"),
        ("/subscriptions/s/resourceGroups/g", "'providers' is missing"),
        ("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute", "in pairs"),
        ("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute/disks", "in pairs"),
        ("/subscriptions/s/resourceGroups/g/providers/Microsoft.Compute//d", "is empty"),
        ("/" * 3000, "at most 2048 characters"),
    ],
)
def test_a_part_that_is_missing_is_named(text: str, what: str) -> None:
    with pytest.raises(InvalidInputError, match=what):
        ArmId.parse(text)


@given(st.text() | st.lists(st.text(), max_size=12).map("/".join))
def test_any_text_is_an_id_or_an_error(text: str) -> None:
    try:
        identity = ArmId.parse("/" + text)
    except InvalidInputError:
        return
    assert ArmId.parse(str(identity)) == identity
