"""Forks: wait until no PKCS#11 call is in flight, and start afresh in the child.

A process that forks while another of its threads is inside a module copies that module's locks
as they are, held by nobody in the child. So a fork waits here until no call is in flight, at most
:data:`PATIENCE_SECONDS`, and meanwhile no new call begins. What lies in Python is renewed in
the child at once; the module is initialised again when the child first uses it, never in the
handler, as PKCS#11 v3.1, section 5.4.1, has it.
"""

from __future__ import annotations

import os
import threading
import time
from typing import Final, Protocol
from weakref import WeakSet

from keyhier_pkcs11.calls import Calls

__all__ = ["PATIENCE_SECONDS", "Renewable", "held_by_forks", "renewed_in_child"]

PATIENCE_SECONDS: Final = 5.0


class Renewable(Protocol):
    """Something with locks that a child must not take over as they were."""

    def renew_in_child(self) -> None:
        """Make new locks and forget what belongs to the parent; call no module."""
        ...


class _Forks:
    def __init__(self) -> None:
        self._one_at_a_time = threading.Lock()
        self._calls: WeakSet[Calls] = WeakSet()
        self._stopped: list[Calls] = []
        self._renewables: WeakSet[Renewable] = WeakSet()

    def add(self, renewable: Renewable) -> None:
        self._renewables.add(renewable)

    def hold(self, calls: Calls) -> None:
        self._calls.add(calls)
        self._renewables.add(calls)

    def before(self) -> None:
        self._one_at_a_time.acquire()
        until = time.monotonic() + PATIENCE_SECONDS
        for calls in list(self._calls):
            calls.stop(until)
            self._stopped.append(calls)

    def in_parent(self) -> None:
        while self._stopped:
            self._stopped.pop().resume()
        self._one_at_a_time.release()

    def in_child(self) -> None:
        self._stopped.clear()
        self._one_at_a_time = threading.Lock()
        for renewable in list(self._renewables):
            renewable.renew_in_child()


_forks: Final = _Forks()
os.register_at_fork(
    before=_forks.before, after_in_parent=_forks.in_parent, after_in_child=_forks.in_child
)


def renewed_in_child(renewable: Renewable) -> None:
    """Have ``renewable`` renewed in every process that is forked from this one."""
    _forks.add(renewable)


def held_by_forks(calls: Calls) -> None:
    """Let forks wait until none of ``calls`` is in flight, and start none meanwhile."""
    _forks.hold(calls)
