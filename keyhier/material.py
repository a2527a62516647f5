"""Reading a key that was made elsewhere, before it is imported."""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
    load_pem_private_key,
)

from keyhier.algorithms import KeySpec, KeyType
from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes

__all__ = ["read_material"]

# NIST SP 800-56B, section 6.2.1: the public exponent is odd and above 2^16.
_MIN_PUBLIC_EXPONENT: Final = 65537

_PEM: Final = b"-----BEGIN"

_AES_SPECS: Final = {spec.size: spec for spec in KeySpec if spec.key_type is KeyType.AES}
_RSA_SPECS: Final = {spec.bits: spec for spec in KeySpec if spec.key_type is KeyType.RSA}


def read_material(material: SecretBytes | bytes | bytearray) -> tuple[KeySpec, SecretBytes]:
    """Return what the key is, and the key as a driver takes it: AES bytes or PKCS#8 DER.

    Raises:
        InvalidInputError: it is no key that can be imported, or of a size that is not accepted.
    """
    copy = SecretBytes(material.view() if isinstance(material, SecretBytes) else material)
    if len(copy) in _AES_SPECS:
        return _AES_SPECS[len(copy)], copy
    with copy:
        key = _load(copy.view())
    if not isinstance(key, RSAPrivateKey):
        raise InvalidInputError(
            "what can be imported is an AES key of 16, 24 or 32 bytes, or an unencrypted RSA "
            "private key (PKCS#8 or PKCS#1, DER or PEM)"
        )
    exponent = key.public_key().public_numbers().e
    if key.key_size not in _RSA_SPECS or exponent < _MIN_PUBLIC_EXPONENT:
        raise InvalidInputError(
            "an RSA key has 2048, 3072 or 4096 bits and a public exponent of at least 65537"
        )
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return _RSA_SPECS[key.key_size], SecretBytes(der)


def _load(material: memoryview) -> PrivateKeyTypes | None:
    load = load_pem_private_key if bytes(material[: len(_PEM)]) == _PEM else load_der_private_key
    try:
        return load(material, None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the library says can quote the material.
        return None
