"""Keys whose secret half is known to the tests, and the vault keys made of them."""

from __future__ import annotations

from functools import cache
from typing import Final

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keyhier import Key, Vault

ENVELOPE_KEYS: Final = {
    "RSA-OAEP": "RSA-2048",
    "RSA-OAEP-256": "RSA-2048",
    "A128KW": "AES-128",
    "A192KW": "AES-192",
    "A256KW": "AES-256",
    "A256GCMKW": "AES-256",
}
"""Each algorithm of an envelope, and the spec of the key that tests use it with."""

RAW_KEYS: Final = ENVELOPE_KEYS | {
    "RSA1_5": "RSA-2048",
    "RSA-AES-KWP": "RSA-2048",
    "A256GCM": "AES-256",
    "A256KWP": "AES-256",
}


@cache
def private_key(number: int) -> rsa.RSAPrivateKey:  # The cache is told apart by it.
    """Return an RSA-2048 key, the same one for a number in the whole process."""
    return rsa.generate_private_key(65537, 2048)


def material(spec: str, number: int = 1) -> bytes:
    """Return a key as it is imported."""
    family, _, bits = spec.partition("-")
    if family == "AES":
        return bytes([number]) * (int(bits) // 8)
    return private_key(number).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())


def key_for(vault: Vault, algorithm: str, name: str = "kek", number: int = 1) -> Key:
    """Import a key that wraps with the algorithm."""
    spec = RAW_KEYS[algorithm]
    fixed = algorithm if spec.startswith("AES") else None
    return vault.import_key(name, material(spec, number), algorithm=fixed)
