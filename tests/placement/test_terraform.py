"""Terraform's plans: resources as ARM would store them."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from keyhier.checks.check import check_documents
from keyhier.placement.arm.deployment import Deployment, Problems
from keyhier.placement.model import Origin
from keyhier.placement.report import Report
from keyhier.placement.terraform.reader import is_plan, read_plan

KEY = "https://contoso-kv.vault.azure.net/keys/cmk/0123456789abcdef0123456789abcdef"


def planned(kind: str, name: str, **values: object) -> dict[str, Any]:
    return {
        "address": f"{kind}.{name}",
        "mode": "managed",
        "type": kind,
        "name": name,
        "values": {"name": name, "location": "westeurope", "resource_group_name": "shop", **values},
    }


def references(kind: str, name: str, **expressions: object) -> dict[str, Any]:
    return {"address": f"{kind}.{name}", "expressions": expressions}


def plan() -> dict[str, Any]:
    """A machine and a disk under a set that the same plan makes, with a vault of the plan."""
    machine = planned(
        "azurerm_linux_virtual_machine",
        "web",
        size="Standard_D4s_v5",
        encryption_at_host_enabled=None,
        os_disk=[{"name": "web-os", "storage_account_type": "Premium_LRS"}],
        source_image_reference=[{"publisher": "Canonical", "offer": "o", "sku": "s"}],
    )
    disk = planned("azurerm_managed_disk", "data", create_option="Empty")
    made = {"id": True}
    return {
        "format_version": "1.2",
        "planned_values": {
            "root_module": {
                "resources": [
                    machine,
                    disk,
                    planned("azurerm_virtual_machine_data_disk_attachment", "data"),
                    planned(
                        "azurerm_disk_encryption_set",
                        "des",
                        key_vault_key_id=KEY,
                        identity=[{"type": "SystemAssigned"}],
                    ),
                    planned(
                        "azurerm_key_vault",
                        "contoso-kv",
                        tenant_id="33333333-3333-3333-3333-333333333333",
                        purge_protection_enabled=True,
                    ),
                ]
            }
        },
        "resource_changes": [
            {
                "address": "azurerm_linux_virtual_machine.web",
                "change": {
                    "after_unknown": {**made, "os_disk": [{"disk_encryption_set_id": True}]}
                },
            },
            {
                "address": "azurerm_managed_disk.data",
                "change": {"after_unknown": {**made, "disk_encryption_set_id": True}},
            },
            {
                "address": "azurerm_virtual_machine_data_disk_attachment.data",
                "change": {
                    "after_unknown": {**made, "managed_disk_id": True, "virtual_machine_id": True}
                },
            },
            {
                "address": "azurerm_disk_encryption_set.des",
                "change": {"after_unknown": made},
            },
            {
                "address": "azurerm_key_vault.contoso-kv",
                "change": {"after_unknown": {**made, "vault_uri": True}},
            },
        ],
        "configuration": {
            "root_module": {
                "resources": [
                    references(
                        "azurerm_linux_virtual_machine",
                        "web",
                        os_disk=[
                            {
                                "disk_encryption_set_id": {
                                    "references": [
                                        "azurerm_disk_encryption_set.des.id",
                                        "azurerm_disk_encryption_set.des",
                                    ]
                                }
                            }
                        ],
                    ),
                    references(
                        "azurerm_managed_disk",
                        "data",
                        disk_encryption_set_id={
                            "references": ["azurerm_disk_encryption_set.des.id"]
                        },
                    ),
                    references(
                        "azurerm_virtual_machine_data_disk_attachment",
                        "data",
                        managed_disk_id={"references": ["azurerm_managed_disk.data.id"]},
                        virtual_machine_id={"references": ["azurerm_linux_virtual_machine.web.id"]},
                    ),
                ]
            }
        },
    }


def checked(document: dict[str, Any]) -> Report:
    assert is_plan(document)
    problems = Problems()
    found = read_plan(document, Deployment("plan"), problems)
    report = check_documents([(content, Origin("plan", pointer=at)) for content, at in found])
    assert not problems.found
    return report


def values_of(document: dict[str, Any], address: str) -> dict[str, Any]:
    listed = document["planned_values"]["root_module"]["resources"]
    found: dict[str, Any] = next(each for each in listed if each["address"] == address)["values"]
    return found


def test_what_the_configuration_refers_to_is_found_within_the_plan() -> None:
    report = checked(plan())
    assert report.violations == ()
    assert report.kept["set-disk-region"] == 2
    assert report.kept["cmk-vault-region"] == 1
    assert report.kept["vm-unencrypted"] == 2


def test_a_vault_in_another_region_is_found() -> None:
    document = plan()
    values_of(document, "azurerm_key_vault.contoso-kv")["location"] = "North Europe"
    assert [each.rule.id for each in checked(document).violations] == ["cmk-vault-region"]


def with_key(document: dict[str, Any], reference: str = "id") -> dict[str, Any]:
    """Let the plan make the set's key in its vault, so that only the apply tells the key's URL."""
    key = planned("azurerm_key_vault_key", "cmk")
    document["planned_values"]["root_module"]["resources"].append(key)
    document["resource_changes"][3]["change"]["after_unknown"] = {
        "id": True,
        "key_vault_key_id": True,
    }
    document["resource_changes"].append(
        {"address": key["address"], "change": {"after_unknown": {"id": True, "key_vault_id": True}}}
    )
    document["configuration"]["root_module"]["resources"] += [
        references(
            "azurerm_disk_encryption_set",
            "des",
            key_vault_key_id={
                "references": [
                    f"azurerm_key_vault_key.cmk.{reference}",
                    "azurerm_key_vault_key.cmk",
                ]
            },
        ),
        references(
            "azurerm_key_vault_key",
            "cmk",
            key_vault_id={"references": ["azurerm_key_vault.contoso-kv.id"]},
        ),
    ]
    return document


def test_a_key_with_or_without_its_version_is_one_key() -> None:
    document = with_key(plan())
    resources = document["configuration"]["root_module"]["resources"]
    (own,) = (each for each in resources if each["address"] == "azurerm_disk_encryption_set.des")
    named = own["expressions"]["key_vault_key_id"]["references"]
    named.append("azurerm_key_vault_key.cmk.versionless_id")
    assert checked(document).kept["cmk-vault-region"] == 1


@pytest.mark.parametrize("reference", ["id", "versionless_id"])
def test_the_vault_of_a_key_that_the_plan_makes_is_checked(reference: str) -> None:
    report = checked(with_key(plan(), reference))
    assert report.violations == ()
    assert report.kept["cmk-vault-region"] == 1
    document = with_key(plan(), reference)
    far = values_of(document, "azurerm_key_vault.contoso-kv")
    far |= {"location": "North Europe", "purge_protection_enabled": False}
    found = {each.rule.id for each in checked(document).violations}
    assert found == {"cmk-vault-region", "cmk-vault-purge-protection"}


def test_a_key_of_which_the_plan_does_not_tell_the_vault_is_not_checked() -> None:
    document = with_key(plan())
    document["configuration"]["root_module"]["resources"].pop()
    report = checked(document)
    assert report.violations == ()
    assert "cmk-vault-region" in {each.rule.id for each in report.not_checked}


@pytest.mark.parametrize(
    ("told", "rule_is"),
    [
        ({"constant_value": "22222222-2222-2222-2222-222222222222"}, "broken"),
        ({"constant_value": "11111111-1111-1111-1111-111111111111"}, "kept"),
        ({"references": ["var.hub"]}, "not checked"),
        (None, "kept"),
    ],
)
def test_a_provider_of_ones_own_has_a_subscription_of_its_own(
    told: dict[str, object] | None, rule_is: str
) -> None:
    document = with_key(plan())
    vault = references("azurerm_key_vault", "contoso-kv")
    document["configuration"]["root_module"]["resources"].append(
        vault | {"provider_config_key": "azurerm.hub"}
    )
    document["configuration"]["provider_config"] = {
        "azurerm": {
            "name": "azurerm",
            "expressions": {"subscription_id": {"references": ["var.s"]}},
        },
        "azurerm.hub": {
            "name": "azurerm",
            "alias": "hub",
            "expressions": {} if told is None else {"subscription_id": told},
        },
    }
    deployment = Deployment("plan", "11111111-1111-1111-1111-111111111111")
    found = read_plan(document, deployment, Problems())
    report = check_documents([(content, Origin("plan", pointer=at)) for content, at in found])
    rule = "cmk-vault-subscription"
    assert (rule in {each.rule.id for each in report.violations}) is (rule_is == "broken")
    assert (rule in {each.rule.id for each in report.not_checked}) is (rule_is == "not checked")
    assert bool(report.kept.get(rule)) is (rule_is == "kept")


def test_a_region_that_only_the_apply_tells_is_not_checked() -> None:
    document = plan()
    values_of(document, "azurerm_key_vault.contoso-kv")["location"] = None
    document["resource_changes"][4]["change"]["after_unknown"]["location"] = True
    report = checked(document)
    assert report.violations == ()
    assert "cmk-vault-region" in {each.rule.id for each in report.not_checked}


def test_resources_of_a_module_refer_to_each_other_within_it() -> None:
    document = plan()
    root = document["planned_values"]["root_module"]
    for each in root["resources"]:
        each["address"] = f"module.shop.{each['address']}"
    for each in document["resource_changes"]:
        each["address"] = f"module.shop.{each['address']}"
    inner = copy.deepcopy(root)
    inner["address"] = "module.shop"
    document["planned_values"] = {"root_module": {"child_modules": [inner]}}
    document["configuration"] = {
        "root_module": {
            "module_calls": {"shop": {"module": document["configuration"]["root_module"]}}
        }
    }
    assert checked(document).kept["set-disk-region"] == 2


def test_an_extension_is_joined_to_its_machine() -> None:
    document = plan()
    extension = planned(
        "azurerm_virtual_machine_extension",
        "ade",
        publisher="Microsoft.Azure.Security",
        type="AzureDiskEncryptionForLinux",
        type_handler_version="1.1",
        settings='{"EncryptionOperation": "EnableEncryption",'
        ' "KeyVaultURL": "https://contoso-kv.vault.azure.net/"}',
    )
    document["planned_values"]["root_module"]["resources"].append(extension)
    document["resource_changes"].append(
        {
            "address": extension["address"],
            "change": {"after_unknown": {"virtual_machine_id": True}},
        }
    )
    document["configuration"]["root_module"]["resources"].append(
        references(
            "azurerm_virtual_machine_extension",
            "ade",
            virtual_machine_id={"references": ["azurerm_linux_virtual_machine.web.id"]},
        )
    )
    found = {each.rule.id for each in checked(document).violations}
    assert {"disk-ade-and-cmk", "ade-retires", "settings"} <= found


@pytest.mark.parametrize("number", range(5))
def test_whatever_is_unknown_until_the_apply_is_no_obstacle(number: int) -> None:
    for name in [
        *plan()["planned_values"]["root_module"]["resources"][number]["values"],
        *("encryption_type", "vtpm_enabled", "source_image_id", "encryption_settings", "identity"),
    ]:
        document = plan()
        document["resource_changes"][number]["change"]["after_unknown"][name] = True
        errors = [each.rule.id for each in checked(document).errors]
        assert errors == []


def test_the_settings_of_a_disk_are_read() -> None:
    document = plan()
    values_of(document, "azurerm_managed_disk.data")["encryption_settings"] = [
        {
            "disk_encryption_key": [
                {"secret_url": "https://contoso-kv.vault.azure.net/secrets/s/1"},
            ],
            "key_encryption_key": [],
        }
    ]
    assert "disk-ade-and-cmk" in {each.rule.id for each in checked(document).errors}


def test_what_is_not_read_is_told() -> None:
    document = plan()
    other = planned("azurerm_virtual_machine_scale_set", "set")
    document["planned_values"]["root_module"]["resources"].append(other)
    problems = Problems()
    list(read_plan(document, Deployment("plan"), problems))
    assert [each.text for each in problems.found] == [
        "azurerm_virtual_machine_scale_set is not read"
    ]


MACHINE = "azurerm_linux_virtual_machine.web"
EXTENSION = "azurerm_virtual_machine_extension.ade"


def encrypting(machine: list[str] | None, extension: list[str] | None) -> Report:
    """Check a plan of a machine and its extension; without actions it is a state."""
    group = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers"
    settings = {
        "EncryptionOperation": "EnableEncryption",
        "KeyVaultURL": "https://contoso-kv.vault.azure.net/",
        "KeyVaultResourceId": f"{group}/Microsoft.KeyVault/vaults/contoso-kv",
        "VolumeType": "Data",
    }
    identity = f"{group}/Microsoft.Compute/virtualMachines/web"
    resources = [
        planned("azurerm_linux_virtual_machine", "web", id=identity, os_disk=[{"name": "os"}]),
        planned(
            "azurerm_virtual_machine_extension",
            "ade",
            virtual_machine_id=identity,
            publisher="Microsoft.Azure.Security",
            type="AzureDiskEncryptionForLinux",
            type_handler_version="1.1",
            settings=json.dumps(settings),
        ),
    ]
    changes = [
        {"address": address, "change": {"actions": actions}}
        for address, actions in ((MACHINE, machine), (EXTENSION, extension))
    ]
    document = {
        "format_version": "1.2",
        "values" if machine is None else "planned_values": {
            "root_module": {"resources": resources}
        },
        "resource_changes": [] if machine is None else changes,
    }
    found = read_plan(document, Deployment(""), Problems())
    return check_documents([(content, Origin("plan", pointer=at)) for content, at in found])


@pytest.mark.parametrize(
    ("machine", "extension", "is_open"),
    [
        (["create"], ["create"], False),
        (["delete", "create"], ["create"], False),
        # The machine may have anything on which this does not follow.
        (["no-op"], ["create"], True),
        (["update"], ["update"], True),
        (["no-op"], ["no-op"], False),
        (None, None, False),
    ],
)
def test_what_is_asked_of_a_machine_that_is_there_is_not_passed_in_silence(
    machine: list[str] | None, extension: list[str] | None, is_open: bool
) -> None:
    report = encrypting(machine, extension)
    open_rules = {each.rule.id for each in report.not_checked}
    assert ("transition" in open_rules) is is_open
    assert not {"transition", "document"} & {each.rule.id for each in report.violations}


@pytest.mark.parametrize(
    ("actions", "is_open"),
    [
        (["create"], False),
        (["delete", "create"], False),
        (["update"], True),
        (["no-op"], True),
        (None, True),
    ],
)
def test_a_disk_that_is_there_may_have_been_encrypted_once(
    actions: list[str] | None, is_open: bool
) -> None:
    group = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers"
    key = {"disk_encryption_set_id": f"{group}/Microsoft.Compute/diskEncryptionSets/des"}
    disk = planned("azurerm_managed_disk", "data", create_option="Empty", **key)
    content = {"root_module": {"resources": [disk]}}
    document: dict[str, Any] = {
        "format_version": "1.2",
        "resource_changes": [{"address": disk["address"], "change": {"actions": actions}}],
        "planned_values": content,
    }
    if actions is None:
        document = {"format_version": "1.2", "values": content}
    found = [(each, None) for each, _ in read_plan(document, Deployment(""), Problems())]
    report = check_documents(found)
    open_rules = {each.rule.id for each in report.not_checked}
    assert ("disk-cmk-after-ade" in open_rules) is is_open
    assert "disk-cmk-after-ade" not in {each.rule.id for each in report.violations}
