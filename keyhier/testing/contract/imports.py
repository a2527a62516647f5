"""Keys that were made elsewhere: what was wrapped there opens here, and the other way round."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache
from typing import Final

import pytest
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from keyhier.algorithms import GCM_IV_BYTES, KeySpec, KeyType, WrapAlgorithm
from keyhier.errors import AlreadyExistsError, InvalidInputError
from keyhier.secret import SecretBytes
from keyhier.testing.contract.requirements import RAW, each_algorithm, needs
from keyhier.testing.contract.under_test import VaultUnderTest
from keyhier.vault import Key

__all__ = ["Imports"]

AES: Final = [known for known in RAW if known.key_type is KeyType.AES]
RSA: Final = [known for known in RAW if known.key_type is KeyType.RSA]
PADDINGS: Final[dict[WrapAlgorithm, padding.AsymmetricPadding]] = {
    WrapAlgorithm.RSA_OAEP: padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303  # RFC 7518, section 4.3, fixes SHA-1 for this name.
    WrapAlgorithm.RSA_OAEP_256: padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
    WrapAlgorithm.RSA1_5: padding.PKCS1v15(),
}
# What AES key wrap takes, and what only the others do.
SECRETS: Final = (bytes(range(32)), bytes(range(31)))


@cache
def _private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def _pkcs8(encoding: Encoding = Encoding.DER) -> bytes:
    return _private_key().private_bytes(encoding, PrivateFormat.PKCS8, NoEncryption())


def _aes_wrap(algorithm: WrapAlgorithm, kek: bytes, secret: bytes) -> bytes:
    match algorithm:
        case WrapAlgorithm.A256GCM | WrapAlgorithm.A256GCMKW:
            iv = os.urandom(GCM_IV_BYTES)
            return iv + AESGCM(kek).encrypt(iv, secret, b"")
        case WrapAlgorithm.A256KWP:
            return keywrap.aes_key_wrap_with_padding(kek, secret)
        case _:
            return keywrap.aes_key_wrap(kek, secret)


def _aes_unwrap(algorithm: WrapAlgorithm, kek: bytes, wrapped: bytes) -> bytes:
    match algorithm:
        case WrapAlgorithm.A256GCM | WrapAlgorithm.A256GCMKW:
            return AESGCM(kek).decrypt(wrapped[:GCM_IV_BYTES], wrapped[GCM_IV_BYTES:], b"")
        case WrapAlgorithm.A256KWP:
            return keywrap.aes_key_unwrap_with_padding(kek, wrapped)
        case _:
            return keywrap.aes_key_unwrap(kek, wrapped)


def _rsa_wrap(algorithm: WrapAlgorithm, secret: bytes) -> bytes:
    public_key = _private_key().public_key()
    if algorithm is not WrapAlgorithm.RSA_AES_KWP:
        return public_key.encrypt(secret, PADDINGS[algorithm])
    transport = os.urandom(32)
    head = public_key.encrypt(transport, PADDINGS[WrapAlgorithm.RSA_OAEP])
    return head + keywrap.aes_key_wrap_with_padding(transport, secret)


def _rsa_unwrap(algorithm: WrapAlgorithm, wrapped: bytes) -> bytes:
    if algorithm is not WrapAlgorithm.RSA_AES_KWP:
        return _private_key().decrypt(wrapped, PADDINGS[algorithm])
    transport = _private_key().decrypt(wrapped[:256], PADDINGS[WrapAlgorithm.RSA_OAEP])
    return keywrap.aes_key_unwrap_with_padding(transport, wrapped[256:])


NO_KEYS: Final[dict[str, Callable[[], bytes]]] = {
    "nothing": lambda: b"",
    "15 bytes": lambda: bytes(15),
    "33 bytes": lambda: bytes(33),
    "no PEM": lambda: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    "an encrypted key": lambda: _private_key().private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase")
    ),
    "a public key": lambda: (
        _private_key().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ),
    "an RSA key that is too small": lambda: rsa.generate_private_key(65537, 1024).private_bytes(  # noqa: S505  # That is the test.
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    ),
    "a key of another kind": lambda: ed25519.Ed25519PrivateKey.generate().private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    ),
}


class Imports:
    """Imported keys against `cryptography`, which holds the same key."""

    @each_algorithm(AES, "imports")
    def test_an_imported_aes_key_opens_what_was_wrapped_outside(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        kek = os.urandom(under_test.spec_for(algorithm).size)
        key = under_test.vault.import_key(under_test.new_name(), kek, algorithm=algorithm)
        assert key.algorithms == (algorithm,)
        for secret in SECRETS[:1] if algorithm.endswith("KW") else SECRETS:
            with key.unwrap_raw(_aes_wrap(algorithm, kek, secret), algorithm) as opened:
                assert opened == secret

    @each_algorithm(AES, "imports")
    def test_what_an_imported_aes_key_wraps_opens_outside(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        kek = os.urandom(under_test.spec_for(algorithm).size)
        key = under_test.vault.import_key(under_test.new_name(), kek, algorithm=algorithm)
        wrapped = key.wrap_raw(SECRETS[0], algorithm)
        assert _aes_unwrap(algorithm, kek, wrapped) == SECRETS[0]

    @each_algorithm(RSA, "imports")
    def test_an_imported_rsa_key_agrees_with_the_one_outside(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.vault.import_key(under_test.new_name(), _pkcs8())
        for secret in SECRETS:
            with key.unwrap_raw(_rsa_wrap(algorithm, secret), algorithm) as opened:
                assert opened == secret
            assert _rsa_unwrap(algorithm, key.wrap_raw(secret, algorithm)) == secret

    @pytest.mark.parametrize("family", [KeyType.RSA])
    @needs("imports")
    def test_an_imported_rsa_key_has_the_public_half_it_came_with(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.vault.import_key(under_test.new_name(), _pkcs8(Encoding.PEM))
        expected = _private_key().public_key().public_numbers()
        for seen in (key, under_test.another_user().key(key.id)):
            assert seen.spec is KeySpec.RSA_2048
            assert seen.public_key is not None
            assert seen.public_key.public_numbers() == expected
            with under_test.vault.unwrap(str(seen.wrap(b"secret"))) as opened:
                assert opened == b"secret"

    @needs("imports")
    def test_a_taken_name_is_not_imported_to(self, under_test: VaultUnderTest) -> None:
        key = _import(under_test, under_test.new_name())
        wrapped = key.wrap(b"secret")
        with pytest.raises(AlreadyExistsError):
            _import(under_test, key.name)
        with under_test.another_user().unwrap(wrapped) as opened:
            assert opened == b"secret"

    @needs("imports")
    def test_the_material_is_not_wiped_by_the_import(self, under_test: VaultUnderTest) -> None:
        with SecretBytes(_material(under_test)) as material:
            algorithm = under_test.purpose_of(under_test.any_algorithm())[1]
            under_test.vault.import_key(under_test.new_name(), material, algorithm=algorithm)
            assert not material.wiped
            assert len(material) > 0

    @pytest.mark.parametrize("make", NO_KEYS.values(), ids=NO_KEYS)
    def test_what_is_no_key_is_refused(
        self, under_test: VaultUnderTest, make: Callable[[], bytes]
    ) -> None:
        with pytest.raises(InvalidInputError):
            under_test.vault.import_key(under_test.new_name(), make())


def _material(under_test: VaultUnderTest) -> bytes:
    """Return fresh material for a key of the kind that is quickly made."""
    algorithm = under_test.any_algorithm()
    if algorithm.key_type is KeyType.RSA:
        return _pkcs8()
    return os.urandom(under_test.spec_for(algorithm).size)


def _import(under_test: VaultUnderTest, name: str) -> Key:
    algorithm = under_test.purpose_of(under_test.any_algorithm())[1]
    return under_test.vault.import_key(name, _material(under_test), algorithm=algorithm)
