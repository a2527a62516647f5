"""The vault's clock, which tests move."""

from __future__ import annotations

import time
from datetime import timedelta
from threading import Lock

__all__ = ["Clock"]


class Clock:
    """The machine's clock, with what a test has added to it.

    Keys, secrets, rotation and soft delete go by it. Tokens go by the machine's clock, because
    clients do, and the published limits go by how fast requests really come.

    Attributes:
        step: how many seconds later each reading is than the one before, besides the time that has
            passed; 0 at first. With 1, and a clock that is far behind so that it stays in the past,
            no client has to wait for the next second before it makes another version.
    """

    def __init__(self) -> None:
        """Start at the machine's time."""
        self._ahead = 0.0
        self.step = 0.0
        self._lock = Lock()

    def now(self) -> float:
        """Return the seconds since 1970-01-01T00:00:00Z."""
        with self._lock:
            self._ahead += self.step
            return time.time() + self._ahead

    def advance(self, by: timedelta | float) -> None:
        """Move the clock, back where ``by`` (seconds, or a duration) is negative."""
        with self._lock:
            self._ahead += by.total_seconds() if isinstance(by, timedelta) else by
