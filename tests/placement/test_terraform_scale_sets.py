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


ENABLING = {
    "EncryptionOperation": "EnableEncryption",
    "KeyVaultURL": "https://contoso-kv.vault.azure.net/",
    "KeyVaultResourceId": f"{GROUP}/Microsoft.KeyVault/vaults/contoso-kv",
    "VolumeType": "Data",
}
WHOLE = {**ADE, "settings": json.dumps(ENABLING)}
FORMATTING = {**ENABLING, "EncryptionOperation": "EnableEncryptionFormatAll"}
OTHER = {**WHOLE, "settings": json.dumps(FORMATTING)}
PLAIN = {"data_disk": [], "os_disk": [{"storage_account_type": "Premium_LRS"}]}


def encrypting(
    actions: object,
    before: list[Any],
    after: list[Any],
    beside: list[str] | None = None,
) -> tuple[set[str], set[str]]:
    """Return the rules that a plan for a scale set breaks, and those that were not checked.

    Args:
        actions: what the plan does with it; None stands for a state.
        before, after: the extensions in it.
        beside: what the plan does with an extension apart from it.
    """
    resources = [scale_set(KINDS[0], extension=after, encryption_at_host_enabled=True, **PLAIN)]
    change = {"actions": actions, "before": {"extension": before}}
    changes = [{"address": resources[0]["address"], "change": change}]
    if beside is not None:
        kind = "azurerm_virtual_machine_scale_set_extension"
        named = {"virtual_machine_scale_set_id": SCALE_SET}
        resources.append(planned(kind, "ade", **WHOLE, **named))
        changes.append({"address": resources[1]["address"], "change": {"actions": beside}})
    content = {"root_module": {"resources": resources}}
    document = {"format_version": "1.2", "resource_changes": changes, "planned_values": content}
    if actions is None:
        document = {"format_version": "1.2", "values": content}
    found = [(each, None) for each, _ in read_plan(document, Deployment("plan"), Problems())]
    report = check_documents(found)
    return rules(report), {each.rule.id for each in report.not_checked}


@pytest.mark.parametrize(
    ("actions", "before", "after", "is_open"),
    [
        # What is made has nothing yet, and what is replaced has nothing any more.
        (["create"], [], [WHOLE], False),
        (["delete", "create"], [OTHER], [WHOLE], False),
        (["create", "delete"], [OTHER], [WHOLE], False),
        # Where nothing is asked, nothing is to follow on anything.
        (["no-op"], [WHOLE], [WHOLE], False),
        (None, [], [WHOLE], False),
        (["update"], [WHOLE], [WHOLE], False),
        (["update"], [WHOLE], [], False),
        # What is there may have anything that this does not follow on.
        (["update"], [], [WHOLE], True),
        (["update"], [OTHER], [WHOLE], True),
        # What is not known is not taken for new.
        (["something"], [], [WHOLE], True),
        ("create", [], [WHOLE], True),
    ],
)
def test_what_is_asked_of_a_scale_set_that_is_there_is_not_passed_in_silence(
    actions: object, before: list[Any], after: list[Any], is_open: bool
) -> None:
    broken, not_checked = encrypting(actions, before, after)
    assert ("transition" in not_checked) is is_open
    assert not {"transition", "document"} & broken


@pytest.mark.parametrize(
    ("actions", "is_open"),
    [
        (["create"], False),
        (["delete", "create"], False),
        (["update"], True),
        (["no-op"], True),
        (None, False),
    ],
)
def test_an_extension_apart_follows_on_what_its_scale_set_has(
    actions: list[str] | None, is_open: bool
) -> None:
    assert ("transition" in encrypting(actions, [], [], beside=["create"])[1]) is is_open


@pytest.mark.parametrize(
    ("actions", "is_open"),
    [(["create"], False), (["delete", "create"], False), (["update"], True), (["no-op"], True)],
)
def test_a_scale_set_that_is_there_may_have_been_encrypted_once(
    actions: list[str], is_open: bool
) -> None:
    assert ("vm-host-encryption-after-ade" in encrypting(actions, [], [])[1]) is is_open


def test_the_extension_that_is_asked_for_is_what_the_scale_set_will_have() -> None:
    disks = {"data_disk": [{"disk_encryption_set_id": SET}]}
    changed = scale_set(KINDS[0], extension=[OTHER], **disks)
    change = {"actions": ["update"], "before": {"extension": [WHOLE]}}
    document = {
        "format_version": "1.2",
        "planned_values": {"root_module": {"resources": [changed, encryption_set()]}},
        "resource_changes": [{"address": changed["address"], "change": change}],
    }
    found = list(read_plan(document, Deployment("plan"), Problems()))
    assert "/planned_values/root_module/resources/0/values/extension/0" in [at for _, at in found]
    report = check_documents([(each, None) for each, _ in found])
    assert "disk-ade-and-cmk" in rules(report)
    # It has not run, so nobody knows what it will find.
    subjects = {each.subject for each in report.not_checked if each.rule.id == "transition"}
    whose = "extension of the instances of scale set web"
    assert subjects == {"extension of scale set web", whose}
