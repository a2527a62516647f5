"""Keys that are unwrapped into the vault, against `cryptography`, which holds the same keys."""

from __future__ import annotations

import os
from typing import Final

import pytest
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyhier.algorithms import GCM_IV_BYTES, KeySpec, WrapAlgorithm, algorithms_for
from keyhier.errors import InvalidInputError, InvalidStateError, UnwrapError
from keyhier.identifiers import KeyId
from keyhier.session_key import SessionKey
from keyhier.testing.contract.requirements import each_algorithm, needs
from keyhier.testing.contract.under_test import VaultUnderTest, latest_keys
from keyhier.vault import Key

__all__ = ["SessionKeys"]

# What a key may be wrapped with on its way into a vault.
TRANSPORTS: Final = sorted(
    {
        WrapAlgorithm.RSA_OAEP,
        WrapAlgorithm.RSA_OAEP_256,
        WrapAlgorithm.RSA_AES_KWP,
        WrapAlgorithm.A128KW,
        WrapAlgorithm.A192KW,
        WrapAlgorithm.A256KW,
        WrapAlgorithm.A256KWP,
    }
)
PURPOSES: Final = sorted(
    {known for spec in KeySpec for known in algorithms_for(spec) if known.startswith("A")}
)
RECORD: Final = "record:contract/session-key/1"
SECRET: Final = bytes(range(32))


class SessionKeys:
    """A wrapped key goes into the vault, is used there, and does not come out."""

    @each_algorithm(TRANSPORTS, "unwraps_into")
    def test_a_key_unwrapped_into_the_vault_is_the_one_that_was_wrapped(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        kek = os.urandom(32)
        with _unwrapped(under_test.key(algorithm), algorithm, kek) as key:
            assert (key.id, key.algorithm) == (KeyId.parse(RECORD), WrapAlgorithm.A256KW)
            assert key.spec is KeySpec.AES_256
            wrapped = key.wrap_raw(SECRET)
            assert wrapped == keywrap.aes_key_wrap(kek, SECRET)
            with key.unwrap_raw(wrapped) as opened:
                assert opened == SECRET

    @each_algorithm(PURPOSES, "unwraps_into")
    def test_it_is_for_the_one_algorithm_that_was_named(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        transport = _transport(under_test)
        kek = os.urandom(int(algorithm[1:4]) // 8)
        with _unwrapped(under_test.key(transport), transport, kek, algorithm) as key:
            assert (key.algorithm, key.spec.size) == (algorithm, len(kek))
            assert _opened_outside(algorithm, kek, key.wrap_raw(SECRET)) == SECRET

    @needs("unwraps_into")
    def test_its_envelopes_name_the_record_and_open_when_it_is_unwrapped_again(
        self, under_test: VaultUnderTest
    ) -> None:
        transport = _transport(under_test)
        outer, kek, context = under_test.key(transport), os.urandom(32), {"vm": "web-01"}
        with _unwrapped(outer, transport, kek) as key:
            envelope = key.wrap(b"a volume key", context=context)
        assert envelope.kid == KeyId.parse(RECORD)
        with (
            _unwrapped(outer, transport, kek) as again,
            again.unwrap(str(envelope), context=context) as opened,
        ):
            assert opened == b"a volume key"
        with _unwrapped(outer, transport, os.urandom(32)) as other, pytest.raises(UnwrapError):
            other.unwrap(str(envelope), context=context)

    @needs("unwraps_into")
    def test_it_is_no_key_of_the_vault_and_is_gone_when_closed(
        self, under_test: VaultUnderTest
    ) -> None:
        transport = _transport(under_test)
        outer = under_test.key(transport)
        before = {key.id for key in latest_keys(under_test.vault)}
        with _unwrapped(outer, transport, os.urandom(32)) as key:
            wrapped = key.wrap_raw(SECRET)
            assert {known.id for known in latest_keys(under_test.vault)} == before
        key.close()
        for use in (lambda: key.wrap_raw(SECRET), lambda: key.unwrap_raw(wrapped)):
            with pytest.raises(InvalidStateError):
                use()

    @each_algorithm(TRANSPORTS, "unwraps_into")
    def test_promise_3_what_does_not_unwrap_into_the_vault_is_told_in_one_way(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        outer = under_test.key(algorithm)
        good = outer.wrap_raw(os.urandom(32), algorithm)
        for bad in (bytes([good[0] ^ 1]) + good[1:], good[:-1] + bytes([good[-1] ^ 1])):
            with pytest.raises(UnwrapError) as caught:
                outer.unwrap_into(bad, algorithm, key_id=RECORD)
            assert (caught.value.__cause__, caught.value.__context__) == (None, None)

    @each_algorithm(TRANSPORTS, "unwraps_into")
    def test_a_key_of_another_size_is_not_unwrapped_into_the_vault(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        outer = under_test.key(algorithm)
        wrapped = outer.wrap_raw(os.urandom(16), algorithm)
        with pytest.raises(UnwrapError):
            outer.unwrap_into(wrapped, algorithm, key_id=RECORD, purpose=WrapAlgorithm.A256KW)

    @needs("unwraps_into")
    def test_what_cannot_be_a_wrapped_key_or_a_record_is_refused(
        self, under_test: VaultUnderTest
    ) -> None:
        transport = _transport(under_test)
        outer = under_test.key(transport)
        wrapped = outer.wrap_raw(os.urandom(32), transport)
        for key_id in (str(outer.id), "record:contract/session-key", "nothing"):
            with pytest.raises(InvalidInputError):
                outer.unwrap_into(wrapped, transport, key_id=key_id)
        with pytest.raises(InvalidInputError):
            outer.unwrap_into(wrapped[:-1], transport, key_id=RECORD)
        with pytest.raises(InvalidInputError):
            outer.unwrap_into(wrapped, transport, key_id=RECORD, purpose=WrapAlgorithm.RSA_OAEP_256)
        outer.unwrap_into(wrapped, transport, key_id=RECORD).close()


def _transport(under_test: VaultUnderTest) -> WrapAlgorithm:
    """Return an algorithm for the way in, one that the vault has if it has any."""
    preferred = (WrapAlgorithm.A256KW, WrapAlgorithm.RSA_OAEP_256)
    return next((known for known in preferred if under_test.can(known)), WrapAlgorithm.RSA_OAEP)


def _unwrapped(
    outer: Key,
    algorithm: WrapAlgorithm,
    kek: bytes,
    purpose: WrapAlgorithm = WrapAlgorithm.A256KW,
) -> SessionKey:
    wrapped = outer.wrap_raw(kek, algorithm)
    return outer.unwrap_into(wrapped, algorithm, key_id=RECORD, purpose=purpose)


def _opened_outside(algorithm: WrapAlgorithm, kek: bytes, wrapped: bytes) -> bytes:
    if algorithm in (WrapAlgorithm.A256GCM, WrapAlgorithm.A256GCMKW):
        return AESGCM(kek).decrypt(wrapped[:GCM_IV_BYTES], wrapped[GCM_IV_BYTES:], b"")
    if algorithm is WrapAlgorithm.A256KWP:
        return keywrap.aes_key_unwrap_with_padding(kek, wrapped)
    return keywrap.aes_key_unwrap(kek, wrapped)
