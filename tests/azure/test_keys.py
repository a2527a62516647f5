"""Keys of a vault: validity, versions, imports, backups, random bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from keyhier import base64url
from keyhier.errors import (
    AlreadyExistsError,
    IntegrityError,
    InvalidStateError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from tests.azure.sdk import key_client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from azure.keyvault.keys import KeyClient

    import keyhier
    from keyhier.testing.keyvault import KeyVault
    from tests.azure.conftest import OpenVault


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


def test_a_version_that_was_deleted_meanwhile_does_not_unwrap(
    vault: keyhier.Vault, client: KeyClient
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    client.begin_delete_key("kek", _polling_interval=0.1).wait()
    with pytest.raises(InvalidStateError, match="soft-deleted"):
        vault.unwrap(wrapped)
    assert vault.deleted() == ["kek"]
    assert vault.recover_key("kek").id == key.id
    with vault.unwrap(wrapped) as opened:
        assert opened == b"secret"


def test_a_vault_that_keeps_a_version_enabled_is_told(
    keyvault: KeyVault, vault: keyhier.Vault, client: KeyClient
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    numbers = key.public_key.public_numbers() if key.public_key else None
    assert numbers is not None
    modulus = base64url.encode(numbers.n.to_bytes(256))
    answer = {
        "key": {"kid": str(key.id), "kty": "RSA", "n": modulus, "e": "AQAB"},
        "attributes": {"enabled": True},
    }
    keyvault.faults.add("update_key", status=200, document=answer)
    with pytest.raises(UnsupportedError, match="does not hold to"):
        key.disable()


def test_a_generator_that_gives_too_little_is_told(
    hsm: keyhier.Vault, managed_hsm: KeyVault
) -> None:
    managed_hsm.faults.add("random_bytes", status=200, document={"value": "AAAA"})
    with pytest.raises(IntegrityError, match="3 random bytes for 16"):
        hsm.random_bytes(16)


def test_a_deletion_that_takes_long_is_told(keyvault: KeyVault, open_vault: OpenVault) -> None:
    vault = open_vault(keyvault, timeout="1.5")
    key = vault.create_key("kek", "RSA-2048")
    keyvault.faults.add("get_deleted_key", status=404, times=None)
    with pytest.raises(UnavailableError, match="not deleted the key 'kek' yet"):
        key.delete(confirm="kek")


def test_who_may_delete_need_not_be_one_who_may_look(
    vault: keyhier.Vault, keyvault: KeyVault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    keyvault.faults.add("get_deleted_key", status=403)
    key.delete(confirm="kek")
