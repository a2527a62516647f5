"""What keys do: encrypt, decrypt, sign, verify, wrap and unwrap, each by algorithm.

A request that does not fit its key is a :class:`ServiceError` with status 400, and so is a
ciphertext that the key rejects.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import attrs
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes, hmac
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.keywrap import (
    InvalidUnwrap,
    aes_key_unwrap,
    aes_key_unwrap_with_padding,
    aes_key_wrap,
    aes_key_wrap_with_padding,
)
from cryptography.hazmat.primitives.padding import PKCS7

from keyhier.testing.keyvault.key_material import Material
from keyhier.testing.keyvault.service_error import ServiceError, bad_parameter

__all__ = ["Sealed", "decrypt", "encrypt", "sign", "unwrap", "verify", "wrap"]

T = TypeVar("T")

_BLOCK: Final = 16
_GCM_IV: Final = 12
_GCM_TAG: Final = 16


@attrs.frozen
class Sealed:
    """A ciphertext, with what a symmetric algorithm adds to it."""

    value: bytes
    iv: bytes | None = None
    tag: bytes | None = None
    aad: bytes | None = None


def _oaep(algorithm: hashes.HashAlgorithm) -> padding.OAEP:
    return padding.OAEP(padding.MGF1(algorithm), algorithm, None)


_RSA_PADDINGS: Final[Mapping[str, padding.AsymmetricPadding]] = {
    "RSA-OAEP": _oaep(hashes.SHA1()),  # noqa: S303  # RFC 7518 fixes it.
    "RSA-OAEP-256": _oaep(hashes.SHA256()),
    "RSA1_5": padding.PKCS1v15(),
}
_AES_KEY_WRAP_BITS: Final[Mapping[str, int | None]] = {
    "A128KW": 128,
    "A192KW": 192,
    "A256KW": 256,
    "CKM_AES_KEY_WRAP": None,
    "CKM_AES_KEY_WRAP_PAD": None,
}
_HASHES: Final[Mapping[str, hashes.HashAlgorithm]] = {
    "256": hashes.SHA256(),
    "384": hashes.SHA384(),
    "512": hashes.SHA512(),
}
_CURVE_OF: Final = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521", "ES256K": "P-256K"}


def wrap(material: Material, algorithm: str, value: bytes) -> bytes:
    """Wrap a key (RFC 7518, sections 4.2 to 4.4; RFC 5649 for CKM_AES_KEY_WRAP_PAD)."""
    if algorithm in _RSA_PADDINGS:
        return _rsa_encrypt(material, algorithm, value)
    key = _key_wrap_key(material, algorithm)
    padded = algorithm.endswith("_PAD")
    return _accepted(lambda: (aes_key_wrap_with_padding if padded else aes_key_wrap)(key, value))


def unwrap(material: Material, algorithm: str, value: bytes) -> bytes:
    """Unwrap what :func:`wrap` made."""
    if algorithm in _RSA_PADDINGS:
        return _rsa_decrypt(material, algorithm, value)
    key = _key_wrap_key(material, algorithm)
    padded = algorithm.endswith("_PAD")
    return _accepted(
        lambda: (aes_key_unwrap_with_padding if padded else aes_key_unwrap)(key, value)
    )


def encrypt(
    material: Material, algorithm: str, value: bytes, iv: bytes = b"", aad: bytes = b""
) -> Sealed:
    """Encrypt: RSA, AES-GCM with an IV of the vault's, or AES-CBC with one of the caller's."""
    if algorithm in _RSA_PADDINGS:
        return Sealed(_rsa_encrypt(material, algorithm, value))
    mode, key = _aes(material, algorithm)
    if mode == "GCM":
        iv = os.urandom(_GCM_IV)
        sealed = AESGCM(key).encrypt(iv, value, aad)
        return Sealed(sealed[:-_GCM_TAG], iv, sealed[-_GCM_TAG:], aad or None)
    if mode == "CBCPAD":
        padder = PKCS7(_BLOCK * 8).padder()
        value = padder.update(value) + padder.finalize()
    iv = iv or os.urandom(_BLOCK)
    encryptor = _accepted(lambda: Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor())
    return Sealed(_accepted(lambda: encryptor.update(value) + encryptor.finalize()), iv)


def decrypt(material: Material, algorithm: str, sealed: Sealed) -> bytes:
    """Decrypt what :func:`encrypt` made."""
    if algorithm in _RSA_PADDINGS:
        return _rsa_decrypt(material, algorithm, sealed.value)
    mode, key = _aes(material, algorithm)
    iv, tag = sealed.iv or b"", sealed.tag or b""
    if mode == "GCM":
        if len(tag) != _GCM_TAG:
            raise _rejected()
        return _accepted(lambda: AESGCM(key).decrypt(iv, sealed.value + tag, sealed.aad))
    decryptor = _accepted(lambda: Cipher(algorithms.AES(key), modes.CBC(iv)).decryptor())
    plain = _accepted(lambda: decryptor.update(sealed.value) + decryptor.finalize())
    if mode == "CBC":
        return plain
    unpadder = PKCS7(_BLOCK * 8).unpadder()
    return _accepted(lambda: unpadder.update(plain) + unpadder.finalize())


def sign(material: Material, algorithm: str, digest: bytes) -> bytes:
    """Sign a digest (RFC 7518, section 3); HS256 and its like make a MAC of it."""
    algorithm_hash = _hash_for(material, algorithm, digest)
    key = material.key
    if isinstance(key, rsa.RSAPrivateKey):
        scheme = _rsa_signature(algorithm, algorithm_hash)
        return key.sign(digest, scheme, Prehashed(algorithm_hash))
    if isinstance(key, ec.EllipticCurvePrivateKey):
        signature = key.sign(digest, ec.ECDSA(Prehashed(algorithm_hash)))
        length = (key.key_size + 7) // 8
        return b"".join(number.to_bytes(length) for number in decode_dss_signature(signature))
    mac = hmac.HMAC(key, algorithm_hash)
    mac.update(digest)
    return mac.finalize()


def verify(material: Material, algorithm: str, digest: bytes, signature: bytes) -> bool:
    """Tell whether a signature is that of the key over the digest."""
    algorithm_hash = _hash_for(material, algorithm, digest)
    key = material.key
    try:
        if isinstance(key, rsa.RSAPrivateKey):
            scheme = _rsa_signature(algorithm, algorithm_hash)
            key.public_key().verify(signature, digest, scheme, Prehashed(algorithm_hash))
        elif isinstance(key, ec.EllipticCurvePrivateKey):
            half = len(signature) // 2
            numbers = int.from_bytes(signature[:half]), int.from_bytes(signature[half:])
            encoded = encode_dss_signature(*numbers)
            key.public_key().verify(encoded, digest, ec.ECDSA(Prehashed(algorithm_hash)))
        else:
            return bytes_eq(sign(material, algorithm, digest), signature)
    except InvalidSignature:
        return False
    return True


def _rsa_encrypt(material: Material, algorithm: str, value: bytes) -> bytes:
    key = material.key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise _unfit(material, algorithm)
    return _accepted(lambda: key.public_key().encrypt(value, _RSA_PADDINGS[algorithm]))


def _rsa_decrypt(material: Material, algorithm: str, value: bytes) -> bytes:
    key = material.key
    if not isinstance(key, rsa.RSAPrivateKey):
        raise _unfit(material, algorithm)
    return _accepted(lambda: key.decrypt(value, _RSA_PADDINGS[algorithm]))


def _key_wrap_key(material: Material, algorithm: str) -> bytes:
    key, bits = material.key, _AES_KEY_WRAP_BITS.get(algorithm, 0)
    if not isinstance(key, bytes) or bits not in {None, material.bits}:
        raise _unfit(material, algorithm)
    return key


def _aes(material: Material, algorithm: str) -> tuple[str, bytes]:
    """Return the mode and the key of an algorithm such as A256GCM."""
    key, mode = material.key, algorithm[4:]
    if (
        not isinstance(key, bytes)
        or algorithm[:4] != f"A{material.bits}"
        or mode not in {"GCM", "CBC", "CBCPAD"}
    ):
        raise _unfit(material, algorithm)
    return mode, key


def _hash_for(material: Material, algorithm: str, digest: bytes) -> hashes.HashAlgorithm:
    families = {"RS": "RSA", "PS": "RSA", "ES": "EC", "HS": "oct"}
    found = _HASHES.get(algorithm[2:].removesuffix("K"))
    fits = families.get(algorithm[:2]) == material.family
    if fits and material.family == "EC":
        fits = _CURVE_OF.get(algorithm) == material.curve
    elif algorithm.endswith("K"):
        fits = False
    if found is None or not fits:
        raise _unfit(material, algorithm)
    if material.family != "oct" and len(digest) != found.digest_size:
        raise bad_parameter(
            f"Invalid length of digest: {len(digest)} bytes. {algorithm} takes {found.digest_size}."
        )
    return found


def _rsa_signature(
    algorithm: str, algorithm_hash: hashes.HashAlgorithm
) -> padding.AsymmetricPadding:
    if algorithm.startswith("RS"):
        return padding.PKCS1v15()
    return padding.PSS(padding.MGF1(algorithm_hash), algorithm_hash.digest_size)


def _accepted(work: Callable[[], T]) -> T:
    """Return what ``work`` does, or raise the one error for whatever the key rejects."""
    try:
        return work()
    except (ValueError, InvalidTag, InvalidUnwrap):
        pass
    raise _rejected()


def _rejected() -> ServiceError:
    return bad_parameter("The parameter is incorrect.\r\n")


def _unfit(material: Material, algorithm: str) -> ServiceError:
    return bad_parameter(
        f"Key and algorithm are incompatible: a key of type {material.kty} and size "
        f"{material.bits}, algorithm {algorithm}."
    )
