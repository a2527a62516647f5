"""A public description and secret bytes in one buffer.

The layout is: the length of the description (4 bytes, big-endian), the description (JSON in
UTF-8, without anything secret), then the secrets one after the other in the order of the
description. So the secrets go from buffer to buffer and never through a string that nobody can
wipe. Nothing here protects anything; the sealing is done by whoever uses it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from keyhier.errors import KeyhierError
from keyhier.secret import SecretBytes

__all__ = ["MALFORMED", "VERSION", "Reader", "moment", "pack", "truth", "unpack"]

_LENGTH_BYTES: Final = 4

VERSION: Final = re.compile(r"[0-9a-f]{32}")
"""What a version looks like."""

MALFORMED: Final = (ValueError, TypeError, KeyError, OverflowError, RecursionError, KeyhierError)
"""What reading a description raises where it contradicts itself."""


def pack(description: object, secrets: Sequence[SecretBytes]) -> SecretBytes:
    """Return both as bytes, which the caller wipes."""
    text = json.dumps(description, separators=(",", ":")).encode()
    at = _LENGTH_BYTES + len(text)
    packed = SecretBytes.allocate(at + sum(len(secret) for secret in secrets))
    view = packed.view()
    view[:_LENGTH_BYTES] = len(text).to_bytes(_LENGTH_BYTES)
    view[_LENGTH_BYTES:at] = text
    for secret in secrets:
        view[at : at + len(secret)] = secret.view()
        at += len(secret)
    return packed


def unpack(packed: memoryview) -> tuple[Any, Reader]:
    """Return the description, and what hands the secrets out; raises what is in `MALFORMED`."""
    start = _LENGTH_BYTES + int.from_bytes(packed[:_LENGTH_BYTES])
    return json.loads(bytes(packed[_LENGTH_BYTES:start])), Reader(packed[start:])


class Reader:
    """Hands out the secrets one after the other."""

    def __init__(self, view: memoryview) -> None:
        self._view = view

    def take(self, length: int) -> SecretBytes:
        """Return a copy of the next ``length`` bytes.

        Raises:
            ValueError: there are not so many, or none are asked for.
        """
        if not 0 < length <= self.left:
            raise ValueError
        taken, self._view = self._view[:length], self._view[length:]
        return SecretBytes(taken)

    @property
    def left(self) -> int:
        """How many bytes have not been handed out."""
        return len(self._view)


def moment(text: str) -> datetime:
    """Read a time in UTC.

    Raises:
        ValueError: it is none.
    """
    when = datetime.fromisoformat(text)
    if when.utcoffset() != timedelta(0):
        raise ValueError
    return when.astimezone(UTC)


def truth(value: Any) -> bool:
    """Return a truth value, and nothing that is only like one.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, bool):
        raise TypeError
    return value
