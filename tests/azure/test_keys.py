"""Keys of a vault: validity, versions, imports, backups, random bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from keyhier.errors import (
    AlreadyExistsError,
    InvalidStateError,
    NotFoundError,
    UnsupportedError,
)
from tests.azure.sdk import key_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.keyvault.keys import KeyClient

    import keyhier
    from keyhier.testing.keyvault import KeyVault


@pytest.fixture
def client(keyvault: KeyVault) -> Iterator[KeyClient]:
    """The SDK's own client of the same vault."""
    with key_client(keyvault) as made:
        yield made


@pytest.mark.parametrize(("begins", "ends"), [(1, 2), (-2, -1)])
def test_outside_of_its_validity_a_key_unwraps_and_does_not_wrap(
    vault: keyhier.Vault, client: KeyClient, begins: int, ends: int
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    now = datetime.now(UTC)
    client.update_key_properties(
        "kek", not_before=now + timedelta(days=begins), expires_on=now + timedelta(days=ends)
    )
    key.refresh()
    with pytest.raises(InvalidStateError):
        key.wrap(b"secret")
    with key.unwrap(wrapped) as opened:
        assert opened == b"secret"


def test_two_versions_that_are_made_at_once_have_an_order(vault: keyhier.Vault) -> None:
    first = vault.create_key("kek", "RSA-2048")
    second = first.rotate()
    third = second.rotate()
    assert [key.id for key in third.versions()] == [first.id, second.id, third.id]
    created = [key.created for key in third.versions()]
    assert len(set(created)) == 3


def test_an_imported_key_is_the_one_that_was_made_elsewhere(
    vault: keyhier.Vault, rsa_der: bytes
) -> None:
    key = vault.import_key("taken-over", rsa_der)
    with vault.unwrap(key.wrap(b"secret")) as opened:
        assert opened == b"secret"
    with pytest.raises(AlreadyExistsError):
        vault.import_key("taken-over", rsa_der)


def test_a_key_vault_makes_and_takes_no_aes_keys(vault: keyhier.Vault) -> None:
    with pytest.raises(UnsupportedError, match="RSA-2048"):
        vault.create_key("kek", "AES-256")
    with pytest.raises(UnsupportedError, match="AES-256"):
        vault.import_key("kek", bytes(32))


def test_a_managed_hsm_has_a_generator_and_no_secrets(hsm: keyhier.Vault) -> None:
    with hsm.random_bytes(300) as one, hsm.random_bytes(300) as two:
        assert len(one) == 300
        assert one != two
    assert not hsm.capabilities.secrets
    with pytest.raises(UnsupportedError, match="hold secrets"):
        hsm.secrets.get("disk")


def test_a_key_vault_has_no_generator(vault: keyhier.Vault) -> None:
    with pytest.raises(UnsupportedError):
        vault.random_bytes(1)


@pytest.mark.parametrize(("spec", "algorithm"), [("AES-128", "A128KW"), ("AES-192", "A192KW")])
def test_the_size_of_an_aes_key_is_known_again(
    hsm: keyhier.Vault, managed_hsm: KeyVault, spec: str, algorithm: str
) -> None:
    key = hsm.create_key("kek", spec)
    again = hsm.key("kek")
    assert (again.spec, again.algorithms) == (spec, (algorithm,))
    assert key.rotate().spec == spec


def test_an_aes_key_of_others_is_taken_for_one_of_256_bits(
    hsm: keyhier.Vault, managed_hsm: KeyVault
) -> None:
    with key_client(managed_hsm) as client:
        client.create_oct_key("large", size=256, hardware_protected=True)
        client.create_oct_key("small", size=128, hardware_protected=True)
    with hsm.unwrap(hsm.key("large").wrap(b"secret")) as opened:
        assert opened == b"secret"
    with pytest.raises(UnsupportedError, match="A256KW"):
        hsm.key("small").wrap(b"secret")


def test_an_extractable_key_is_refused(vault: keyhier.Vault) -> None:
    with pytest.raises(UnsupportedError, match="release policy"):
        vault.create_key("kek", "RSA-2048", extractable=True)


@pytest.mark.parametrize("version", ["", "1", "0" * 31, "0" * 32, "../x"])
def test_a_version_that_is_none_is_not_found(vault: keyhier.Vault, version: str) -> None:
    vault.create_key("kek", "RSA-2048")
    with pytest.raises(NotFoundError):
        vault.key("kek", version)


def test_a_name_is_the_same_in_any_case(vault: keyhier.Vault) -> None:
    key = vault.create_key("VM-Kek", "RSA-2048")
    assert vault.key("vm-kek").id == vault.key("VM-KEK").id == key.id


def test_a_backup_comes_back_where_the_key_was_purged(vault: keyhier.Vault) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    backup = vault.backup_key("kek")
    with pytest.raises(AlreadyExistsError):
        vault.restore_key(backup)
    key.delete(confirm="kek")
    vault.purge_key("kek", confirm="kek")
    vault.restore_key(backup)
    with vault.unwrap(wrapped) as opened:
        assert opened == b"secret"
