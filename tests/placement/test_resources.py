"""Resources read from JSON: as ARM stores them, as az prints them, of templates, of recordings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError
from keyhier.placement import UNKNOWN, check_placement
from keyhier.placement.model import (
    Disk,
    EncryptionSetResource,
    Origin,
    Snapshot,
    System,
    TemplateDeployment,
    VaultResource,
    VirtualMachine,
)
from keyhier.placement.resources import read_resources
from tests.placement.documents import EXTENSION, MACHINE, VAULT, read
from tests.placement.scenes import (
    CMK_URL,
    DATA_DISK_ID,
    SET_ID,
    SUBSCRIPTION,
    TENANT,
    VAULT_ID,
)


def test_expressions_of_a_template_are_unknown() -> None:
    document = {
        "type": "Microsoft.Compute/disks",
        "name": "[parameters('name')]",
        "location": "[resourceGroup().location]",
        "properties": {
            "creationData": "[variables('creation')]",
            "encryption": {"diskEncryptionSetId": "[parameters('set')]"},
        },
    }
    (disk,) = read(document)
    assert isinstance(disk, Disk)
    assert (disk.name, disk.placement.region, disk.set_id) == (UNKNOWN, UNKNOWN, UNKNOWN)


@pytest.mark.parametrize(
    ("properties", "enabled", "ever"),
    [
        ({"creationData": {"createOption": "Empty"}}, False, False),
        ({"creationData": {"createOption": "Copy"}}, False, UNKNOWN),
        ({"creationData": {"createOption": "Empty"}, "timeCreated": "2020"}, False, UNKNOWN),
        ({}, UNKNOWN, UNKNOWN),
        ({"encryptionSettingsCollection": {"enabled": True}}, True, True),
        (
            {
                "encryptionSettingsCollection": {
                    "enabled": False,
                    "encryptionSettingsVersion": "1.1",
                }
            },
            False,
            True,
        ),
    ],
)
def test_a_disk_tells_whether_it_was_encrypted(
    properties: Any, enabled: object, ever: object
) -> None:
    (disk,) = read({"type": "Microsoft.Compute/disks", "name": "d", "properties": properties})
    assert isinstance(disk, Disk)
    assert (disk.ade.enabled, disk.ade.was_ever) == (enabled, ever)


def test_settings_of_several_volumes_are_read() -> None:
    def element(vault: str) -> dict[str, Any]:
        return {
            "diskEncryptionKey": {
                "secretUrl": f"https://{vault}.vault.azure.net/secrets/s/1",
                "sourceVault": {"id": str(VAULT_ID).replace("contoso-kv", vault)},
            },
            "keyEncryptionKey": {
                "keyUrl": f"https://{vault}.vault.azure.net/keys/k/1",
                "sourceVault": {"id": str(VAULT_ID).replace("contoso-kv", vault)},
            },
        }

    def disk(*elements: dict[str, Any]) -> Disk:
        collection = {"enabled": True, "encryptionSettings": list(elements)}
        (read_disk,) = read(
            {
                "type": "Microsoft.Compute/disks",
                "properties": {"encryptionSettingsCollection": collection},
            }
        )
        assert isinstance(read_disk, Disk)
        return read_disk

    one = disk(element("a"), element("a"))
    assert one.ade.vault not in {None, UNKNOWN}
    assert one.ade.kek not in {None, UNKNOWN}
    assert disk(element("a"), element("b")).ade.vault is UNKNOWN


def test_a_set_is_read() -> None:
    document = {
        "id": str(SET_ID),
        "type": "Microsoft.Compute/diskEncryptionSets",
        "location": "eastus2",
        "identity": {"type": "SystemAssigned, UserAssigned", "tenantId": TENANT},
        "properties": {
            "activeKey": {"keyUrl": CMK_URL, "sourceVault": {"id": str(VAULT_ID)}},
            "federatedClientId": "None",
        },
    }
    (found,) = read(document)
    assert isinstance(found, EncryptionSetResource)
    assert (found.user_assigned, found.federated_client) == (True, False)
    assert found.key is not UNKNOWN
    assert found.key.vault.id == VAULT_ID


def test_a_vault_is_read_with_the_defaults_of_the_api() -> None:
    (vault,) = read(VAULT)
    assert isinstance(vault, VaultResource)
    assert (vault.for_disk_encryption, vault.purge_protection) == (True, False)
    assert vault.rbac is UNKNOWN
    (newer,) = read({**VAULT, "apiVersion": "2026-02-01"})
    (older,) = read({**VAULT, "apiVersion": "2023-07-01"})
    assert isinstance(newer, VaultResource)
    assert isinstance(older, VaultResource)
    assert (newer.rbac, older.rbac) == (True, False)
    (named,) = read({"type": "Microsoft.KeyVault/vaults", "name": "contoso-kv"})
    assert isinstance(named, VaultResource)
    assert named.for_disk_encryption is UNKNOWN


def test_a_snapshot_is_read() -> None:
    document = {
        "type": "Microsoft.Compute/snapshots",
        "name": "monday",
        "properties": {
            "incremental": "true",
            "creationData": {"createOption": "Copy", "sourceResourceId": str(DATA_DISK_ID)},
        },
    }
    (snapshot,) = read(document)
    assert isinstance(snapshot, Snapshot)
    assert (snapshot.incremental, snapshot.source_id) == (True, DATA_DISK_ID)
    (part,) = read({"type": "Microsoft.Compute/snapshots", "name": "monday"})
    assert isinstance(part, Snapshot)
    assert (part.incremental, part.source_id, part.set_id) == (UNKNOWN, UNKNOWN, UNKNOWN)


def test_other_types_are_left_out_and_origins_kept() -> None:
    origin = Origin("main.json", 3)
    resources = read_resources(
        [({"type": "Microsoft.Network/virtualNetworks"}, None), (VAULT, origin)]
    )
    assert [each.origin for each in resources] == [origin]


LONG = {"VolumeType": "all of them" * 20}


@pytest.mark.parametrize(
    ("document", "told"),
    [
        (7, "an object belongs here"),
        ({}, "a resource has a type"),
        ({"type": 7}, "/type: text belongs here, not 7"),
        ({**VAULT, "location": 7}, "/location: text belongs here"),
        ({**VAULT, "properties": []}, r"/properties: an object belongs here"),
        ({**VAULT, "id": "/subscriptions/x"}, "/id: .*'resourceGroups' is missing"),
        (
            {**VAULT, "properties": {"tenantId": TENANT, "enabledForDiskEncryption": 1}},
            "/properties/enabledForDiskEncryption: true or false belongs here, not 1",
        ),
        (
            {**MACHINE, "properties": {"storageProfile": {"dataDisks": "all of them" * 20}}},
            "/properties/storageProfile/dataDisks: a list belongs here, not a text",
        ),
        (
            {
                **MACHINE,
                "resources": [{"type": "AzureDiskEncryption", "settings": {"volumetype": 9}}],
            },
            "VolumeType is OS, Data or All, not 9",
        ),
        (
            {**EXTENSION, "properties": {"type": "AzureDiskEncryption", "settings": LONG}},
            "/properties/settings/VolumeType: a VolumeType is OS, Data or All, not 'all of.*…",
        ),
    ],
)
def test_what_is_malformed_is_named_with_its_place(document: Any, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        read(document)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["properties", "storageProfile", "osDisk", "id", "type", "encryption"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@given(
    st.sampled_from(
        [
            "Microsoft.Compute/virtualMachines",
            "Microsoft.Compute/disks",
            "Microsoft.Compute/diskEncryptionSets",
            "Microsoft.KeyVault/vaults",
        ]
    ),
    st.dictionaries(st.sampled_from(["id", "location", "properties", "identity", "sku"]), JSON),
)
def test_any_json_is_read_or_refused(kind: str, document: dict[str, Any]) -> None:
    try:
        resources = read({**document, "type": kind})
    except InvalidInputError:
        return
    check_placement(resources)


# Material of others


def test_a_recorded_enablement_is_read_and_checked(material: Path) -> None:
    recording = material / "azure" / "ade-recordings" / "net-CanEncrypt.json"
    entries = json.loads(recording.read_text(encoding="utf-8-sig"))["Entries"]
    documents: dict[str, Any] = {}
    for entry in entries:
        body = json.loads(entry["ResponseBody"] or "{}")
        if isinstance(body, dict) and "id" in body and "type" in body:
            documents[body["id"].casefold()] = body
        if "EncryptionState/encrypted" in entry["ResponseBody"]:
            documents[body["id"].casefold()] = body
    resources = read(*documents.values())
    machines = [each for each in resources if isinstance(each, VirtualMachine)]
    assert {machine.system for machine in machines} == {System.LINUX, System.WINDOWS}
    report = check_placement(resources)
    assert report.kept["ade-vault-region"] >= 1
    assert {each.rule.id for each in report.violations} <= {"ade-retires", "vm-unencrypted"}


def test_the_official_examples_of_sets_are_read(material: Path) -> None:
    folder = material / "azure" / "rest-api-specs-examples"
    found = []
    for path in sorted(folder.glob("DiskEncryptionSet_*.json")):
        for response in json.loads(path.read_text(encoding="utf-8"))["responses"].values():
            body = {"type": "Microsoft.Compute/diskEncryptionSets", **response["body"]}
            found += read(body)
    other_tenant = [
        each
        for each in found
        if isinstance(each, EncryptionSetResource) and each.federated_client is True
    ]
    assert len(found) == 5
    assert len(other_tenant) == 2
    assert all(each.user_assigned is True for each in other_tenant)


def test_every_resource_of_every_template_is_read(material: Path) -> None:
    kinds = set()
    for path in sorted((material / "azure" / "templates").rglob("*.json")):
        template = json.loads(path.read_text(encoding="utf-8"))
        for resource in template.get("resources", []):
            kinds |= {type(each) for each in read(resource)}
            read_resources([(resource, Origin(str(path)))])
    assert kinds == {VirtualMachine, Disk, TemplateDeployment}


def test_no_extension_of_a_template_is_passed_in_silence(material: Path) -> None:
    folder = material / "azure" / "templates" / "encrypt-running-windows-vm-without-aad"
    template = json.loads((folder / "azuredeploy.json").read_text(encoding="utf-8"))
    report = check_placement(read(*template["resources"]))
    assert {"ade-vault-region", "ade-vault-subscription"} <= {
        each.rule.id for each in report.not_checked
    }


def test_the_subscription_comes_from_the_id() -> None:
    (vault,) = read(VAULT)
    assert vault.place.subscription == SUBSCRIPTION
