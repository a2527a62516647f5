"""Vaults of Azure examined."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

import keyhier
from keyhier.doctor import Severity
from keyhier.testing.keyvault import KeyVault
from tests.azure.conftest import OpenVault, uri_of
from tests.azure.sdk import key_client
from tests.memory.test_doctor import only


def test_a_good_vault_is_found_good_and_used_by_nobody(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    vault.create_key("kek", "RSA-2048")
    keyvault.requests.clear()
    diagnosis = vault.doctor()
    assert diagnosis.worst is Severity.NOTE
    checks = {finding.check for finding in diagnosis if finding.severity is Severity.OK}
    assert {"reach", "region", "clock", "keys", "rights.keys.unwrapKey"} <= checks
    assert "westeurope" in only(diagnosis, "region").found
    assert only(diagnosis, "keys").found == "1 keys, 0 of them disabled"
    assert "can be purged" in only(diagnosis, "keys.deletion").found
    assert keyvault.requests.count("unwrap_key", 200) == 0


def test_purge_protection_is_seen(open_vault: OpenVault) -> None:
    with KeyVault(purge_protection=True) as service:
        vault = open_vault(service)
        assert only(vault.doctor(), "keys.deletion").severity is Severity.NOTE
        vault.create_key("kek", "RSA-2048")
        assert only(vault.doctor(), "keys.deletion").severity is Severity.OK


def test_a_managed_hsm_is_not_asked_for_secrets(hsm: keyhier.Vault) -> None:
    assert not [each for each in hsm.doctor() if "secrets" in each.check]


def test_a_vault_that_cannot_be_reached_is_one_error(keyvault: KeyVault) -> None:
    with KeyVault() as stranger:
        uri = uri_of(keyvault, ca_file=stranger.ca_file)
        with keyhier.open(uri, credential=keyvault.credential()) as vault:
            (finding,) = vault.doctor()
    assert (finding.check, finding.severity) == ("reach", Severity.ERROR)
    assert "certificate" in finding.found


def test_a_right_that_is_missing_is_a_note_with_the_role(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    forbidden = {"error": {"code": "Forbidden", "innererror": {"code": "ForbiddenByRbac"}}}
    for route in ("unwrap_key", "list_secrets"):
        keyvault.faults.add(route, status=403, document=forbidden, times=None)
    diagnosis = vault.doctor()
    missing = [each for each in diagnosis if each.severity is Severity.NOTE and each.native]
    assert [each.check for each in missing] == ["rights.keys.unwrapKey", "rights.secrets.list"]
    assert "Key Vault Crypto Service Encryption User" in str(missing[0].remedy)
    keyvault.faults.add("list_keys", status=403, document=forbidden, times=None)
    diagnosis = vault.doctor()
    assert only(diagnosis, "reach").severity is Severity.OK
    assert only(diagnosis, "keys").severity is Severity.ERROR


@pytest.mark.parametrize("minutes", [-10, 10])
def test_a_clock_that_is_off_is_a_warning(
    keyvault: KeyVault, vault: keyhier.Vault, minutes: int
) -> None:
    there = format_datetime(datetime.now(UTC) + timedelta(minutes=minutes), usegmt=True)
    keyvault.faults.add("list_keys", headers={"Date": there})
    finding = only(vault.doctor(), "clock")
    assert finding.severity is Severity.WARNING
    assert ("ahead" if minutes < 0 else "behind") in finding.found


def test_keys_that_expire_are_told(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    now = datetime.now(UTC)
    with key_client(keyvault) as client:
        client.create_rsa_key("old", expires_on=now + timedelta(seconds=-5))
        client.create_rsa_key("ageing", expires_on=now + timedelta(days=5))
        client.create_rsa_key("off", enabled=False)
    diagnosis = vault.doctor()
    assert only(diagnosis, "keys").found == "3 keys, 1 of them disabled"
    assert only(diagnosis, "keys.expired").severity is Severity.WARNING
    assert "ageing" in only(diagnosis, "keys.expiring").found


def test_what_cannot_be_read_is_no_exception(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    page = {"value": [{"kid": 5}]}
    headers = {"x-ms-keyvault-region": "two words", "Date": "now"}
    keyvault.faults.add("list_keys", status=200, document=page, headers=headers, times=None)
    diagnosis = vault.doctor()
    assert only(diagnosis, "keys").severity is Severity.ERROR
    assert only(diagnosis, "region").severity is Severity.NOTE
    assert only(diagnosis, "clock").severity is Severity.NOTE
