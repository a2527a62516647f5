"""Which calls of a module are in flight, and how to wait until none is.

A module may be finalised only while no other call of it runs (PKCS#11 v3.1, section 5.4.2), and
a process is better not forked while one does.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

__all__ = ["Calls"]


class Calls:
    """Counts the threads that are inside a module; used as a context manager around calls.

    A thread that is inside may go in again also where others have to wait, for it could not
    come out otherwise.
    """

    def __init__(self) -> None:
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Forget the parent's threads, none of which are in the child."""
        self._changed = threading.Condition(threading.Lock())
        self._alone = threading.Lock()
        self._mine = threading.local()
        self._inside = 0
        self._stops = 0

    def __enter__(self) -> None:
        depth = getattr(self._mine, "depth", 0)
        if not depth:
            with self._changed:
                while self._stops and not self._is_alone():
                    self._changed.wait()
                self._inside += 1
        self._mine.depth = depth + 1

    def _is_alone(self) -> bool:
        return bool(getattr(self._mine, "alone", False))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._mine.depth -= 1
        if not self._mine.depth:
            with self._changed:
                self._inside -= 1
                if self._stops:
                    self._changed.notify_all()

    @contextmanager
    def alone(self, seconds: float) -> Iterator[bool]:
        """Wait until no other thread is inside, and keep them out; yields whether that came.

        Args:
            seconds: how long to wait.
        """
        with self._alone:
            ended = self.stop(time.monotonic() + seconds)
            try:
                self._mine.alone = True
                with self:
                    yield ended
            finally:
                self._mine.alone = False
                self.resume()

    def stop(self, until: float) -> bool:
        """Let no call begin until :meth:`resume`; say whether all ended until that time.

        Args:
            until: how long to wait, as :func:`time.monotonic` tells it.
        """
        with self._changed:
            self._stops += 1
            own = 1 if getattr(self._mine, "depth", 0) else 0
            while self._inside > own:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def resume(self) -> None:
        """Let calls begin again."""
        with self._changed:
            self._stops -= 1
            if not self._stops:
                self._changed.notify_all()
