"""Models of machines, disks and sets: built, valid by ARM's schemas, parsed back."""

from __future__ import annotations

import argparse
import json
import shlex
from pathlib import Path
from typing import Any

import attrs
import pytest
from referencing import Registry

from keyhier.azure_disk.addresses import KekAddress
from keyhier.azure_disk.az import az_disk_update, az_named, az_set_create
from keyhier.azure_disk.disk_model import DiskCollection, SecretAddress, VolumeSettings
from keyhier.azure_disk.set_resource import (
    EncryptionType,
    SetResource,
    SetState,
    disk_reference,
    machine_reference,
)
from keyhier.azure_disk.settings import Generation
from keyhier.errors import InvalidInputError, UnsupportedError
from keyhier.identifiers import KeyId
from keyhier.placement.model import Disk, EncryptionSetResource, VirtualMachine
from keyhier.placement.resources import read_resources
from keyhier.placement.unknown import Unknown
from keyhier.stored_secret import SecretId
from tests.azure_disk import arm_schemas
from tests.placement.scenes import (
    CMK_URL,
    DATA_DISK_ID,
    KEK_URL,
    KEK_VAULT_ID,
    OTHER_SUBSCRIPTION,
    SET_ID,
    VAULT_ID,
    VM_ID,
    arm_id,
)

SECRET_URL = (
    "https://contoso-kv.vault.azure.net/secrets/CD4623DA-6E6D-4193-9971-F5957CB4A20D/"
    "e65125c5b90144ab969fea781d107994"
)
SECRET = SecretAddress(SecretId.parse(SECRET_URL), VAULT_ID)
KEK = KekAddress(KeyId.parse(KEK_URL), vault=KEK_VAULT_ID)
IDENTITY = arm_id("Microsoft.ManagedIdentity/userAssignedIdentities", "disks")
PLAIN, WRAPPED = VolumeSettings(SECRET), VolumeSettings(SECRET, KEK)
SET = SetResource(id=SET_ID, location="eastus2", key=KeyId.parse(CMK_URL), vault=VAULT_ID)
DISKS = "2026-03-02/Microsoft.Compute.json"
MACHINES = "2026-03-01/Microsoft.Compute.json"


@pytest.fixture(scope="module")
def schemas(material: Path) -> Registry[Any]:
    return arm_schemas.registry(material / "azure" / "arm-schemas")


def disk(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "Microsoft.Compute/disks",
        "apiVersion": "2026-03-02",
        "name": "data",
        "location": "eastus2",
        "properties": {"creationData": {"createOption": "Empty"}, **properties},
    }


@pytest.mark.parametrize("volume", [VolumeSettings(), PLAIN, WRAPPED])
def test_the_model_of_a_machine_is_valid_and_read_back(
    volume: VolumeSettings, schemas: Registry[Any]
) -> None:
    model = volume.as_machine_model()
    arm_schemas.validate(schemas, MACHINES, "definitions/DiskEncryptionSettings", model)
    assert VolumeSettings.parse(json.loads(json.dumps(model))) == volume
    assert model["enabled"] is (volume.secret is not None)


@pytest.mark.parametrize(
    "collection",
    [
        DiskCollection(Generation.SINGLE_PASS, (WRAPPED,)),
        DiskCollection(Generation.DUAL_PASS, (PLAIN, PLAIN)),
        DiskCollection(Generation.SINGLE_PASS),
    ],
)
def test_the_collection_of_a_disk_is_valid_and_read_back(
    collection: DiskCollection, schemas: Registry[Any]
) -> None:
    document = disk(collection.as_properties())
    arm_schemas.validate(schemas, DISKS, "resourceDefinitions/disks", document)
    content = document["properties"]["encryptionSettingsCollection"]
    assert DiskCollection.parse(content) == collection
    (read,) = read_resources([(document, None)])
    assert isinstance(read, Disk)
    assert (read.ade.enabled, read.ade.was_ever) == (bool(collection.volumes), True)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"enabled": True, "encryptionSettingsVersion": "2.0"}, "1.0 or 1.1, not '2.0'"),
        ({"enabled": True, "encryptionSettingsVersion": "1.1"}, "what is enabled names secrets"),
        (
            {
                "enabled": True,
                "encryptionSettingsVersion": "1.1",
                "encryptionSettings": "[variables('s')]",
            },
            "and no expression",
        ),
        (
            {"enabled": "[parameters('e')]", "encryptionSettingsVersion": "1.1"},
            "and no expression",
        ),
        (
            {
                "enabled": True,
                "encryptionSettingsVersion": "1.1",
                "encryptionSettings": [{"diskEncryptionKey": {"secretUrl": SECRET_URL}}],
            },
            "the id of a vault belongs here",
        ),
        (
            {
                "enabled": True,
                "encryptionSettingsVersion": "1.1",
                "encryptionSettings": [{}],
            },
            "names its secret",
        ),
    ],
)
def test_a_collection_that_contradicts_itself_is_refused(
    content: dict[str, Any], told: str
) -> None:
    with pytest.raises(InvalidInputError, match=told):
        DiskCollection.parse(content)


def test_secrets_and_keys_are_of_the_vaults_that_are_named() -> None:
    with pytest.raises(InvalidInputError, match="without its version"):
        SecretAddress(SECRET.secret.versionless, VAULT_ID)
    with pytest.raises(InvalidInputError, match="names contoso-kek and its URL names contoso-kv"):
        SecretAddress(SECRET.secret, KEK_VAULT_ID)
    with pytest.raises(InvalidInputError, match="wraps a secret, and none is named"):
        VolumeSettings(None, KEK)
    with pytest.raises(InvalidInputError, match="names the ARM id of the key's vault"):
        VolumeSettings(SECRET, attrs.evolve(KEK, vault=None))


SETS = [
    SET,
    attrs.evolve(
        SET, follow_latest=True, encryption_type=EncryptionType.PLATFORM_AND_CUSTOMER_KEYS
    ),
    attrs.evolve(SET, vault=None, user_identities=(IDENTITY,), system_identity=False),
    attrs.evolve(SET, vault=None, user_identities=(IDENTITY,), federated_client_id="00000000-0000"),
    attrs.evolve(SET, encryption_type=EncryptionType.CONFIDENTIAL_VM),
]


@pytest.mark.parametrize("each", SETS)
def test_a_set_is_valid_and_read_back(each: SetResource, schemas: Registry[Any]) -> None:
    resource = each.as_resource()
    arm_schemas.validate(schemas, DISKS, "resourceDefinitions/diskEncryptionSets", resource)
    assert SetResource.parse({**json.loads(json.dumps(resource)), "id": str(SET_ID)}) == each
    (read,) = read_resources([(resource, None)])
    assert isinstance(read, EncryptionSetResource)
    assert read.federated_client is (each.federated_client_id is not None)
    assert read.user_assigned is bool(each.user_identities)


def elsewhere() -> Any:
    return attrs.evolve(VAULT_ID, subscription=OTHER_SUBSCRIPTION)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"key": SET.key.versionless}, "with its version"),
        ({"vault": elsewhere()}, "in another subscription is not named"),
        ({"vault": KEK_VAULT_ID}, "names contoso-kek"),
        ({"id": VM_ID}, "is no id of an encryption set"),
        ({"id": attrs.evolve(SET_ID, names=("a.b",))}, "is no id of an encryption set"),
        ({"federated_client_id": "x"}, "needs a user-assigned identity"),
        ({"system_identity": False}, "needs an identity"),
    ],
)
def test_conflicts_of_a_set_are_errors(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        attrs.evolve(SET, **changes)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("id", None, "/id: the id of the set belongs here"),
        ("properties/encryptionType", "Rot13", "/properties/encryptionType: one of Encryption"),
        ("identity/userAssignedIdentities", [], "an object belongs here"),
        ("properties/activeKey/keyUrl", "[x()]", "and no expression"),
    ],
)
def test_a_malformed_set_is_refused_with_the_place(place: str, value: object, told: str) -> None:
    document: Any = {**SETS[3].as_resource(), "id": str(SET_ID)}
    *path, last = place.split("/")
    target = document
    for name in path:
        target = target[name]
    target[last] = value
    with pytest.raises(InvalidInputError, match=told):
        SetResource.parse(document)


def test_the_word_none_is_no_client() -> None:
    document: Any = {**SET.as_resource(), "id": str(SET_ID)}
    document["properties"]["federatedClientId"] = "None"
    assert SetResource.parse(document).federated_client_id is None


@pytest.mark.parametrize("kind", EncryptionType)
def test_references_are_valid(kind: EncryptionType, schemas: Registry[Any]) -> None:
    document = disk(disk_reference(SET_ID, kind))
    arm_schemas.validate(schemas, DISKS, "resourceDefinitions/disks", document)
    (read,) = read_resources([(document, None)])
    assert isinstance(read, Disk)
    assert read.set_id == SET_ID
    managed = machine_reference(SET_ID, kind)
    arm_schemas.validate(schemas, MACHINES, "definitions/ManagedDiskParameters", managed)
    os_disk = {"createOption": "FromImage", "managedDisk": managed}
    machine = {
        "type": "Microsoft.Compute/virtualMachines",
        "name": "web-01",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
            "storageProfile": {"osDisk": os_disk},
        },
    }
    (again,) = read_resources([(machine, None)])
    assert isinstance(again, VirtualMachine)
    assert not isinstance(again.disks, Unknown)
    assert [each.set_id for each in again.disks] == [SET_ID]


def test_commands_of_sets_and_disks() -> None:
    words = shlex.split(az_set_create(SETS[3]))
    assert words[:3] == ["az", "disk-encryption-set", "create"]
    assert words[words.index("--key-url") + 1] == CMK_URL
    assert "--mi-system-assigned" in words
    assert words[words.index("--mi-user-assigned") + 1] == str(IDENTITY)
    assert words[-2:] == ["--federated-client-id", "00000000-0000"]
    words = shlex.split(az_set_create(SET))
    assert words[words.index("--source-vault") + 1] == str(VAULT_ID)
    assert words[words.index("--enable-auto-key-rotation") + 1] == "false"
    assert "--mi-user-assigned" not in words
    assert "--mi-system-assigned" not in shlex.split(az_set_create(SETS[2]))
    line = az_disk_update(DATA_DISK_ID, SET_ID, EncryptionType.CUSTOMER_KEY)
    assert line.endswith(f"--disk-encryption-set {SET_ID}")
    with pytest.raises(UnsupportedError, match="when it is made"):
        az_disk_update(DATA_DISK_ID, SET_ID, EncryptionType.CONFIDENTIAL_VM)


def test_the_official_examples_are_no_valid_sets_but_tell_their_state(material: Path) -> None:
    folder = material / "azure" / "rest-api-specs-examples"
    failed = json.loads(
        (folder / "DiskEncryptionSet_Get_WithAutoKeyRotationError.json").read_text()
    )["responses"]["200"]["body"]
    state = SetState.parse(failed)
    assert state.rotation_error
    assert state.rotation_error[0] == "ManagedServiceIdentityNotFound"
    assert (state.provisioning, state.rotating) == ("Succeeded", False)
    with pytest.raises(InvalidInputError):
        SetResource.parse(failed)
    updated = json.loads(
        (folder / "DiskEncryptionSet_Update_WithRotationToLatestKeyVersionEnabled.json").read_text()
    )["responses"]["200"]["body"]
    assert SetState.parse(updated).last_rotation == "2021-04-01T04:41:35.079872+00:00"


def test_a_rotation_that_runs_is_seen() -> None:
    state = SetState.parse({"properties": {"previousKeys": [{"keyUrl": CMK_URL}]}})
    assert state.rotating
    assert state.previous_keys == (CMK_URL,)
    assert state.rotation_error is None


@pytest.mark.parametrize("name", ["-", "-set", "--location"])
def test_a_name_that_begins_with_a_hyphen_is_taken_for_no_option(name: str) -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    for option in ("--subscription", "--resource-group", "--name", "--vm-name"):
        parser.add_argument(option)
    identity = attrs.evolve(SET_ID, resource_group=name, names=(name,))
    found = parser.parse_args(az_named(identity))
    assert (found.resource_group, found.name) == (name, name)
    found = parser.parse_args(az_named(SET_ID, name, "--vm-name"))
    assert (found.resource_group, found.vm_name) == (SET_ID.resource_group, name)
