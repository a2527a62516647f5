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
    """Knows the threads that are inside a module; used as a context manager around calls.

    A thread that is inside may go in again also where others have to wait, for it could not
    come out otherwise. Going in and out takes no lock, because every operation does it: a thread
    says that it is inside and then looks whether it may be, and whoever stops the calls says so
    and then looks who is inside.
    """

    def __init__(self) -> None:
        self.renew_in_child()

    def renew_in_child(self) -> None:
        """Forget the parent's threads, none of which are in the child."""
        self._one_at_a_time = threading.Lock()
        self._changed = threading.Condition(threading.Lock())
        # How deep each thread is inside. A thread writes its own entry only.
        self._inside: dict[int, int] = {}
        self._stops = 0
        self._alone: int | None = None

    def __enter__(self) -> None:
        me = threading.get_ident()
        depth = self._inside.get(me, 0)
        self._inside[me] = depth + 1
        if self._stops and not depth and self._alone != me:
            self._wait(me)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        me = threading.get_ident()
        depth = self._inside[me] - 1
        if depth:
            self._inside[me] = depth
        else:
            self._go_out(me)

    @contextmanager
    def alone(self, seconds: float) -> Iterator[bool]:
        """Wait until no other thread is inside, and keep them out; yields whether that came.

        Args:
            seconds: how long to wait.
        """
        with self._one_at_a_time:
            ended = self.stop(time.monotonic() + seconds)
            self._alone = threading.get_ident()
            try:
                with self:
                    yield ended
            finally:
                self._alone = None
                self.resume()

    def stop(self, until: float) -> bool:
        """Let no call begin until :meth:`resume`; say whether all ended until that time.

        Args:
            until: how long to wait, as :func:`time.monotonic` tells it.
        """
        me = threading.get_ident()
        with self._changed:
            self._stops += 1
            while self._inside.keys() - {me}:
                left = until - time.monotonic()
                if left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def resume(self) -> None:
        """Let calls begin again."""
        with self._changed:
            self._stops -= 1
            self._changed.notify_all()

    def _wait(self, me: int) -> None:
        self._go_out(me)
        with self._changed:
            while self._stops:
                self._changed.wait()
            self._inside[me] = 1

    def _go_out(self, me: int) -> None:
        del self._inside[me]
        if self._stops:
            with self._changed:
                self._changed.notify_all()
