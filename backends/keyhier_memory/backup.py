"""Backups: one key with its versions, sealed so that only such a vault can restore it.

A backup is a mark (16 bytes), then IV, ciphertext and tag of AES-256-GCM under the vault's backup
key, with the mark as additional data. The mark ends in the format's version.
"""

from __future__ import annotations

from typing import Final

from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes
from keyhier_memory.keys import StoredKey
from keyhier_memory.operations import open_gcm, seal_gcm
from keyhier_memory.serialisation import decode_keys, encode_keys

__all__ = ["open_backup", "seal_backup"]

_MARK: Final = b"keyhier-backup\n\x01"


def seal_backup(key: StoredKey, backup_key: SecretBytes) -> bytes:
    """Return ``key`` with all its versions, sealed under ``backup_key``."""
    with encode_keys([key]) as encoded:
        return _MARK + seal_gcm(backup_key, encoded, _MARK)


def open_backup(backup: bytes, backup_key: SecretBytes) -> StoredKey:
    """Return the key in a backup.

    Raises:
        InvalidInputError: this is no backup, or another vault's, or it was altered.
    """
    if not backup.startswith(_MARK):
        raise InvalidInputError("this is no backup of a memory vault's key")
    opened = open_gcm(backup_key, memoryview(backup)[len(_MARK) :], _MARK)
    if opened is None:
        raise InvalidInputError(
            "the backup was made by another vault, or was altered",
            remedy="restore it in the vault that made it, or in one opened from a copy of its file",
        )
    with opened:
        (key,) = decode_keys(opened.view())
    return key
