"""Nothing that stands where documents hold secrets is in any report, of whatever JSON type."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keyhier.checks.check import check_documents
from keyhier.checks.files import Files
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.hidden import is_hidden
from keyhier.placement.junit import as_junit
from keyhier.placement.report import Report
from keyhier.placement.report_text import as_text
from keyhier.placement.sarif import as_sarif
from tests.checks.test_transitions import extension, machine
from tests.json_places import Place, altered

SECRET = "hunter2"
SHAPES: dict[str, Any] = {
    "text": SECRET,
    "number": 8282123,
    "list": [SECRET],
    "list in a list": [[SECRET], SECRET],
    "object": {"adminPassword": SECRET},
    "objects": [{"adminPassword": SECRET}],
    "JSON in a text": json.dumps({"osProfile": {"adminPassword": SECRET}}),
}
# A secret may begin and end with brackets, too.
EXPRESSIONS: dict[str, Any] = {
    "function": f"[{SECRET}()]",
    "no expression": f"[!{SECRET}]",
    "no such variable": f"[variables('{SECRET}')]",
    "within a list": [f"[{SECRET}()]"],
}
# Where a machine holds secrets, and where what holds them could stand instead of something else.
MACHINE_PLACES: list[Place] = [
    ("properties",),
    *(
        ("properties", *at)
        for at in (
            ("osProfile",),
            ("osProfile", "adminPassword"),
            ("osProfile", "customData"),
            ("osProfile", "linuxConfiguration"),
            ("osProfile", "secrets"),
            ("osProfile", "secrets", 0),
            ("osProfile", "secrets", 0, "sourceVault"),
            ("osProfile", "secrets", 0, "sourceVault", "id"),
            ("userData",),
            ("storageProfile",),
            ("storageProfile", "dataDisks"),
        )
    ),
    ("resources",),
]
EXTENSION_PLACES: list[Place] = [
    ("properties", *at)
    for at in (
        ("settings",),
        ("protectedSettings",),
        ("protectedSettings", "Passphrase"),
        ("protectedSettings", "AADClientSecret"),
    )
]


def with_secrets() -> dict[str, Any]:
    document = machine()
    document["properties"]["osProfile"] = {
        "adminPassword": "",
        "customData": "",
        "linuxConfiguration": {},
        "secrets": [{"sourceVault": {"id": ""}}],
    }
    document["properties"]["userData"] = ""
    document["resources"] = []
    return document


def with_protected() -> dict[str, Any]:
    document = extension(dual=True)
    document["properties"]["protectedSettings"] = {"Passphrase": None, "AADClientSecret": None}
    return document


HIDDEN = {("osProfile",), ("userData",), ("protectedSettings",)}
CASES = [
    pytest.param(document, at, shape, id=f"{'/'.join(map(str, at))}-{name}")
    for document, listed in ((with_secrets(), MACHINE_PLACES), (with_protected(), EXTENSION_PLACES))
    for at in listed
    for name, shape in (SHAPES | EXPRESSIONS if at[1:2] in HIDDEN else SHAPES).items()
]


def report_of_file(content: object) -> Report:
    files = Files(Deployment(""))
    files.add("a.json", json.dumps(content).encode())
    read = list(files.documents())
    troubles = [*files.troubles, *(each for one in read for each in one.troubles)]
    found = [each for one in read for each in one.found]
    return check_documents(found, troubles, locate=files.locate)


def shown(report: Report) -> str:
    texts = (as_text(report), as_junit(report), *map(str, (report.as_dict(), as_sarif(report))))
    return "\n".join(texts)


@pytest.mark.parametrize(("document", "at", "secret"), CASES)
def test_no_report_shows_what_stands_where_secrets_may(
    document: dict[str, Any], at: Place, secret: Any
) -> None:
    holding = altered(document, at, secret)
    for content in (holding, {"contentVersion": "1", "resources": [holding]}):
        report = report_of_file(content)
        text = shown(report)
        assert SECRET not in text
        assert "8282123" not in text
        # What stands there keeps nothing else from being checked.
        assert report.violations or report.not_checked or report.kept


HIDDEN_NAMES = [
    *("adminPassword", "admin_password", "customData", "osProfile"),
    *("protectedParameters", "protected_parameter"),
    *("outputBlobUri", "output_blob_uri", "errorBlobUri", "scriptUri", "script_uri"),
    *("blobContainerSasUri", "sasUrl", "sasToken", "sas_token"),
    *("adminPwd", "db_passwd", "storageAccountKey", "accountKey", "primary_access_key"),
    *("connectionString", "primary_connection_string"),
]


@pytest.mark.parametrize("name", HIDDEN_NAMES)
def test_no_report_shows_a_variable_that_is_called_after_a_secret(name: str) -> None:
    report = report_of_file(
        {"contentVersion": "1", "variables": {name: f"[!{SECRET}]"}, "resources": []}
    )
    assert SECRET not in shown(report)
    (found,) = report.violations
    assert found.origin is not None
    assert found.origin.pointer == f"/variables/{name}"


RUN_COMMAND_PLACES: list[Place] = [
    ("properties", *at)
    for at in (
        ("protectedParameters",),
        ("protectedParameters", 0),
        ("protectedParameters", 0, "value"),
        ("runAsPassword",),
        ("outputBlobUri",),
        ("errorBlobUri",),
        ("source", "scriptUri"),
    )
]


@pytest.mark.parametrize("at", RUN_COMMAND_PLACES, ids=lambda at: "/".join(map(str, at)))
@pytest.mark.parametrize("secret", EXPRESSIONS.values(), ids=EXPRESSIONS)
def test_no_report_shows_the_secrets_of_a_run_command(at: Place, secret: Any) -> None:
    command = {
        "type": "Microsoft.Compute/virtualMachines/runCommands",
        "name": "web-01/script",
        "location": "eastus2",
        "properties": {"protectedParameters": [{"name": "key", "value": ""}], "source": {}},
    }
    holding = altered(command, at, secret)
    text = shown(report_of_file({"contentVersion": "1", "resources": [machine(), holding]}))
    assert SECRET not in text
    assert "8282123" not in text


@pytest.mark.parametrize(
    "name",
    [
        *("keyUrl", "secretUrl", "keyEncryptionKeyURL", "keyEncryptionKey", "activeKey"),
        *("sourceVault", "keyVault", "key_vault_id", "KekVaultResourceId", "diskEncryptionKey"),
        *("key_encryption_key", "key_vault_key_id", "secret_url", "vhdUri", "permissions"),
    ],
)
def test_what_the_rules_look_at_is_not_hidden(name: str) -> None:
    assert not is_hidden(f"/resources/0/properties/{name}")


@pytest.mark.parametrize("secret", SHAPES.values(), ids=SHAPES)
def test_no_report_shows_what_terraform_plans(secret: Any) -> None:
    values = {
        "name": "web",
        "admin_password": secret,
        "custom_data": secret,
        "os_profile": secret,
        "os_disk": secret,
        "secret": [{"key_vault_id": secret, "certificate": secret}],
        "extension": [{"settings": secret, "protected_settings": secret}],
        "protected_settings": secret,
        "protected_parameter": [{"name": "key", "value": secret}],
        "settings": secret,
    }
    kinds = (
        "azurerm_linux_virtual_machine",
        "azurerm_orchestrated_virtual_machine_scale_set",
        "azurerm_virtual_machine_extension",
        "azurerm_virtual_machine_run_command",
    )
    resources = [
        {"address": f"{kind}.a", "mode": "managed", "type": kind, "name": "a", "values": values}
        for kind in kinds
    ]
    planned = {"root_module": {"resources": resources}}
    text = shown(report_of_file({"format_version": "1.2", "planned_values": planned}))
    assert SECRET not in text
    assert "8282123" not in text


def test_what_is_no_secret_is_shown() -> None:
    report = report_of_file(altered(machine(), ("location",), [1, 2]))
    assert "text belongs here, not a list" in shown(report)
    report = report_of_file(altered(machine(), ("properties", "storageProfile"), "none"))
    assert "an object belongs here, not a text" in shown(report)
    report = report_of_file(
        altered(machine(), ("properties", "securityProfile"), {"encryptionAtHost": 7})
    )
    assert "true or false belongs here, not 7" in shown(report)
