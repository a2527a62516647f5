"""Keys that are unwrapped into a memory vault."""

from __future__ import annotations

import os

import pytest

import keyhier
from keyhier.errors import InvalidStateError, UnsupportedError
from keyhier.vault import Vault

RECORD = "record:fleet/web/1"


def test_two_keys_of_one_value_are_two(memory_vault: Vault) -> None:
    outer, kek = memory_vault.create_key("outer", "AES-256"), os.urandom(32)
    wrapped = outer.wrap_raw(kek)
    first, second = (outer.unwrap_into(wrapped, key_id=RECORD) for _ in range(2))
    first.close()
    first.close()
    with second.unwrap(second.wrap(b"secret")) as opened:
        assert opened == b"secret"
    assert repr(second) == f"<SessionKey {RECORD}>"


def test_a_closed_vault_wipes_the_keys_that_were_unwrapped_into_it() -> None:
    with keyhier.open("memory:") as vault:
        outer = vault.create_key("outer", "RSA-2048")
        key = outer.unwrap_into(outer.wrap_raw(os.urandom(32)), key_id=RECORD)
        material = key._version.handle
    assert material.secret.wiped  # type: ignore[attr-defined]  # It is this backend's own.
    with pytest.raises(InvalidStateError):
        key.wrap(b"secret")
    key.close()


def test_garbage_is_no_key(memory_vault: Vault) -> None:
    outer = memory_vault.create_key("outer", "RSA-2048")
    with pytest.raises(UnsupportedError, match="garbage"):
        outer.unwrap_into(outer.wrap_raw(bytes(32), "RSA1_5"), "RSA1_5", key_id=RECORD)


def test_a_key_of_a_key_can_wrap_what_exists_only_raw(memory_vault: Vault) -> None:
    outer = memory_vault.create_key("outer", "AES-256", algorithm="A256KWP")
    wrapped = outer.wrap_raw(os.urandom(32))
    with outer.unwrap_into(wrapped, key_id=RECORD, purpose="A256GCM") as key:
        with key.unwrap_raw(key.wrap_raw(b"x", aad=b"header"), aad=b"header") as opened:
            assert opened == b"x"
        with pytest.raises(UnsupportedError, match="only raw"):
            key.wrap(b"x")
