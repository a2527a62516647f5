"""What is asked of the service: nothing for an RSA wrap, one request for an unwrap."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from azure.keyvault.keys.crypto import KeyWrapAlgorithm

from keyhier.azure_disk import Placing, protect
from keyhier.errors import (
    AlreadyExistsError,
    CapacityError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.identifiers import KeyId
from keyhier.volume import BitLockerKey
from keyhier_azure.keys import FRESH_SECONDS
from tests.azure.sdk import crypto_client, key_client

if TYPE_CHECKING:
    import keyhier
    from keyhier.testing.keyvault import KeyVault
    from tests.azure.conftest import OpenVault


def test_an_rsa_wrap_asks_nothing_and_an_unwrap_once(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    keyvault.requests.clear()
    wrapped = [key.wrap(b"secret") for _ in range(5)]
    assert keyvault.requests.count() == 0
    for envelope in wrapped:
        with vault.unwrap(envelope) as opened:
            assert opened == b"secret"
    assert keyvault.requests.count() == keyvault.requests.count("unwrap_key", 200) == 5


def test_the_first_unwrap_of_a_program_takes_two_requests_more(
    keyvault: KeyVault, vault: keyhier.Vault, open_vault: OpenVault
) -> None:
    wrapped = vault.create_key("kek", "RSA-2048").wrap(b"secret")
    newcomer = open_vault(keyvault)
    keyvault.requests.clear()
    with newcomer.unwrap(wrapped) as opened:
        assert opened == b"secret"
    assert keyvault.requests.count() <= 3


def test_the_first_wrap_of_a_program_reads_the_key_once(
    keyvault: KeyVault, vault: keyhier.Vault, open_vault: OpenVault
) -> None:
    vault.create_key("kek", "RSA-2048")
    newcomer = open_vault(keyvault)
    keyvault.requests.clear()
    newcomer.key("kek").wrap(b"secret")
    assert keyvault.requests.count("get_key", 200) == 1
    assert keyvault.requests.count() <= 2


def test_a_symmetric_wrap_is_made_by_the_service_and_opened_before_it_is_handed_out(
    managed_hsm: KeyVault, hsm: keyhier.Vault
) -> None:
    key = hsm.create_key("kek", "AES-256")
    managed_hsm.requests.clear()
    key.wrap(b"secret")
    asked = [request.route for request in managed_hsm.requests.all()]
    assert asked == ["wrap_key", "unwrap_key"]


def test_a_symmetric_wrap_opens_again_where_the_sdks_own_is_lost(
    managed_hsm: KeyVault, hsm: keyhier.Vault, open_vault: OpenVault
) -> None:
    key = hsm.create_key("kek", "AES-256")
    secret = bytes(range(32))
    # Ours, in another program.
    wrapped = key.wrap_raw(secret)
    again = open_vault(managed_hsm, kind="managedhsm").key("kek", key.version)
    with again.unwrap_raw(wrapped) as opened:
        assert opened == secret
    # The SDK's: it sends nothing, and wraps with a key that it drew itself and forgets.
    with crypto_client(managed_hsm, "kek") as crypto:
        managed_hsm.requests.clear()
        lost = crypto.wrap_key(KeyWrapAlgorithm.aes_256, secret)
        assert managed_hsm.requests.count("wrap_key") == 0
        assert lost.key_id == str(key.id)
    with pytest.raises(UnwrapError):
        again.unwrap_raw(lost.encrypted_key)


def _protect_with_too_small_a_kek(vault: keyhier.Vault) -> None:
    with BitLockerKey.generate(description="x" * 41) as large:
        protect(large, Placing("web-01", "C:"), kek=vault.key("kek"))


@pytest.mark.parametrize(
    ("use", "expected"),
    [
        (lambda vault: vault.create_key("new", "AES-256"), UnsupportedError),
        (lambda vault: vault.create_key("new", "RSA-1024"), InvalidInputError),
        (lambda vault: vault.create_key("new", "RSA-2048", extractable=True), UnsupportedError),
        (lambda vault: vault.create_key("no_name", "RSA-2048"), InvalidInputError),
        (lambda vault: vault.import_key("new", bytes(32)), UnsupportedError),
        (lambda vault: vault.key("kek").wrap_raw(bytes(215), "RSA-OAEP"), CapacityError),
        (lambda vault: vault.key("kek").wrap_raw(bytes(32), "A256KW"), UnsupportedError),
        (lambda vault: vault.key("kek").unwrap_raw(bytes(255), "RSA-OAEP"), InvalidInputError),
        (_protect_with_too_small_a_kek, CapacityError),
        (lambda vault: vault.secrets.set("disk/1", "text"), InvalidInputError),
    ],
    ids=[
        *("AES in a Key Vault", "RSA too small", "extractable", "no name", "AES imported"),
        *("too long", "another key's algorithm", "too short", "KEK too small", "no secret's name"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_but_the_key_is_asked_for(
    keyvault: KeyVault,
    vault: keyhier.Vault,
    use: Callable[[keyhier.Vault], object],
    expected: type[KeyhierError],
) -> None:
    vault.create_key("kek", "RSA-2048")
    keyvault.requests.clear()
    with pytest.raises(expected):
        use(vault)
    assert keyvault.requests.count() == keyvault.requests.count("get_key")


def test_every_id_carries_its_version(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    assert wrapped.kid == key.id
    assert len(wrapped.kid.version) == 32
    stored = vault.secrets.set("disk", "text")
    assert len(stored.id.version) == 32
    assert KeyId.parse(str(key.id)) == key.id


def test_creating_a_key_twice_makes_no_second_version(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    keyvault.requests.clear()
    with pytest.raises(AlreadyExistsError):
        vault.create_key("kek", "RSA-2048")
    assert keyvault.requests.count("create_key") == 0
    assert [version.id for version in key.versions()] == [key.id]


def test_keys_are_made_to_wrap_and_unwrap_and_for_nothing_else(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    vault.create_key("kek", "RSA-2048")
    with key_client(keyvault) as client:
        key = client.get_key("kek")
    assert set(key.key_operations) == {"wrapKey", "unwrapKey"}
    assert key.key_type == "RSA"


def test_keys_are_made_in_the_hsm_where_the_uri_says_so(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    vault = open_vault(keyvault, protection="hsm")
    vault.create_key("kek", "RSA-2048")
    with key_client(keyvault) as client:
        assert client.get_key("kek").key_type == "RSA-HSM"


def test_a_key_disabled_by_somebody_else_stops_wrapping_within_the_bounded_age(
    keyvault: KeyVault,
    vault: keyhier.Vault,
    open_vault: OpenVault,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    open_vault(keyvault).key("kek").disable()
    # The service knows at once, and we do when the description is asked for again.
    with pytest.raises(InvalidStateError, match="disabled"):
        vault.unwrap(wrapped)
    keyvault.requests.clear()
    passed, monotonic = 0.0, time.monotonic
    monkeypatch.setattr(time, "monotonic", lambda: monotonic() + passed)
    passed = FRESH_SECONDS - 60
    key.wrap(b"secret")
    assert keyvault.requests.count() == 0
    passed = FRESH_SECONDS
    with pytest.raises(InvalidStateError, match="disabled"):
        key.wrap(b"secret")
    assert keyvault.requests.count() == keyvault.requests.count("get_key", 200) == 1


def test_an_answer_with_another_key_is_not_believed(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap_raw(b"secret")
    keyvault.faults.add(
        "unwrap_key",
        status=200,
        document={"kid": f"{keyvault.url}/keys/other/{key.version}", "value": "c2VjcmV0"},
    )
    with pytest.raises(IntegrityError, match="another key"):
        key.unwrap_raw(wrapped)
    keyvault.faults.add("unwrap_key", status=200, document={"kid": str(key.id)})
    with pytest.raises(IntegrityError, match="cannot be read"):
        key.unwrap_raw(wrapped)
