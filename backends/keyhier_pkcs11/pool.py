"""Permits for sessions: how many a program may have on one token, and how long it waits for one.

Tokens have few sessions (CK_TOKEN_INFO.ulMaxSessionCount), often shared with other programs, so
their number is bounded. A session is not tested before use, which would be one more round trip
to a network HSM for every operation; one in which something failed is not used again.
"""

from __future__ import annotations

import threading
from queue import Empty, SimpleQueue
from typing import Final

from keyhier.errors import UnavailableError

__all__ = ["LEAST_SESSIONS", "USUAL_SESSIONS", "Permits"]

USUAL_SESSIONS: Final = 16
LEAST_SESSIONS: Final = 2  # A trial of a mechanism holds one and runs in another.
_PATIENCE_SECONDS: Final = 30.0


class Permits:
    """The right to have a session, for at most ``bound`` operations at once."""

    def __init__(self, bound: int, patience: float = _PATIENCE_SECONDS) -> None:
        self._bound = bound
        self._patience = patience
        # Ten times as fast as a semaphore, and every operation takes one.
        self._free: SimpleQueue[None] = SimpleQueue()
        for _ in range(bound):
            self._free.put(None)
        # Whoever keeps a session needs another to use what is in it, and a trial needs two.
        self._keepable = threading.Semaphore(max(1, bound - LEAST_SESSIONS))

    def take(self) -> None:
        """Take a permit, waiting for one if need be.

        Raises:
            UnavailableError: none came free in time.
        """
        try:
            self._free.get_nowait()
        except Empty:
            self._wait()

    def give_back(self) -> None:
        """Let another thread have it."""
        self._free.put(None)

    def take_to_keep(self) -> None:
        """Take a permit for long; some are left for operations.

        Raises:
            UnavailableError: none came free in time.
        """
        if not self._keepable.acquire(timeout=self._patience):
            raise self._none_free()
        try:
            self.take()
        except UnavailableError:
            self._keepable.release()
            raise

    def give_back_kept(self) -> None:
        """Let another thread have what was taken for long."""
        self.give_back()
        self._keepable.release()

    def _wait(self) -> None:
        try:
            self._free.get(timeout=self._patience)
        except Empty:
            raise self._none_free() from None

    def _none_free(self) -> UnavailableError:
        return UnavailableError(
            f"all {self._bound} sessions with the token were in use for {self._patience:g} seconds",
            remedy="use fewer threads, or raise max-sessions in the vault's URI",
        )
