"""Recognising PINs without keeping them."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Final

import attrs
from pkcs11 import exceptions as ckr

if TYPE_CHECKING:
    from keyhier.secret import SecretBytes

__all__ = ["PIN_ERRORS", "PinCheck", "RefusedPins"]

PIN_ERRORS: Final = (
    ckr.PinExpired,
    ckr.PinIncorrect,
    ckr.PinInvalid,
    ckr.PinLenRange,
    ckr.PinLocked,
)
"""The token does not accept the PIN; each try counts towards its lock."""


@attrs.frozen
class PinCheck:
    """Recognises a PIN that was used before, by a salted digest (scrypt, RFC 7914)."""

    salt: bytes = attrs.field(repr=False)
    digest: bytes = attrs.field(repr=False)

    @classmethod
    def of(cls, pin: SecretBytes) -> PinCheck:
        """Remember ``pin``."""
        salt = os.urandom(16)
        return cls(salt, cls._hash(pin, salt))

    def accepts(self, pin: SecretBytes) -> bool:
        """Whether this is that PIN."""
        return hmac.compare_digest(self.digest, self._hash(pin, self.salt))

    @staticmethod
    def _hash(pin: SecretBytes, salt: bytes) -> bytes:
        return hashlib.scrypt(pin.view(), salt=salt, n=2**12, r=8, p=1)


class RefusedPins:
    """The PINs that a token has refused to this process since it last accepted one.

    None of them is tried again, because a token locks after a few tries.
    """

    def __init__(self) -> None:
        self._refused: list[PinCheck] = []

    def add(self, pin: SecretBytes) -> None:
        """Remember that the token refused ``pin``."""
        self._refused.append(PinCheck.of(pin))

    def holds(self, pin: SecretBytes) -> bool:
        """Whether the token refused ``pin``."""
        return any(refused.accepts(pin) for refused in self._refused)

    def clear(self) -> None:
        """Forget them: the token accepted another, and may have been given an old one again."""
        self._refused.clear()
