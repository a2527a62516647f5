"""Version identifiers: 32 hexadecimal digits that sort by the time they were made."""

from __future__ import annotations

import secrets
import threading
import time
from typing import Final

__all__ = ["VersionClock"]

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
