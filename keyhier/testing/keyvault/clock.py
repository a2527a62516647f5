"""The vault's clock, which tests move."""

from __future__ import annotations

import time
from datetime import timedelta

__all__ = ["Clock"]


class Clock:
    """The machine's clock, with what a test has added to it.

    Keys, secrets, rotation and soft delete go by it. Tokens go by the machine's clock, because
    clients do, and the published limits go by how fast requests really come.
    """

    def __init__(self) -> None:
        """Start at the machine's time."""
        self._ahead = 0.0

    def now(self) -> float:
        """Return the seconds since 1970-01-01T00:00:00Z."""
        return time.time() + self._ahead

    def advance(self, by: timedelta | float) -> None:
        """Move the clock, back where ``by`` (seconds, or a duration) is negative."""
        self._ahead += by.total_seconds() if isinstance(by, timedelta) else by
