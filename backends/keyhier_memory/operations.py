"""Wrapping and unwrapping with the primitives of ``cryptography``.

Sources: RSA-OAEP and RSAES-PKCS1-v1_5 (RFC 8017, section 7), AES key wrap (RFC 3394), with
padding (RFC 5649), AES-GCM (NIST SP 800-38D).
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyhier.algorithms import GCM_IV_BYTES, GCM_TAG_BYTES, WrapAlgorithm, capacity
from keyhier.errors import UnsupportedError, UnwrapError
from keyhier.secret import SecretBytes
from keyhier_memory.keys import Material

__all__ = ["open_gcm", "seal_gcm", "unwrap", "unwrap_key", "wrap"]

_KEY_WRAP: Final = frozenset({WrapAlgorithm.A128KW, WrapAlgorithm.A192KW, WrapAlgorithm.A256KW})
_GCM: Final = frozenset({WrapAlgorithm.A256GCM, WrapAlgorithm.A256GCMKW})
_OAEP: Final = {
    WrapAlgorithm.RSA_OAEP: padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None),  # noqa: S303  # RFC 7518, section 4.3, fixes SHA-1 for this name.
    WrapAlgorithm.RSA_OAEP_256: padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None),
}


def seal_gcm(key: SecretBytes, plaintext: SecretBytes, aad: bytes) -> bytes:
    """Seal with AES-GCM and a fresh random IV; the result is IV, ciphertext, tag."""
    sealed = bytearray(GCM_IV_BYTES + len(plaintext) + GCM_TAG_BYTES)
    sealed[:GCM_IV_BYTES] = os.urandom(GCM_IV_BYTES)
    AESGCM(key.view()).encrypt_into(
        sealed[:GCM_IV_BYTES], plaintext.view(), aad, memoryview(sealed)[GCM_IV_BYTES:]
    )
    return bytes(sealed)


def open_gcm(key: SecretBytes, sealed: bytes | memoryview, aad: bytes) -> SecretBytes | None:
    """Open what :func:`seal_gcm` made, or return None where key, data or ``aad`` are others."""
    length = len(sealed) - GCM_IV_BYTES - GCM_TAG_BYTES
    if length < 0:
        return None
    plaintext = SecretBytes.allocate(length)
    try:
        AESGCM(key.view()).decrypt_into(
            sealed[:GCM_IV_BYTES], sealed[GCM_IV_BYTES:], aad, plaintext.view()
        )
    except InvalidTag:
        return None
    return plaintext


def wrap(material: Material, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes) -> bytes:
    """Wrap under an AES key.

    Raises:
        UnsupportedError: the key is not for that algorithm, or it is one of RSA's, whose wraps
            are done with the public half.
    """
    _check_purpose(material, algorithm)
    if algorithm in _KEY_WRAP:
        return keywrap.aes_key_wrap(material.secret.view(), plaintext.view())
    if algorithm in _GCM:
        return seal_gcm(material.secret, plaintext, aad)
    if algorithm is WrapAlgorithm.A256KWP:
        return _wrap_with_padding(material.secret, plaintext)
    raise UnsupportedError(f"{algorithm} wraps are made with the public half, outside of the vault")


def unwrap(material: Material, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes) -> SecretBytes:
    """Unwrap under an RSA or AES key.

    Raises:
        UnwrapError: the key rejects the bytes.
        UnsupportedError: the key is not for that algorithm, or it is RSA-AES-KWP, which is
            composed of RSA-OAEP and AES key wrap above the driver.
    """
    _check_purpose(material, algorithm)
    if material.private_key is not None:
        plaintext = _unwrap_rsa(material.private_key, material, algorithm, wrapped)
    elif algorithm in _GCM:
        plaintext = open_gcm(material.secret, wrapped, aad)
    else:
        plaintext = _unwrap_aes(material.secret, algorithm, wrapped)
    if plaintext is None:
        raise UnwrapError
    return plaintext


def unwrap_key(material: Material, algorithm: WrapAlgorithm, wrapped: bytes) -> SecretBytes:
    """Unwrap a key that stays in the vault, with RSA-AES-KWP composed here (PKCS#11 v3.1, 6.1.23).

    Raises:
        UnwrapError: the key rejects the bytes.
        UnsupportedError: the key is not for that algorithm, or it is RSA1_5, which opens anything.
    """
    if algorithm is WrapAlgorithm.RSA1_5:
        raise UnsupportedError(f"{algorithm} answers garbage with garbage, which is no key")
    if algorithm is not WrapAlgorithm.RSA_AES_KWP:
        return unwrap(material, algorithm, wrapped, b"")
    size = material.spec.size
    with unwrap(material, WrapAlgorithm.RSA_OAEP, wrapped[:size], b"") as transport:
        plaintext = _unwrap_aes(transport, WrapAlgorithm.A256KWP, wrapped[size:])
    if plaintext is None:
        raise UnwrapError
    return plaintext


def _check_purpose(material: Material, algorithm: WrapAlgorithm) -> None:
    if algorithm not in material.algorithms:
        raise UnsupportedError(
            f"this key version is for {', '.join(material.algorithms)}, not for {algorithm}"
        )


def _wrap_with_padding(key: SecretBytes, plaintext: SecretBytes) -> bytes:
    # Before cryptography 50 it took a bytearray and no memoryview.
    copy = bytearray(plaintext.view())
    try:
        return keywrap.aes_key_wrap_with_padding(key.view(), copy)
    finally:
        copy[:] = bytes(len(copy))


def _unwrap_aes(key: SecretBytes, algorithm: WrapAlgorithm, wrapped: bytes) -> SecretBytes | None:
    opener: Callable[..., bytes] = (
        keywrap.aes_key_unwrap_with_padding
        if algorithm is WrapAlgorithm.A256KWP
        else keywrap.aes_key_unwrap
    )
    try:
        return SecretBytes(opener(key.view(), wrapped))
    except (keywrap.InvalidUnwrap, ValueError):
        # Before cryptography 50 some lengths were a ValueError.
        return None


def _unwrap_rsa(
    key: rsa.RSAPrivateKey, material: Material, algorithm: WrapAlgorithm, wrapped: bytes
) -> SecretBytes | None:
    if algorithm is WrapAlgorithm.RSA1_5:
        try:
            return SecretBytes(key.decrypt(wrapped, padding.PKCS1v15()))
        except ValueError:
            # OpenSSL answers bad padding with bytes that look random (implicit rejection). What it
            # still refuses, such as a wrong length, gets the same kind of answer.
            return SecretBytes.random(secrets.randbelow(capacity(algorithm, material.spec) + 1))
    if algorithm not in _OAEP:
        raise UnsupportedError(f"{algorithm} is composed of RSA-OAEP and A256KWP by the caller")
    try:
        return SecretBytes(key.decrypt(wrapped, _OAEP[algorithm]))
    except ValueError:
        return None
