"""What a vault must have for its uses, and what an instance view tells."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import attrs
import pytest
from referencing import Registry

from keyhier.azure_disk.az import az_grant, az_vault_update
from keyhier.azure_disk.readiness import (
    APPLICATION_GRANT,
    SET_GRANT,
    Policy,
    VaultUse,
    check_readiness,
    read_policies,
)
from keyhier.azure_disk.status import EncryptionState, read_status
from keyhier.doctor import Severity
from keyhier.errors import InvalidInputError, UnsupportedError
from keyhier.placement import UNKNOWN
from keyhier.placement.model import VaultResource
from tests.azure_disk import arm_schemas
from tests.placement.scenes import TENANT, VAULT, VAULT_ID

PRINCIPAL = "0c421105-9e6b-4a09-bcda-fa4ddd2e70da"
POLICIES = attrs.evolve(VAULT, rbac=False)
FIELDS = {
    VaultUse.ADE: "for_disk_encryption",
    VaultUse.ADE_WITH_APPLICATION: "for_disk_encryption",
    VaultUse.DEPLOYMENT: "for_deployment",
    VaultUse.TEMPLATE: "for_template_deployment",
    VaultUse.ENCRYPTION_SET: "purge_protection",
}


@pytest.mark.parametrize("use", VaultUse)
@pytest.mark.parametrize(
    ("value", "severity"),
    [(True, Severity.OK), (False, Severity.ERROR), (UNKNOWN, Severity.WARNING)],
)
def test_each_use_needs_its_flag(use: VaultUse, value: Any, severity: Severity) -> None:
    vault = attrs.evolve(VAULT, **{FIELDS[use]: value})
    first, *_ = check_readiness(vault, [use])
    assert first.severity is severity
    assert (first.remedy is None) == (severity is Severity.OK)


def policy(keys: set[str], secrets: set[str] = frozenset()) -> Policy:  # type: ignore[assignment]  # Empty.
    return Policy(PRINCIPAL.upper(), frozenset(keys), frozenset(secrets))


@pytest.mark.parametrize(
    ("use", "policies", "severity"),
    [
        (VaultUse.ENCRYPTION_SET, [policy({"get", "wrapkey", "unwrapkey"})], Severity.OK),
        (VaultUse.ENCRYPTION_SET, [policy({"get"}), policy({"wrapkey", "unwrapkey"})], Severity.OK),
        (VaultUse.ENCRYPTION_SET, [policy({"all"})], Severity.OK),
        (VaultUse.ENCRYPTION_SET, [policy({"get", "wrapkey"})], Severity.ERROR),
        (VaultUse.ENCRYPTION_SET, [], Severity.ERROR),
        (VaultUse.ENCRYPTION_SET, UNKNOWN, Severity.WARNING),
        (VaultUse.ADE_WITH_APPLICATION, [policy({"wrapkey"}, {"set"})], Severity.OK),
        (VaultUse.ADE_WITH_APPLICATION, [policy({"wrapkey"})], Severity.ERROR),
    ],
)
def test_access_is_looked_up_in_the_policies(
    use: VaultUse, policies: Any, severity: Severity
) -> None:
    *_, access = check_readiness(POLICIES, [use], principal=PRINCIPAL, policies=policies)
    assert access.check == f"vault-access-{use}"
    assert access.severity is severity


def test_roles_are_not_in_the_document_and_so_not_checked() -> None:
    *_, access = check_readiness(VAULT, [VaultUse.ENCRYPTION_SET], principal=PRINCIPAL, policies=[])
    assert access.severity is Severity.WARNING
    assert "Key Vault Crypto Service Encryption User" in str(access.remedy)
    *_, access = check_readiness(VAULT, [VaultUse.ADE_WITH_APPLICATION], principal=PRINCIPAL)
    assert access.severity is Severity.ERROR


def test_several_uses_are_checked_together() -> None:
    found = check_readiness(VaultResource(), [VaultUse.ADE, VaultUse.TEMPLATE, VaultUse.ADE])
    assert [each.check for each in found] == ["vault-disk-encryption", "vault-template-deployment"]
    assert all(each.severity is Severity.WARNING for each in found)


@pytest.mark.parametrize("grant", [SET_GRANT, APPLICATION_GRANT])
def test_a_grant_is_a_valid_resource(grant: Any, material: Path) -> None:
    known: Registry[Any] = arm_schemas.registry(material / "azure" / "arm-schemas")
    resource = grant.as_policy("contoso-kv", TENANT, PRINCIPAL)
    arm_schemas.validate(
        known,
        "2026-02-01/Microsoft.KeyVault.json",
        "resourceDefinitions/vaults_accessPolicies",
        resource,
    )
    (read,) = read_policies(resource)
    assert read.principal == PRINCIPAL
    assert read.keys == {each.casefold() for each in grant.keys}


def test_a_grant_names_a_vault() -> None:
    with pytest.raises(InvalidInputError, match="is no name of a key vault"):
        SET_GRANT.as_policy("kv', reference('x'), '", TENANT, PRINCIPAL)


def test_a_role_is_given_where_there_is_one() -> None:
    one = SET_GRANT.as_role_assignment(VAULT_ID, PRINCIPAL)
    assert one == SET_GRANT.as_role_assignment(VAULT_ID, PRINCIPAL)
    assert one["scope"] == str(VAULT_ID)
    assert one["properties"]["principalId"] == PRINCIPAL
    with pytest.raises(UnsupportedError, match="no role gives"):
        APPLICATION_GRANT.as_role_assignment(VAULT_ID, PRINCIPAL)


def test_a_grant_is_one_command() -> None:
    words = shlex.split(az_grant(VAULT, PRINCIPAL, SET_GRANT))
    assert words[:4] == ["az", "role", "assignment", "create"]
    assert words[-4:] == ["--scope", str(VAULT_ID), "--assignee-object-id", PRINCIPAL]
    words = shlex.split(az_grant(POLICIES, PRINCIPAL, SET_GRANT))
    assert words[-6:-2] == ["--key-permissions", "get", "unwrapKey", "wrapKey"]
    assert words[-2:] == ["--object-id", PRINCIPAL]
    line = az_grant(POLICIES, PRINCIPAL, APPLICATION_GRANT)
    assert f"--key-permissions wrapKey --secret-permissions set --object-id {PRINCIPAL}" in line
    with pytest.raises(UnsupportedError, match="no role gives"):
        az_grant(VAULT, PRINCIPAL, APPLICATION_GRANT)
    with pytest.raises(InvalidInputError, match="depends on the vault's id"):
        az_grant(VaultResource(), PRINCIPAL, SET_GRANT)


def test_what_a_vault_lacks_is_one_command() -> None:
    wanted = VaultResource(for_disk_encryption=True, purge_protection=True)
    words = shlex.split(az_vault_update(VAULT_ID, wanted))
    assert words[:3] == ["az", "keyvault", "update"]
    assert words[-4:] == [
        *("--enabled-for-disk-encryption", "true"),
        *("--enable-purge-protection", "true"),
    ]


# The status


def recorded(material: Path) -> list[dict[str, Any]]:
    recording = material / "azure" / "ade-recordings" / "net-CanEncrypt.json"
    entries = json.loads(recording.read_text(encoding="utf-8-sig"))["Entries"]
    return [
        json.loads(entry["ResponseBody"])
        for entry in entries
        if "EncryptionState/" in entry["ResponseBody"]
    ]


def test_recorded_views_tell_how_far_encryption_is(material: Path) -> None:
    read = [read_status(body) for body in recorded(material)]
    encrypted = [each for each in read if each.finished]
    assert encrypted
    for each in encrypted:
        (disk,) = each.disks
        assert disk.settings[0].secret
        assert disk.settings[0].secret.secret.version
    linux = read[-1]
    # The disk is marked as encrypted long before the guest is done.
    assert linux.disks[0].state is EncryptionState.ENCRYPTED
    assert (linux.os, linux.data) == (EncryptionState.IN_PROGRESS, EncryptionState.IN_PROGRESS)
    assert not linux.finished
    assert linux.extension_version == "1.1.0.44"
    assert linux.message == "Encryption succeeded for data volumes"


def test_a_view_alone_is_read_too() -> None:
    view = {
        "disks": [
            {"name": "os", "statuses": [{"code": "EncryptionState/notEncrypted"}]},
            {"name": "data", "statuses": [{"code": "ProvisioningState/succeeded"}]},
        ],
        "extensions": [{"type": "Microsoft.Compute.CustomScript"}],
    }
    status = read_status(view)
    assert [disk.state for disk in status.disks] == [
        EncryptionState.NOT_ENCRYPTED,
        EncryptionState.UNKNOWN,
    ]
    assert not status.finished
    assert not read_status({}).finished


@pytest.mark.parametrize("message", [None, "all good", "[1]", "[" * 9999, '{"os": 7}'])
def test_a_substatus_that_says_nothing_is_no_error(message: str | None) -> None:
    extension = {
        "type": "Microsoft.Azure.Security.AzureDiskEncryptionForLinux",
        "substatuses": [{"message": message}],
    }
    status = read_status({"instanceView": {"extensions": [extension]}})
    assert (status.os, status.data) == (EncryptionState.UNKNOWN, EncryptionState.UNKNOWN)


def test_a_malformed_view_is_refused_with_the_place() -> None:
    with pytest.raises(InvalidInputError, match="/instanceView/disks: a list belongs here"):
        read_status({"instanceView": {"disks": "none"}})
