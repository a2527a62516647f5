"""Key: what a key version says of itself, and how it is disabled, deleted and recovered."""

from __future__ import annotations

import base64
import hashlib
import json

import pytest

import keyhier
from keyhier import SecretBytes, Vault
from keyhier.errors import (
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnwrapError,
)
from tests import jwe
from tests.keys import ENVELOPE_KEYS, RAW_KEYS, key_for, material, private_key

SECRET = b"what opens the disk, 156 bytes or so" * 4
CONTEXT = {"vm": "web-01", "volume": "C: café"}

every_envelope = pytest.mark.parametrize("algorithm", ENVELOPE_KEYS)
every_raw = pytest.mark.parametrize("algorithm", RAW_KEYS)


def _raw_secret(algorithm: str) -> bytes:
    return bytes(range(32)) if algorithm.endswith("KW") else b"32 bytes and one more for a limit"


def _opened(secret: SecretBytes) -> bytes:
    with secret:
        return secret.reveal()


# ------------------------------------------------------------------ the key itself


def test_an_rsa_key_shows_its_public_half_and_its_thumbprint(memory_vault: Vault) -> None:
    key = memory_vault.import_key("kek", material("RSA-2048"))
    public = private_key(1).public_key()
    assert key.public_key is not None
    assert key.public_key.public_numbers() == public.public_numbers()
    numbers = public.public_numbers()
    # RFC 7638, section 3: the required members in lexicographic order, without white space.
    text = json.dumps(
        {"e": "AQAB", "kty": "RSA", "n": jwe.encode(numbers.n.to_bytes(256, "big"))},
        separators=(",", ":"),
    )
    digest = hashlib.sha256(text.encode()).digest()
    assert key.thumbprint == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert key.wrap(SECRET).thumbprint == key.thumbprint


def test_an_aes_key_has_neither_public_half_nor_thumbprint(memory_vault: Vault) -> None:
    key = memory_vault.create_key("kek", "AES-256")
    assert key.public_key is None
    assert key.thumbprint is None
    assert key.default_reason is None


def test_a_key_says_what_it_is_and_shows_nothing_secret(memory_vault: Vault) -> None:
    key = memory_vault.import_key("kek", jwe.KEK)
    assert (key.name, key.spec, key.enabled) == ("kek", "AES-256", True)
    assert key.id == keyhier.KeyId("memory", "", "kek", key.version)
    assert key.created is not None
    assert key.created.utcoffset() is not None
    assert repr(key) == f"<Key {key.id}>"


def test_a_version_opens_only_what_it_wrapped(memory_vault: Vault) -> None:
    first = memory_vault.create_key("kek", "AES-256")
    second = first.rotate()
    assert first.versions() == [first, second]
    assert memory_vault.key("kek") is second
    wrapped = first.wrap(SECRET)
    assert first.unwrap(wrapped) == SECRET
    with pytest.raises(UnwrapError):
        second.unwrap(wrapped)
    assert memory_vault.unwrap(wrapped) == SECRET


@every_raw
def test_a_disabled_version_neither_wraps_nor_unwraps(algorithm: str, memory_vault: Vault) -> None:
    key = key_for(memory_vault, algorithm)
    raw = key.wrap_raw(_raw_secret(algorithm), algorithm)
    envelope = key.wrap(SECRET, algorithm=algorithm) if algorithm in ENVELOPE_KEYS else None
    key.disable()
    assert not key.enabled
    with pytest.raises(InvalidStateError, match="disabled"):
        key.wrap_raw(_raw_secret(algorithm), algorithm)
    with pytest.raises(InvalidStateError, match="disabled"):
        key.unwrap_raw(raw, algorithm)
    if envelope is not None:
        with pytest.raises(InvalidStateError, match="disabled"):
            key.wrap(SECRET, algorithm=algorithm)
        for unwrap in (key.unwrap, memory_vault.unwrap):
            with pytest.raises(InvalidStateError, match="disabled"):
                unwrap(envelope)
    key.enable()
    assert memory_vault.key("kek").enabled
    assert _opened(key.unwrap_raw(raw, algorithm)) == _raw_secret(algorithm)


def test_everybody_who_holds_a_version_sees_that_it_was_disabled(memory_vault: Vault) -> None:
    one = memory_vault.create_key("kek", "RSA-2048")
    memory_vault.key("kek").disable()
    assert not one.enabled
    with pytest.raises(InvalidStateError, match="disabled"):
        one.wrap(SECRET)


def test_a_key_is_deleted_only_when_its_name_is_given_again(memory_vault: Vault) -> None:
    key = memory_vault.create_key("kek", "RSA-2048")
    for confirm in ("", "KEK", "kek ", str(key.id)):
        with pytest.raises(InvalidInputError, match="give its name again"):
            key.delete(confirm=confirm)
    assert key.enabled
    wrapped = key.wrap(SECRET)
    second = key.rotate()
    key.delete(confirm="kek")
    for gone in (key, second):
        assert not gone.enabled
        for use in (gone.wrap, gone.wrap_raw):
            with pytest.raises(InvalidStateError, match="deleted"):
                use(SECRET)
    with pytest.raises(InvalidStateError, match="soft-deleted"):
        key.unwrap(wrapped)
    with pytest.raises(NotFoundError):
        key.delete(confirm="kek")


def test_a_recovered_key_works_again_for_everybody_who_holds_it(memory_vault: Vault) -> None:
    first = memory_vault.create_key("kek", "RSA-2048")
    second = first.rotate()
    wrapped = first.wrap(SECRET)
    first.delete(confirm="kek")
    assert memory_vault.recover_key("kek") is second
    assert second.enabled
    assert second.unwrap(second.wrap(SECRET)) == SECRET
    assert memory_vault.unwrap(wrapped) == SECRET
    first.refresh()
    assert first.enabled
    assert first.unwrap(first.wrap(SECRET)) == SECRET


def test_a_purged_key_opens_nothing_any_more(memory_vault: Vault) -> None:
    key = memory_vault.create_key("kek", "AES-256")
    wrapped = key.wrap(SECRET)
    key.delete(confirm="kek")
    memory_vault.purge_key("kek", confirm="kek")
    with pytest.raises(UnwrapError):
        memory_vault.unwrap(wrapped)
    with pytest.raises(NotFoundError):
        key.refresh()


def test_refresh_asks_the_vault_again(memory_vault: Vault) -> None:
    key = memory_vault.create_key("kek", "AES-256")
    key.refresh()
    assert key.enabled


def test_a_version_is_made_once_for_a_tag(memory_vault: Vault) -> None:
    key = memory_vault.create_key("tagged", "AES-256")
    made = key.rotate(tag="job")
    assert key.rotate(tag="job").id == made.id
    assert key.rotate(tag="another").id != made.id
    with pytest.raises(InvalidInputError, match="tag"):
        key.rotate(tag="")


def test_an_id_is_told_without_asking_the_vault(memory_vault: Vault) -> None:
    vault = memory_vault
    made = vault.create_key("named", "AES-256")
    for given in ("named", str(made.id), str(made.id.versionless)):
        assert vault.id_of(given) == made.id.versionless
    assert str(vault.id_of("nothing")) == "memory:nothing"
    with pytest.raises(InvalidInputError):
        vault.id_of("not a name")
