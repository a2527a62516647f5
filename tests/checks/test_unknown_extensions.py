"""An extension that nobody knows is reported as not checked, whatever file it stands in."""

from __future__ import annotations

from typing import Any

import pytest

from keyhier.placement.report import Report
from tests.checks.test_nothing_secret_is_shown import report_of_file
from tests.checks.test_transitions import machine, report_of

KIND = "Microsoft.Compute/virtualMachines/extensions"
IN_DOUBT = "whether it is an extension of Azure Disk Encryption"
TEMPLATE = {
    "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
    "contentVersion": "1.0.0.0",
    "parameters": {"type": {"type": "string"}, "settings": {"type": "object"}},
}


def in_doubt(report: Report) -> set[tuple[str, str]]:
    return {
        (each.rule.id, each.subject) for each in report.not_checked if each.missing == (IN_DOUBT,)
    }


def template(kind: str, **properties: object) -> dict[str, Any]:
    extension = {"type": kind, "name": "web-01/e", "properties": properties}
    return {**TEMPLATE, "resources": [extension]}


@pytest.mark.parametrize(
    "settings", [{}, {"settings": "[parameters('settings')]"}], ids=["absent", "parameter"]
)
@pytest.mark.parametrize(
    "kind", [KIND, "Microsoft.Compute/virtualMachineScaleSets/extensions"], ids=["VM", "scale set"]
)
def test_an_unknown_extension_in_a_template_is_not_checked(
    kind: str, settings: dict[str, Any]
) -> None:
    # The version is none of Azure Disk Encryption, which speaks against nobody knows what.
    content = template(kind, type="[parameters('type')]", typeHandlerVersion="1.10", **settings)
    report = report_of_file(content)
    assert not report.violations
    name = "extension web-01/e"
    assert in_doubt(report) == {("settings", name), ("transition", name)}
    (origin, *_) = {each.origin for each in report.not_checked if each.missing == (IN_DOUBT,)}
    assert origin is not None
    assert origin.pointer == "/resources/0"


def test_an_extension_of_a_known_type_is_nothing_to_report() -> None:
    content = template(KIND, type="CustomScript", settings="[parameters('settings')]")
    report = report_of_file(content)
    assert not report.violations
    assert not report.not_checked


def test_an_extension_of_another_service_is_nothing_to_report() -> None:
    content = template("Microsoft.HybridCompute/machines/extensions", type="[parameters('type')]")
    report = report_of_file(content)
    assert not report.violations
    assert not report.not_checked


def test_the_machine_of_an_unknown_extension_is_not_checked() -> None:
    alone = {
        "type": "Microsoft.Compute/virtualMachines",
        "id": machine()["id"],
        "properties": {
            "vmId": "55555555-5555-5555-5555-555555555555",
            "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
            "storageProfile": {"osDisk": {"createOption": "FromImage"}},
        },
    }
    report = report_of(alone)
    assert {each.rule.id for each in report.violations} == {"vm-unencrypted"}
    assert not report.not_checked
    # The machine's document names its extension, and says no more of it.
    report = report_of({**alone, "resources": [{"id": f"{alone['id']}/extensions/e"}]})
    assert not report.violations
    rules = {each.rule.id for each in report.not_checked}
    assert {"vm-unencrypted", "ade-vault-region", "ade-vault-subscription"} <= rules


def test_an_unknown_extension_that_ran_asks_for_nothing_anew() -> None:
    ran = {
        "type": KIND,
        "name": "web-01/e",
        "properties": {
            "type": "[parameters('t')]",
            "settings": "[parameters('s')]",
            "provisioningState": "Succeeded",
        },
    }
    assert in_doubt(report_of(ran)) == {("settings", "extension web-01/e")}


def test_an_unknown_extension_in_the_model_of_a_scale_set_is_not_checked() -> None:
    properties = {"type": "[parameters('t')]", "settings": "[parameters('s')]"}
    profile = {"extensionProfile": {"extensions": [{"name": "e", "properties": properties}]}}
    scale_set = {
        "type": "Microsoft.Compute/virtualMachineScaleSets",
        "name": "web",
        "properties": {"virtualMachineProfile": profile},
    }
    name = "extension of scale set web"
    assert in_doubt(report_of(scale_set)) == {("settings", name), ("transition", name)}


@pytest.mark.parametrize(
    "unknown", [{"type": True}, {"type": True, "settings": True}], ids=["type", "and settings"]
)
def test_an_unknown_extension_in_a_terraform_plan_is_not_checked(unknown: dict[str, bool]) -> None:
    address = "azurerm_virtual_machine_extension.e"
    resource = {
        "address": address,
        "mode": "managed",
        "type": "azurerm_virtual_machine_extension",
        "name": "e",
        "values": {"name": "e", "virtual_machine_id": machine()["id"]},
    }
    change = {"actions": ["create"], "after_unknown": unknown}
    plan = {
        "format_version": "1.2",
        "planned_values": {"root_module": {"resources": [resource]}},
        "resource_changes": [{"address": address, "change": change}],
    }
    report = report_of_file(plan)
    assert not report.violations
    assert {rule for rule, _ in in_doubt(report)} == {"settings", "transition"}
