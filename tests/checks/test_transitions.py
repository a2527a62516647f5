"""What is asked of a machine in one file may not follow on what another says it has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from keyhier.checks.check import check_documents
from keyhier.placement.report import Report

GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers"
MACHINE = f"{GROUP}/Microsoft.Compute/virtualMachines/web-01"
VAULT = f"{GROUP}/Microsoft.KeyVault/vaults/contoso-kv"
FIRST, SECOND = "00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002"
SINGLE = {"Windows": "2.2", "Linux": "1.1"}
DUAL = {"Windows": "1.1", "Linux": "0.1"}
APPLICATION = {
    "AADClientID": "66666666-6666-6666-6666-666666666666",
    "AADClientCertThumbprint": "0123456789012345678901234567890123456789",
}


def machine(
    system: str = "Linux",
    *,
    os_disk: bool | None = None,
    data: bool | None = None,
    new: bool = False,
) -> dict[str, Any]:
    """A machine with an OS disk and a data disk, and what its instance view says of them."""
    there = {
        "vmId": "55555555-5555-5555-5555-555555555555",
        "instanceView": instance_view(os=os_disk, data=data),
    }
    return {
        "type": "Microsoft.Compute/virtualMachines",
        "id": MACHINE,
        "name": "web-01",
        "location": "westeurope",
        "properties": {
            **({} if new else there),
            "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
            "storageProfile": {
                "osDisk": {"name": "os", "osType": system, "managedDisk": {"id": disk_id("os")}},
                "dataDisks": [{"name": "data", "managedDisk": {"id": disk_id("data")}}],
            },
        },
    }


def instance_view(**encrypted: bool | None) -> dict[str, Any]:
    """What an instance view says of disks; of None it says nothing."""
    return {
        "disks": [
            {
                "name": name,
                "statuses": [{"code": f"EncryptionState/{'encrypted' if on else 'notEncrypted'}"}],
            }
            for name, on in encrypted.items()
            if on is not None
        ]
    }


def disk_id(name: str) -> str:
    return f"{GROUP}/Microsoft.Compute/disks/{name}"


def encrypted_disk(name: str, version: str) -> dict[str, Any]:
    secret = {"secretUrl": f"https://contoso-kv.vault.azure.net/secrets/s/{'0' * 32}"}
    settings = [{"diskEncryptionKey": {**secret, "sourceVault": {"id": VAULT}}}]
    return {
        "type": "Microsoft.Compute/disks",
        "id": disk_id(name),
        "location": "westeurope",
        "properties": {
            "creationData": {"createOption": "FromImage"},
            "encryptionSettingsCollection": {
                "enabled": True,
                "encryptionSettings": settings,
                "encryptionSettingsVersion": version,
            },
        },
    }


def extension(
    operation: str = "EnableEncryption",
    volumes: str = "All",
    system: str = "Linux",
    *,
    dual: bool = False,
    sequence: str | None = SECOND,
    ran: bool = False,
) -> dict[str, Any]:
    settings = {
        "EncryptionOperation": operation,
        "VolumeType": volumes,
        **({"SequenceVersion": sequence} if sequence else {}),
    }
    if operation != "DisableEncryption":
        settings |= {
            "KeyVaultURL": "https://contoso-kv.vault.azure.net/",
            "KeyVaultResourceId": VAULT,
            **(APPLICATION if dual else {}),
        }
    kind = "AzureDiskEncryption" if system == "Windows" else "AzureDiskEncryptionForLinux"
    return {
        "type": "Microsoft.Compute/virtualMachines/extensions",
        "id": f"{MACHINE}/extensions/{kind}",
        "name": f"web-01/{kind}",
        "location": "westeurope",
        "properties": {
            "publisher": "Microsoft.Azure.Security",
            "type": kind,
            "typeHandlerVersion": (DUAL if dual else SINGLE)[system],
            "settings": settings,
            **({"provisioningState": "Succeeded"} if ran else {}),
        },
    }


def report_of(*documents: dict[str, Any]) -> Report:
    return check_documents([(each, None) for each in documents])


def problems(report: Report) -> Iterator[str]:
    for each in report.violations:
        if each.rule.id == "transition":
            yield from (compared.value for compared in each.compared)


def missing(report: Report) -> list[str]:
    return [
        one for each in report.not_checked if each.rule.id == "transition" for one in each.missing
    ]


DUAL_RAN = extension(dual=True, sequence=FIRST, ran=True)
SINGLE_RAN = extension(sequence=FIRST, ran=True)
UNMARKED = extension(sequence=None)
WINDOWS_RAN = extension(system="Windows", sequence=FIRST, ran=True)


@pytest.mark.parametrize(
    ("documents", "words"),
    [
        (
            [machine(os_disk=True, data=True), extension("DisableEncryption", "Data")],
            "cannot be disabled while the OS volume is encrypted",
        ),
        (
            [machine(os_disk=False, data=False), extension("DisableEncryption", "Data")],
            "nothing is encrypted, so there is nothing to disable",
        ),
        (
            [machine("Windows", new=True), extension(volumes="Data", system="Windows")],
            "Windows data volumes cannot be encrypted without the OS volume",
        ),
        (
            [machine(os_disk=True, data=True), SINGLE_RAN, extension(volumes="OS")],
            "the volumes are All and can stay or widen to All",
        ),
        (
            [machine(os_disk=False, data=False), SINGLE_RAN, extension(sequence=FIRST)],
            "the sequence version is the last one's",
        ),
        (
            [machine(os_disk=True, data=True), DUAL_RAN, extension()],
            "encrypted with an application stays with it",
        ),
        (
            [machine(os_disk=True, data=True), encrypted_disk("os", "1.1"), extension(dual=True)],
            "encrypted without an application takes none",
        ),
        (
            [machine(os_disk=False, data=False), extension("UpdateEncryptionSettings")],
            "no settings to update",
        ),
    ],
)
def test_what_may_not_follow_is_an_error(documents: list[dict[str, Any]], words: str) -> None:
    report = report_of(*documents)
    assert any(words in each for each in problems(report))
    assert not missing(report)


@pytest.mark.parametrize(
    "documents",
    [
        [machine(os_disk=False, data=True), SINGLE_RAN, extension("DisableEncryption", "Data")],
        [machine("Windows", new=True), extension(system="Windows")],
        [machine("Windows", os_disk=True, data=False), WINDOWS_RAN, extension(system="Windows")],
        [machine(os_disk=True, data=True), DUAL_RAN, extension(dual=True)],
        [machine(os_disk=True, data=True), encrypted_disk("os", "1.1"), UNMARKED],
        [machine(new=True), extension()],
        [machine(os_disk=True, data=True), SINGLE_RAN],
    ],
)
def test_what_may_follow_is_none(documents: list[dict[str, Any]]) -> None:
    report = report_of(*documents)
    assert not list(problems(report))
    assert not missing(report)


def test_what_a_machine_has_is_asked_for_where_nobody_tells_it() -> None:
    report = report_of(extension("DisableEncryption", "Data"))
    assert missing(report) == [
        "what is encrypted of VM web-01",
        "with which generation VM web-01 was encrypted",
        "the last sequence version of VM web-01",
    ]
    assert not list(problems(report))


def test_a_sequence_version_that_may_have_been_used_is_not_checked() -> None:
    report = report_of(machine(os_disk=True, data=True), encrypted_disk("os", "1.1"), extension())
    assert missing(report) == ["the last sequence version of VM web-01"]
    assert not list(problems(report))


def test_of_two_extensions_that_ran_nobody_knows_which_was_last() -> None:
    other = extension("DisableEncryption", "Data", sequence=SECOND, ran=True)
    report = report_of(SINGLE_RAN, other, extension(sequence=FIRST))
    assert missing(report)


def test_an_extension_within_its_machines_document_ran_on_it() -> None:
    shown = {**machine(os_disk=True, data=True), "resources": [SINGLE_RAN]}
    assert any(
        "sequence version" in each for each in problems(report_of(shown, extension(sequence=FIRST)))
    )
    assert not list(problems(report_of(shown, extension())))


def test_what_is_no_list_of_extensions_is_no_traceback() -> None:
    odd = {**machine(), "resources": "none", "id": "web-01"}
    rules = {each.rule.id for each in report_of(odd, extension()).violations}
    assert "document" in rules


@pytest.mark.parametrize(
    "other",
    [
        {"type": "Microsoft.Resources/resourceGroups", "id": "/subscriptions/x/resourceGroups/y"},
        {"type": "Microsoft.Compute/virtualMachines/extensions", "id": "/subscriptions/x"},
    ],
)
def test_the_ids_of_what_is_none_of_ours_are_not_looked_at(other: dict[str, Any]) -> None:
    shown = machine(os_disk=True, data=True)
    assert list(problems(report_of(shown, other, extension("DisableEncryption", "Data"))))
