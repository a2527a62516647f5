"""Backups: blobs that only a Key Vault on loopback opens."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyhier.testing.keyvault.messages import Document
from keyhier.testing.keyvault.service_error import bad_parameter

__all__ = ["open_blob", "seal"]

_IV: Final = 12
# Opaque, not secret: every vault on loopback opens the blobs of every other, also of past ones.
_KEY: Final = hashlib.sha256(b"the backups of every Key Vault on loopback").digest()


def seal(document: Document, kind: str) -> bytes:
    """Return the blob of an object of a kind (the path of its kind)."""
    iv = os.urandom(_IV)
    return iv + AESGCM(_KEY).encrypt(iv, json.dumps(document).encode(), kind.encode())


def open_blob(blob: bytes, kind: str) -> Document:
    """Return what :func:`seal` was given.

    Raises:
        ServiceError: it is no blob of that kind.
    """
    try:
        document: Document = json.loads(AESGCM(_KEY).decrypt(blob[:_IV], blob[_IV:], kind.encode()))
    except (InvalidTag, ValueError):
        pass
    else:
        return document
    raise bad_parameter("The backup blob is corrupt, or of another kind of object.")
