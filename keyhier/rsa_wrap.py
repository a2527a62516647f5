"""Wrapping with the public half of an RSA key, which needs nothing of the vault that holds it."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap_with_padding,
)

from keyhier import base64url
from keyhier.algorithms import KeySpec, WrapAlgorithm, capacity
from keyhier.errors import UnwrapError
from keyhier.secret import SecretBytes

__all__ = [
    "PADDINGS",
    "close_transport",
    "implicit_rejection",
    "open_transport",
    "thumbprint",
    "wrap",
]


def _oaep(algorithm: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(algorithm), algorithm, None)


PADDINGS: Final[dict[WrapAlgorithm, padding.AsymmetricPadding]] = {
    # RSA-OAEP is OAEP with SHA-1 and MGF1 with SHA-1 (RFC 7518, section 4.3); SHA-1's weakness
    # to collisions does not touch OAEP, and many tokens can do no other.
    WrapAlgorithm.RSA_OAEP: _oaep(hashes.SHA1()),  # noqa: S303  # The standard fixes the hash.
    WrapAlgorithm.RSA_OAEP_256: _oaep(hashes.SHA256()),
    WrapAlgorithm.RSA1_5: padding.PKCS1v15(),
}

_TRANSPORT_KEY_BYTES: Final = 32
_REJECTION_SECRET: Final = os.urandom(32)


def wrap(public_key: RSAPublicKey, algorithm: WrapAlgorithm, plaintext: SecretBytes) -> bytes:
    """Wrap ``plaintext``, whose length fits, with an RSA algorithm."""
    if algorithm is WrapAlgorithm.RSA_AES_KWP:
        return close_transport(public_key, plaintext)
    return public_key.encrypt(plaintext.reveal(), PADDINGS[algorithm])


def close_transport(public_key: RSAPublicKey, plaintext: SecretBytes) -> bytes:
    """Compose ``RSA-AES-KWP``: a fresh AES-256 key under OAEP with SHA-1, then RFC 5649.

    This is what CKM_RSA_AES_KEY_WRAP makes (PKCS#11 v3.1, section 6.1.23) and what Azure's
    bring-your-own-key files hold.
    """
    with SecretBytes.random(_TRANSPORT_KEY_BYTES) as key:
        head = public_key.encrypt(key.reveal(), PADDINGS[WrapAlgorithm.RSA_OAEP])
        return head + aes_key_wrap_with_padding(key.reveal(), plaintext.reveal())


def open_transport(key: SecretBytes, wrapped: bytes) -> SecretBytes:
    """Open the second part of ``RSA-AES-KWP`` with the AES key of the first.

    Raises:
        UnwrapError: it does not open.
    """
    opened = None
    with suppress(InvalidUnwrap, ValueError):
        opened = aes_key_unwrap_with_padding(key.reveal(), wrapped)
    if opened is None:
        raise UnwrapError
    return SecretBytes.adopt(bytearray(opened))


def implicit_rejection(public_key: RSAPublicKey, wrapped: bytes) -> SecretBytes:
    """Return what a driver answers for bad ``RSA1_5`` padding, so that nobody learns that it was.

    Bytes that look random, of a length that a wrap could have held, and always the same for the
    same input while the process lives: an answer that changed would tell bad padding from good.
    """
    size = public_key.key_size // 8
    key = public_key.public_numbers().n.to_bytes(size)
    drawn = hashlib.shake_256(_REJECTION_SECRET + key + wrapped).digest(size)
    longest = capacity(WrapAlgorithm.RSA1_5, KeySpec(f"RSA-{public_key.key_size}"))
    return SecretBytes(drawn[8 : 9 + int.from_bytes(drawn[:8]) % longest])


def thumbprint(public_key: RSAPublicKey) -> str:
    """Return the SHA-256 thumbprint of the key as a JWK (RFC 7638, section 3), base64url."""
    numbers = public_key.public_numbers()
    canonical = f'{{"e":"{_integer(numbers.e)}","kty":"RSA","n":"{_integer(numbers.n)}"}}'
    digest = hashlib.sha256(canonical.encode("ascii")).digest()
    return base64url.encode(digest)


def _integer(number: int) -> str:
    data = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64url.encode(data)
