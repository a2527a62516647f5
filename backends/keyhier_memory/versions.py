"""Version identifiers: 32 hexadecimal digits that sort by the time they were made."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from typing import Final

__all__ = ["VersionClock", "is_for"]

_RANDOM_BITS: Final = 80
_STEP_BITS: Final = 64


class VersionClock:
    """Makes identifiers as UUID version 7 does (RFC 9562, section 5.7), without its fixed bits.

    48 bits of milliseconds since 1970, then 80 random bits; each identifier is greater than all
    that this clock made before and than the one it is asked to follow, even if the system's
    clock was set back.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self, after: str = "") -> str:
        """Return a new identifier, greater than ``after`` where there is one."""
        now = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
        with self._lock:
            floor = max(self._last, int(after, 16) if after else 0)
            if now <= floor:
                now = floor + 1 + secrets.randbits(_STEP_BITS)
            self._last = now
        return f"{now:032x}"

    def next_for(self, tag: str, after: str) -> str:
        """Return a new identifier whose random bits say that it is for ``tag``; else as above."""
        milliseconds = time.time_ns() // 1_000_000
        with self._lock:
            floor = max(self._last, int(after, 16)) >> _RANDOM_BITS
            self._last = max(milliseconds, floor + 1) << _RANDOM_BITS | _bits_of(tag)
            return f"{self._last:032x}"


def is_for(version: str, tag: str) -> bool:
    """Whether an identifier was made for ``tag``."""
    return int(version, 16) % (1 << _RANDOM_BITS) == _bits_of(tag)


def _bits_of(tag: str) -> int:
    return int.from_bytes(hashlib.sha256(tag.encode()).digest()[: _RANDOM_BITS // 8])
