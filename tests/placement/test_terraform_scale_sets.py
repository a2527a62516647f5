"""Scale sets in Terraform's plans: of Linux, of Windows, and those of machines of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyhier.checks.check import check_documents
from keyhier.placement.arm.deployment import Deployment, Problems
from keyhier.placement.report import Report
from keyhier.placement.terraform.reader import read_plan

GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers"
SET = f"{GROUP}/Microsoft.Compute/diskEncryptionSets/des"
SCALE_SET = f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets/web"
KINDS = [
    "azurerm_linux_virtual_machine_scale_set",
    "azurerm_windows_virtual_machine_scale_set",
    "azurerm_orchestrated_virtual_machine_scale_set",
]
ADE = {
    "name": "ade",
    "publisher": "Microsoft.Azure.Security",
    "type": "AzureDiskEncryptionForLinux",
    "type_handler_version": "1.1",
    "settings": json.dumps({"EncryptionOperation": "EnableEncryption", "VolumeType": "Data"}),
}


def planned(kind: str, name: str, /, **values: object) -> dict[str, Any]:
    common = {"name": name, "location": "westeurope"}
    return {
        "address": f"{kind}.{name}",
        "mode": "managed",
        "type": kind,
        "name": name,
        "values": {**common, **values},
    }


def scale_set(kind: str, **values: object) -> dict[str, Any]:
    size = {"sku_name" if "orchestrated" in kind else "sku": "Standard_D4s_v5"}
    os_profile: list[Any] = [{"linux_configuration": [{}], "windows_configuration": []}]
    default = {
        "id": SCALE_SET,
        "os_disk": [{"storage_account_type": "Premium_LRS", "disk_encryption_set_id": SET}],
        "data_disk": [
            {"storage_account_type": "Premium_LRS", "disk_encryption_set_id": SET},
            {"storage_account_type": "UltraSSD_LRS", "disk_encryption_set_id": SET},
        ],
        "encryption_at_host_enabled": False,
        "os_profile": os_profile,
        "source_image_reference": [{"publisher": "p", "offer": "o", "sku": "s"}],
        **size,
    }
    return planned(kind, "web", **{**default, **values})


def encryption_set(region: str = "westeurope") -> dict[str, Any]:
    key = "https://contoso-kv.vault.azure.net/keys/cmk/0123456789abcdef0123456789abcdef"
    identity = [{"type": "SystemAssigned"}]
    return planned(
        "azurerm_disk_encryption_set",
        "des",
        id=SET,
        location=region,
        key_vault_key_id=key,
        identity=identity,
    )


def checked(*resources: dict[str, Any], unknown: dict[str, Any] | None = None) -> Report:
    document = {
        "format_version": "1.2",
        "planned_values": {"root_module": {"resources": list(resources)}},
        "resource_changes": [
            {"address": resources[0]["address"], "change": {"after_unknown": unknown or {}}}
        ],
    }
    problems = Problems()
    found = [(each, None) for each, _ in read_plan(document, Deployment("plan"), problems)]
    assert not problems.found
    return check_documents(found)


def rules(report: Report) -> set[str]:
    return {each.rule.id for each in report.violations}


@pytest.mark.parametrize("kind", KINDS)
def test_all_disks_of_a_scale_set_are_under_its_set(kind: str) -> None:
    report = checked(scale_set(kind), encryption_set())
    assert not rules(report)
    assert report.kept["vm-unencrypted"] == 3
    assert report.kept["set-disk-region"] == 3
    assert report.kept["set-vm-region"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_set_in_another_region_is_an_error(kind: str) -> None:
    report = checked(scale_set(kind), encryption_set("northeurope"))
    assert rules(report) == {"set-vm-region", "set-disk-region"}


@pytest.mark.parametrize("kind", KINDS)
def test_a_disk_without_a_set_and_without_encryption_at_host_is_not_encrypted(kind: str) -> None:
    bare = [{"storage_account_type": "Premium_LRS"}]
    assert rules(checked(scale_set(kind, data_disk=bare), encryption_set())) == {"vm-unencrypted"}
    at_host = scale_set(kind, data_disk=bare, encryption_at_host_enabled=True)
    assert not rules(checked(at_host, encryption_set()))


@pytest.mark.parametrize("kind", KINDS)
def test_an_extension_for_disk_encryption_is_read_within_and_apart(kind: str) -> None:
    assert "disk-ade-and-cmk" in rules(checked(scale_set(kind, extension=[ADE]), encryption_set()))
    apart = planned(
        "azurerm_virtual_machine_scale_set_extension",
        "ade",
        **ADE,
        virtual_machine_scale_set_id=SCALE_SET,
    )
    assert "disk-ade-and-cmk" in rules(checked(scale_set(kind), apart, encryption_set()))


@pytest.mark.parametrize("name", ["data_disk", "os_disk", "extension", "os_profile"])
@pytest.mark.parametrize("kind", KINDS)
def test_what_only_the_apply_tells_is_not_passed(kind: str, name: str) -> None:
    report = checked(scale_set(kind), encryption_set("northeurope"), unknown={name: True})
    assert not rules(report) - {"set-vm-region", "set-disk-region"}
    told = rules(report) | {each.rule.id for each in report.not_checked}
    assert {"set-vm-region", "set-disk-region"} <= told


def test_of_several_disks_only_the_one_that_is_unknown_is() -> None:
    blocks = {"data_disk": [{}, {"disk_encryption_set_id": True}]}
    report = checked(scale_set(KINDS[0]), encryption_set(), unknown=blocks)
    assert report.kept["set-disk-region"] == 2
    assert "set-disk-region" in {each.rule.id for each in report.not_checked}


@pytest.mark.parametrize(
    ("kind", "system"), [(KINDS[0], "Linux"), (KINDS[1], "Windows"), (KINDS[2], "Linux")]
)
def test_the_system_is_known_by_the_type_or_the_profile(kind: str, system: str) -> None:
    document = {
        "format_version": "1.2",
        "planned_values": {"root_module": {"resources": [scale_set(kind)]}},
    }
    ((read, _),) = read_plan(document, Deployment("plan"), Problems())
    profile: Any = read["properties"]
    storage = profile["virtualMachineProfile"]["storageProfile"]
    assert storage["osDisk"]["osType"] == system
