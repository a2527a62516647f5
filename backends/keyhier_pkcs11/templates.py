"""The attributes that keys are made with: every usage set, one purpose for a key (promise 5).

A usage that is left out is up to the token, and many allow everything. An AES key that may both
decrypt and unwrap gives away what it wrapped: C_Decrypt in ECB mode opens an AES key wrap.
"""

from __future__ import annotations

from typing import Any, Final

from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType

from keyhier.algorithms import WrapAlgorithm

__all__ = [
    "AES_USAGES",
    "RSA_USAGES",
    "Template",
    "aes_key",
    "kept_in_session",
    "rsa_private_key",
    "rsa_public_key",
    "secret_in_session",
    "usages_of",
]

Template = dict[Attribute, Any]

_WRAPPING: Final = (Attribute.UNWRAP, Attribute.WRAP)
_SEALING: Final = (Attribute.DECRYPT, Attribute.ENCRYPT)

RSA_USAGES: Final = (Attribute.DECRYPT, Attribute.UNWRAP)
"""What an RSA private key is made for; a token may know only one of them."""

AES_USAGES: Final[dict[WrapAlgorithm, tuple[Attribute, Attribute]]] = {
    WrapAlgorithm.A128KW: _WRAPPING,
    WrapAlgorithm.A192KW: _WRAPPING,
    WrapAlgorithm.A256KW: _WRAPPING,
    WrapAlgorithm.A256KWP: _WRAPPING,
    WrapAlgorithm.A256GCMKW: _SEALING,
    WrapAlgorithm.A256GCM: _SEALING,
}
"""What an AES key is made for, by its one algorithm; the first opens what the second closes."""

_SECRET_KEY_USAGES: Final = (
    Attribute.ENCRYPT,
    Attribute.DECRYPT,
    Attribute.WRAP,
    Attribute.UNWRAP,
    Attribute.SIGN,
    Attribute.VERIFY,
    Attribute.DERIVE,
)
_PRIVATE_KEY_USAGES: Final = (
    Attribute.DECRYPT,
    Attribute.UNWRAP,
    Attribute.SIGN,
    Attribute.SIGN_RECOVER,
    Attribute.DERIVE,
)
_PUBLIC_KEY_USAGES: Final = (
    Attribute.ENCRYPT,
    Attribute.WRAP,
    Attribute.VERIFY,
    Attribute.VERIFY_RECOVER,
    Attribute.DERIVE,
)


def usages_of(algorithm: WrapAlgorithm | None) -> tuple[Attribute, ...]:
    """Return the usages of an AES key's algorithm, or for None those of an RSA private key."""
    return RSA_USAGES if algorithm is None else AES_USAGES[algorithm]


def _explicit(usages: tuple[Attribute, ...], known: tuple[Attribute, ...]) -> Template:
    return {usage: usage in usages for usage in known}


def _kept_on_token(
    object_class: ObjectClass, key_type: KeyType, label: str, version: bytes, *, private: bool
) -> Template:
    return {
        Attribute.CLASS: object_class,
        Attribute.KEY_TYPE: key_type,
        Attribute.LABEL: label,
        Attribute.ID: version,
        Attribute.TOKEN: True,
        Attribute.PRIVATE: private,
        Attribute.SENSITIVE: True,
    }


def aes_key(
    label: str, version: bytes, algorithm: WrapAlgorithm, *, extractable: bool, private: bool
) -> Template:
    """Return the template of an AES key on the token.

    Args:
        private: whether it is seen only after a login; False on tokens without one.
    """
    return {
        **_kept_on_token(ObjectClass.SECRET_KEY, KeyType.AES, label, version, private=private),
        Attribute.EXTRACTABLE: extractable,
        **_explicit(AES_USAGES[algorithm], _SECRET_KEY_USAGES),
    }


def rsa_private_key(
    label: str,
    version: bytes,
    *,
    extractable: bool,
    private: bool,
    usages: tuple[Attribute, ...] = RSA_USAGES,
) -> Template:
    """Return the template of an RSA private key on the token; ``private`` as in `aes_key`.

    Args:
        usages: those of :data:`RSA_USAGES` that the token knows.
    """
    return {
        **_kept_on_token(ObjectClass.PRIVATE_KEY, KeyType.RSA, label, version, private=private),
        Attribute.EXTRACTABLE: extractable,
        **_explicit(usages, _PRIVATE_KEY_USAGES),
    }


def rsa_public_key(label: str, version: bytes, bits: int) -> Template:
    """Return the template of the public half, which lives no longer than the session."""
    return {
        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
        Attribute.KEY_TYPE: KeyType.RSA,
        Attribute.LABEL: label,
        Attribute.ID: version,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: False,
        Attribute.MODULUS_BITS: bits,
        Attribute.PUBLIC_EXPONENT: b"\x01\x00\x01",
        **_explicit((Attribute.ENCRYPT, Attribute.WRAP), _PUBLIC_KEY_USAGES),
    }


def kept_in_session(usages: tuple[Attribute, ...], *, private: bool) -> Template:
    """Return the template of an AES key that is in the token until the session ends.

    It never comes out: what it is unwrapped from is the only copy outside.
    """
    return {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: KeyType.AES,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: private,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        **_explicit(usages, _SECRET_KEY_USAGES),
    }


def secret_in_session(
    key_type: KeyType, *, private: bool, usages: tuple[Attribute, ...] = ()
) -> Template:
    """Return the template of a secret that lives no longer than the session.

    It can be read and be wrapped: what is unwrapped has to come out of the token, and what is
    to be wrapped was outside before.
    """
    return {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: key_type,
        Attribute.TOKEN: False,
        Attribute.PRIVATE: private,
        Attribute.SENSITIVE: False,
        Attribute.EXTRACTABLE: True,
        **_explicit(usages, _SECRET_KEY_USAGES),
    }
