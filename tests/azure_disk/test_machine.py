"""Machines: what documents of ARM tell of them."""

from __future__ import annotations

from typing import Any

import attrs

from keyhier.azure_disk.machine import Image, Machine, disks_by_id
from keyhier.placement import UNKNOWN
from keyhier.placement.model import AttachedDisk, Disk, VirtualMachine
from tests.placement import scenes


def test_a_machine_of_a_document_tells_what_it_can() -> None:
    one = Machine.of(
        attrs.evolve(
            scenes.VM,
            image=("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
            disks=(
                AttachedDisk(id=None, is_os=True, set_id=None, managed=True, ephemeral=False),
                AttachedDisk(id=None, set_id=scenes.SET_ID, storage_type="UltraSSD_LRS"),
            ),
        )
    )
    assert (one.release, one.image, one.family) == ("ubuntu 22.04", Image.GALLERY, "D")
    assert (one.cmk, one.ultra_disk, one.premium_v2) == (True, True, UNKNOWN)
    assert (one.managed_disks, one.ade, one.ade_ever) == (UNKNOWN, False, False)
    assert one.scenario is UNKNOWN


def test_a_machine_of_which_nothing_is_known_is_unknown() -> None:
    one = Machine.of(VirtualMachine())
    known = {
        field.name for field in attrs.fields(Machine) if getattr(one, field.name) is not UNKNOWN
    }
    assert known == {"classic", "scale_set"}


def test_a_disk_of_its_own_may_be_under_a_set() -> None:
    assert Machine.of(scenes.VM).cmk is UNKNOWN


def test_what_a_disks_own_document_tells_counts() -> None:
    attached = AttachedDisk(id=scenes.DATA_DISK_ID, set_id=None)
    one = attrs.evolve(scenes.VM, disks=(attached,))

    def told(**known: Any) -> Machine:
        return Machine.of(one, disks_by_id([scenes.VM, Disk(id=scenes.DATA_DISK_ID, **known)]))

    assert told(set_id=None).cmk is False
    assert told(set_id=scenes.SET_ID).cmk is True
    assert told().cmk is UNKNOWN
    assert told(storage_type="PremiumV2_LRS").premium_v2 is True
    assert told(storage_type="Premium_LRS").premium_v2 is False
    assert told().ultra_disk is UNKNOWN
