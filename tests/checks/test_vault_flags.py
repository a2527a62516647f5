"""A vault is enabled for what machines and templates take from it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyhier.checks.check import check_documents
from keyhier.checks.files import Files
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.report import Report

GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers"
VAULT = f"{GROUP}/Microsoft.KeyVault/vaults/contoso-kv"
SCHEMA = "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#"
REFERENCE = {"reference": {"keyVault": {"id": VAULT}, "secretName": "password"}}
TEMPLATE = {"contentVersion": "1", "parameters": {"password": {"type": "secureString"}}}


def vault(**flags: bool) -> dict[str, Any]:
    return {
        "type": "Microsoft.KeyVault/vaults",
        "id": VAULT,
        "name": "contoso-kv",
        "location": "westeurope",
        "properties": {"tenantId": "33333333-3333-3333-3333-333333333333", **flags},
    }


def machine(**properties: Any) -> dict[str, Any]:
    return {
        "type": "Microsoft.Compute/virtualMachines",
        "id": f"{GROUP}/Microsoft.Compute/virtualMachines/web-01",
        "name": "web-01",
        "location": "westeurope",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
            "storageProfile": {"osDisk": {"osType": "Linux", "createOption": "FromImage"}},
            **properties,
        },
    }


CERTIFICATES = {"osProfile": {"secrets": [{"sourceVault": {"id": VAULT}}]}}
OWN_VHD = {
    "storageProfile": {
        "osDisk": {
            "osType": "Windows",
            "createOption": "Attach",
            "encryptionSettings": {
                "enabled": True,
                "diskEncryptionKey": {
                    "secretUrl": f"https://contoso-kv.vault.azure.net/secrets/s/{'0' * 32}",
                    "sourceVault": {"id": VAULT},
                },
            },
        }
    }
}


def report_of(**files: object) -> Report:
    reader = Files(Deployment(""))
    for name, content in files.items():
        reader.add(name, json.dumps(content).encode())
    read = list(reader.documents())
    troubles = [*reader.troubles, *(each for one in read for each in one.troubles)]
    return check_documents([each for one in read for each in one.found], troubles)


def verdicts(report: Report, rule: str) -> tuple[int, int, int]:
    """How often a rule was broken, not checked and kept."""
    return (
        sum(each.rule.id == rule for each in report.violations),
        sum(each.rule.id == rule for each in report.not_checked),
        report.kept.get(rule, 0),
    )


@pytest.mark.parametrize("given", [CERTIFICATES, OWN_VHD], ids=["certificates", "own-vhd"])
def test_a_machine_that_is_given_secrets_asks_for_a_vault_enabled_for_deployment(
    given: dict[str, Any],
) -> None:
    rule, one = "secret-vault-enabled", machine(**given)
    assert verdicts(report_of(a=[one, vault(enabledForDeployment=False)]), rule) == (1, 0, 0)
    assert verdicts(report_of(a=[one, vault(enabledForDeployment=True)]), rule) == (0, 0, 1)
    assert verdicts(report_of(a=[one]), rule) == (0, 1, 0)


def test_a_machine_that_is_given_none_asks_for_nothing() -> None:
    report = report_of(a=[machine(), vault(enabledForDeployment=False)])
    assert verdicts(report, "secret-vault-enabled") == (0, 0, 0)


def test_a_machine_that_is_there_was_deployed_already() -> None:
    shown = machine(**OWN_VHD, vmId="55555555-5555-5555-5555-555555555555")
    report = report_of(a=[shown, vault(enabledForDeployment=False)])
    assert verdicts(report, "secret-vault-enabled") == (0, 0, 0)


@pytest.mark.parametrize("enabled", [True, False])
def test_parameters_that_name_a_secret_ask_for_a_vault_enabled_for_templates(
    enabled: bool,
) -> None:
    resources = [vault(enabledForTemplateDeployment=enabled)]
    given = {"$schema": SCHEMA, "parameters": {"password": REFERENCE}}
    report = report_of(
        **{"shop.json": {**TEMPLATE, "resources": resources}, "shop.parameters.json": given}
    )
    assert verdicts(report, "template-vault-enabled") == (not enabled, 0, enabled)
    for each in report.violations:
        assert each.origin is not None
        assert each.origin.file == "shop.parameters.json"


@pytest.mark.parametrize("enabled", [True, False])
def test_a_deployment_within_a_template_asks_the_same(enabled: bool) -> None:
    inner = {
        "type": "Microsoft.Resources/deployments",
        "name": "inner",
        "properties": {
            "expressionEvaluationOptions": {"scope": "inner"},
            "parameters": {"password": REFERENCE},
            "template": {**TEMPLATE, "resources": []},
        },
    }
    resources = [inner, vault(enabledForTemplateDeployment=enabled)]
    report = report_of(**{"shop.json": {"contentVersion": "1", "resources": resources}})
    assert verdicts(report, "template-vault-enabled") == (not enabled, 0, enabled)


def test_an_id_with_parts_missing_in_parameters_has_its_place() -> None:
    broken = {"reference": {"keyVault": {"id": "/subscriptions/x"}, "secretName": "s"}}
    reader = Files(Deployment(""))
    given = {"$schema": SCHEMA, "parameters": {"password": broken}}
    reader.add("shop.parameters.json", json.dumps(given, indent=1).encode())
    found = [each for one in reader.documents() for each in one.found]
    (told,) = check_documents(found, locate=reader.locate).violations
    assert told.origin is not None
    assert (told.origin.line, told.origin.column) == (7, 12)
