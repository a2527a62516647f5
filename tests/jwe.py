"""Envelopes made by hand after RFC 7516, with nothing of the code that is tested."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

KEK: Final = bytes(range(32))
"""An AES-256 key that tests import, so that they can make envelopes for it."""

HEADER: Final[Mapping[str, Any]] = {"alg": "A256KW", "enc": "A256GCM", "kid": "memory:kek/1"}


def encode(data: bytes) -> str:
    """Return base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def decode(segment: str) -> bytes:
    """Undo :func:`encode`."""
    return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))


def header_of(text: str) -> dict[str, Any]:
    """Return the members of an envelope's header."""
    members = json.loads(decode(text.partition(".")[0]))
    assert isinstance(members, dict)
    return members


def seal(
    header: Mapping[str, Any] | str | bytes,
    secret: bytes = b"secret",
    *,
    kek: bytes = KEK,
    content_key: bytes | None = None,
    encrypted_key: bytes | None = None,
) -> str:
    """Return an envelope with this header, whatever it says, whose seal is right.

    Args:
        header: its members, or its JSON.
        secret: what to seal.
        kek: what wraps the content key, with AES key wrap (RFC 3394).
        content_key: by default 32 random bytes.
        encrypted_key: by default the content key under ``kek``.
    """
    if isinstance(header, Mapping):
        header = json.dumps(header)
    protected = encode(header if isinstance(header, bytes) else header.encode())
    key = os.urandom(32) if content_key is None else content_key
    wrapped = aes_key_wrap(kek, key) if encrypted_key is None else encrypted_key
    iv = os.urandom(12)
    sealed = AESGCM(key).encrypt(iv, secret, protected.encode())
    return ".".join([protected, *map(encode, (wrapped, iv, sealed[:-16], sealed[-16:]))])
