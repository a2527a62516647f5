"""Machines and their disk encryption extensions, read from JSON."""

from __future__ import annotations

from typing import Any

import pytest

from keyhier.placement import UNKNOWN, check_placement
from keyhier.placement.model import (
    Ade,
    System,
    VirtualMachine,
    Volumes,
)
from tests.placement.documents import EXTENSION, MACHINE, VAULT, flattened, read
from tests.placement.scenes import (
    DATA_DISK_ID,
    OS_DISK_ID,
    SET_ID,
    TENANT,
    VM_ID,
)


@pytest.mark.parametrize("document", [MACHINE, flattened(MACHINE)], ids=["ARM", "az"])
def test_a_machine_is_read(document: Any) -> None:
    (machine,) = read(document)
    assert isinstance(machine, VirtualMachine)
    assert (machine.id, machine.placement.region) == (VM_ID, "eastus2")
    assert machine.placement.tenant == TENANT
    assert (machine.system, machine.size, machine.generation) == (
        System.LINUX,
        "Standard_D4s_v5",
        2,
    )
    assert machine.image == ("Canonical", "ubuntu", "server")
    assert machine.host_encryption is True
    assert isinstance(machine.disks, tuple)
    os_disk, data = machine.disks
    assert (os_disk.id, os_disk.set_id, os_disk.is_os) == (OS_DISK_ID, None, True)
    assert (data.id, data.set_id, data.is_os) == (DATA_DISK_ID, SET_ID, False)
    assert os_disk.ephemeral is False
    assert machine.ade == Ade(enabled=False, ever=False, vault=None, kek=None)


def test_an_extension_tells_its_machine_of_encryption() -> None:
    for extension in (EXTENSION, {**EXTENSION, "id": f"{VM_ID}/extensions/ade"}):
        (machine,) = read(extension, MACHINE)
        assert isinstance(machine, VirtualMachine)
        assert machine.ade.enabled is True
        assert machine.ade.volumes is Volumes.ALL
        assert machine.ade.kek is None
        assert machine.ade.vault not in {None, UNKNOWN}


def test_an_extension_without_its_machine_is_not_lost() -> None:
    (machine,) = read({**EXTENSION, "location": "westus"})
    assert isinstance(machine, VirtualMachine)
    assert (machine.name, machine.disks, machine.ade.enabled) == ("web-01", UNKNOWN, True)
    report = check_placement(read({**EXTENSION, "location": "westus"}, VAULT))
    assert "ade-vault-region" in {each.rule.id for each in report.errors}
    (machine,) = read({**EXTENSION, "id": f"{VM_ID}/extensions/ade"})
    assert isinstance(machine, VirtualMachine)
    assert machine.id == VM_ID


def test_an_extension_of_nobody_knows_whom_may_be_any_machines() -> None:
    nameless = {**EXTENSION, "name": "[concat(parameters('vm'), '/ade')]"}
    machine, other = read(MACHINE, nameless)
    assert isinstance(machine, VirtualMachine)
    assert isinstance(other, VirtualMachine)
    assert machine.ade == Ade()
    assert (other.name, other.ade.enabled) == (UNKNOWN, True)


def test_extensions_that_contradict_each_other_leave_it_open() -> None:
    settings = {"EncryptionOperation": "DisableEncryption", "VolumeType": "All"}
    off = {**EXTENSION, "properties": {"type": "AzureDiskEncryption", "settings": settings}}
    for documents in ((EXTENSION, off), (off, EXTENSION)):
        (machine,) = read(MACHINE, *documents)
        assert isinstance(machine, VirtualMachine)
        assert machine.ade == Ade(ever=True)


def test_an_extension_that_names_no_vault_is_not_passed() -> None:
    settings = {"EncryptionOperation": "EnableEncryption", "VolumeType": "All"}
    on = {**EXTENSION, "properties": {"type": "AzureDiskEncryption", "settings": settings}}
    report = check_placement(read(MACHINE, on))
    assert "ade-vault-region" in {each.rule.id for each in report.not_checked}


def test_an_extension_inside_its_machine_is_read() -> None:
    (machine,) = read({**MACHINE, "resources": [EXTENSION]})
    assert isinstance(machine, VirtualMachine)
    assert machine.ade.enabled is True


def test_another_extension_says_nothing() -> None:
    other = {**EXTENSION, "properties": {"type": "CustomScript"}}
    (machine,) = read(MACHINE, other)
    assert isinstance(machine, VirtualMachine)
    assert machine.ade.enabled is False


@pytest.mark.parametrize("left_out", [None, "EncryptionOperation", "KeyVaultURL", "VolumeType"])
def test_an_extension_whose_type_is_not_known_is_told_by_its_settings(left_out: str | None) -> None:
    properties = EXTENSION["properties"]
    settings = {name: value for name, value in properties["settings"].items() if name != left_out}
    unsure = {**properties, "type": "[parameters('type')]", "settings": settings}
    (machine,) = read({**EXTENSION, "properties": unsure}, MACHINE)
    assert isinstance(machine, VirtualMachine)
    assert machine.ade.enabled is (UNKNOWN if left_out == "EncryptionOperation" else True)
    assert machine.ade.was_ever is True


def test_disabling_says_that_it_was_enabled() -> None:
    settings = {"EncryptionOperation": "DisableEncryption", "VolumeType": 2}
    extension = {"type": "AzureDiskEncryption", "settings": settings}
    (machine,) = read({**MACHINE, "resources": [{"properties": extension}]})
    assert isinstance(machine, VirtualMachine)
    assert (machine.ade.enabled, machine.ade.was_ever) == (False, True)
    assert machine.ade.volumes is Volumes.ALL


def test_a_part_of_a_machine_leaves_the_rest_unknown() -> None:
    update = {
        "type": "Microsoft.Compute/virtualMachines",
        "name": "web-01",
        "properties": {"storageProfile": {"osDisk": {"encryptionSettings": {"enabled": False}}}},
    }
    (machine,) = read(update)
    assert isinstance(machine, VirtualMachine)
    assert machine.host_encryption is UNKNOWN
    assert machine.disks is UNKNOWN
    assert machine.ade.enabled is UNKNOWN


@pytest.mark.parametrize(
    ("view", "enabled"),
    [
        ({"statuses": [{"code": "EncryptionState/encrypted"}]}, True),
        ({"statuses": [{"code": "EncryptionState/notEncrypted"}]}, False),
        ({"encryptionSettings": [{"enabled": True}]}, True),
        ({"statuses": [{"code": "ProvisioningState/succeeded"}]}, None),
        ({"statuses": "[variables('s')]"}, None),
        ({"encryptionSettings": "[variables('s')]"}, None),
    ],
)
def test_an_instance_view_tells_of_each_disk(view: Any, enabled: bool | None) -> None:
    properties = {
        **MACHINE["properties"],
        "securityProfile": {},
        "instanceView": {"hyperVGeneration": "V1", "disks": [{"name": "os", **view}]},
    }
    (machine,) = read({**MACHINE, "properties": properties})
    assert isinstance(machine, VirtualMachine)
    assert machine.generation == 1
    assert isinstance(machine.disks, tuple)
    ade = machine.disks[0].ade
    assert (None if ade is None else ade.enabled) == enabled


def with_storage(**changes: Any) -> VirtualMachine:
    storage = {**MACHINE["properties"]["storageProfile"], **changes}
    document = {**MACHINE, "properties": {**MACHINE["properties"], "storageProfile": storage}}
    (machine,) = read(document)
    assert isinstance(machine, VirtualMachine)
    return machine


def test_a_machine_with_an_instance_view_is_there_and_may_have_a_past() -> None:
    (machine,) = read({**MACHINE, "properties": {**MACHINE["properties"], "instanceView": {}}})
    assert isinstance(machine, VirtualMachine)
    assert (machine.is_new, machine.ade.ever) == (False, UNKNOWN)


def test_expressions_for_disks_and_images_leave_them_unknown() -> None:
    assert with_storage(dataDisks="[variables('disks')]").disks is UNKNOWN
    assert with_storage(imageReference="[variables('image')]").image is UNKNOWN
    assert with_storage(imageReference={"id": "/a/gallery/image"}).image is None


def test_an_attached_disk_without_an_id_is_one_that_nobody_knows() -> None:
    machine = with_storage(osDisk={"createOption": "Attach"}, dataDisks=[])
    assert machine.system is UNKNOWN
    assert isinstance(machine.disks, tuple)
    assert machine.disks[0].id is UNKNOWN
