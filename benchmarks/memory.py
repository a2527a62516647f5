"""The memory vault against `cryptography` alone."""

from __future__ import annotations

import os
from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import keyhier
from benchmarks.pairs import Pair

CONTEXT = {"vm": "web-01", "volume": "C:"}
BEK = os.urandom(156)
OAEP_256 = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


def seal(key: bytes) -> tuple[bytes, bytes]:
    """Do the content encryption of an envelope and nothing else."""
    iv = os.urandom(12)
    return iv, AESGCM(key).encrypt(iv, BEK, b"header")


def pairs() -> Iterator[Pair]:
    """Yield the comparisons."""
    with keyhier.open("memory:") as vault:
        for bits in (2048, 3072):
            yield from _rsa(vault, bits)
        yield from _aes(vault)


def _rsa(vault: keyhier.Vault, bits: int) -> Iterator[Pair]:
    private = rsa.generate_private_key(65537, bits)
    public = private.public_key()
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    kek = vault.import_key(f"rsa-{bits}", der)

    def raw_wrap() -> object:
        key = os.urandom(32)
        return public.encrypt(key, OAEP_256), seal(key)

    yield Pair(
        f"memory: wrap to a JWE, RSA-{bits}",
        lambda: str(kek.wrap(BEK, context=CONTEXT)),
        raw_wrap,
        "cryptography: OAEP and AES-GCM",
        0.7 if bits == 2048 else None,
    )
    text = str(kek.wrap(BEK, context=CONTEXT))
    key = os.urandom(32)
    encrypted = public.encrypt(key, OAEP_256)
    iv, sealed = seal(key)

    def raw_unwrap() -> object:
        return AESGCM(private.decrypt(encrypted, OAEP_256)).decrypt(iv, sealed, b"header")

    yield Pair(
        f"memory: unwrap a JWE, RSA-{bits}",
        lambda: vault.unwrap(text, context=CONTEXT).wipe(),
        raw_unwrap,
        "cryptography: OAEP and AES-GCM",
        0.95 if bits == 3072 else None,
    )


def _aes(vault: keyhier.Vault) -> Iterator[Pair]:
    secret = os.urandom(32)
    kek = vault.import_key("aes-256", secret)
    text = str(kek.wrap(BEK, context=CONTEXT))
    wrapped = aes_key_wrap(secret, os.urandom(32))
    iv, sealed = seal(aes_key_unwrap(secret, wrapped))

    def raw_unwrap() -> object:
        return AESGCM(aes_key_unwrap(secret, wrapped)).decrypt(iv, sealed, b"header")

    yield Pair(
        "memory: unwrap a JWE, AES-256",
        lambda: vault.unwrap(text, context=CONTEXT).wipe(),
        raw_unwrap,
        "cryptography: AES-KW and AES-GCM",
    )
