"""Recognising a disk key: a .BEK file by its structure, a passphrase by its characters.

RSA1_5 answers garbage where the key or the bytes are wrong, and an unwrapped value may have been
decoded once too often. Nothing is handed out as a disk key that does not look like one.
"""

from __future__ import annotations

import re
from typing import Final

from keyhier import padded_base64
from keyhier.errors import InvalidInputError
from keyhier.placement.model import System
from keyhier.secret import SecretBytes
from keyhier.volume import BitLockerKey, LinuxPassphrase

__all__ = ["DiskKey", "recognise"]

DiskKey = BitLockerKey | LinuxPassphrase
"""What unlocks a disk of Windows, or of Linux."""

# 127 random bytes in base64.
_GENERATED_BYTES: Final = 127
_GENERATED: Final = re.compile(rb"[A-Za-z0-9+/]{170}==")
# Random bytes are taken for this less than once in a million times, and a passphrase that somebody
# chose is hardly shorter.
_TYPED: Final = re.compile(rb"[\x20-\x7e]{10,}")


def recognise(plaintext: SecretBytes, system: System | None, *, proven: bool) -> DiskKey:
    """Return the disk key that ``plaintext`` is; the caller wipes both.

    Args:
        plaintext: a whole .BEK file, or a passphrase.
        system: which of them, or None where nothing says so.
        proven: whether it is known to be what was protected. If not, a passphrase is taken for one
            only as the extension generates it, or as 10 and more printable characters of ASCII.

    Raises:
        InvalidInputError: it is neither; the message tells nothing of it.
    """
    if system is System.WINDOWS:
        return BitLockerKey.from_bytes(plaintext)
    if system is None:
        try:
            return BitLockerKey.from_bytes(plaintext)
        except InvalidInputError:
            # Then it is a passphrase, or nothing.
            pass
    _check_passphrase(plaintext, proven=proven)
    return LinuxPassphrase.from_bytes(plaintext)


def _check_passphrase(plaintext: SecretBytes, *, proven: bool) -> None:
    view = plaintext.view()
    if not proven and not _GENERATED.fullmatch(view) and not _TYPED.fullmatch(view):
        raise InvalidInputError("this is no passphrase of Azure Disk Encryption's")
    if not _is_text(view):
        told = "this is no passphrase, which is text"
        if len(plaintext) == _GENERATED_BYTES:
            told += f", but {_GENERATED_BYTES} bytes as one has that was decoded once too often"
        raise InvalidInputError(
            told, remedy="the 172 characters of base64 are themselves the passphrase"
        )
    if _holds_a_generated_one(view):
        raise InvalidInputError(
            "this is a passphrase that was encoded once too often", remedy="decode it once more"
        )


def _is_text(view: memoryview) -> bool:
    try:
        str(view, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _holds_a_generated_one(view: memoryview) -> bool:
    try:
        with padded_base64.decode(view) as inner:
            return _GENERATED.fullmatch(inner.view()) is not None
    except InvalidInputError:
        return False
