"""Deadlines: a module that hangs costs its caller the deadline and a worker thread, and no more.

No call of PKCS#11 has a timeout, and a thread inside one cannot be stopped. So an operation with
a deadline runs on a worker thread, and when its time is over the caller goes on without it.
Handing it over takes about 80 microseconds; without a deadline nothing is handed over.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import partial, wraps
from queue import SimpleQueue
from typing import Concatenate, Final, Generic, ParamSpec, Protocol, TypeVar, cast

import attrs

from keyhier.errors import UnavailableError
from keyhier.secret import SecretBytes
from keyhier_pkcs11.fork import renewed_in_child

__all__ = ["Deadline", "Workers", "within_deadline"]

_T = TypeVar("_T")
_P = ParamSpec("_P")

_REMEDY: Final = "see whether the HSM answers; what was begun may still be done, so look first"


class _Job(Generic[_T]):
    """One operation, from when it is handed over until its result is taken or nobody's."""

    def __init__(self, call: Callable[[], _T], undo: Callable[[_T], None]) -> None:
        self._call = call
        self._undo = undo
        self._state = threading.Lock()
        self._done = threading.Lock()
        self._done.acquire()
        self._abandoned = False
        self._results: list[_T] = []
        self._error: BaseException | None = None

    def work(self) -> None:
        """Run the operation, on the worker's thread."""
        try:
            self._results.append(self._call())
        except BaseException as error:  # noqa: BLE001  # It is raised again where it belongs.
            self._error = error
        with self._state:
            abandoned = self._abandoned
            self._done.release()
        if abandoned and self._results:
            self._undo(self._results.pop())

    def finished(self, seconds: float) -> bool:
        """Wait for the result; False means that nobody will take it any more."""
        if self._done.acquire(timeout=seconds):
            return True
        with self._state:
            self._abandoned = self._done.locked()
            return not self._abandoned

    def result(self) -> _T:
        """Return or raise what the operation did."""
        error, self._error = self._error, None
        if error is not None:
            raise error
        return self._results.pop()


class Workers:
    """The threads on which one vault's operations with a deadline run, started when needed.

    Threads that hang count as long as they do, so that a module that hangs for ever does not
    gather more than ``bound`` of them.
    """

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._closed = False
        self.renew_in_child()
        renewed_in_child(self)

    def renew_in_child(self) -> None:
        """Forget the parent's threads, which the child does not have."""
        self._free = threading.Semaphore(self._bound)
        self._idle: list[SimpleQueue[_Job[object] | None]] = []

    def run(
        self, call: Callable[[], _T], seconds: float, undo: Callable[[_T], None] | None = None
    ) -> _T:
        """Run ``call`` on a worker thread.

        Args:
            call: the operation.
            seconds: how much time it has, the wait for a free thread included.
            undo: given the result that comes when nobody waits any more; by default secrets
                are wiped.

        Raises:
            UnavailableError: it took too long, or too many others hang.
        """
        until = time.monotonic() + seconds
        if not self._free.acquire(timeout=seconds):
            raise UnavailableError(
                f"{self._bound} operations with the token hang, and no more are begun",
                remedy=_REMEDY,
            )
        job = _Job(call, undo or _wipe)
        self._worker().put(cast("_Job[object]", job))
        if not job.finished(until - time.monotonic()):
            raise UnavailableError(
                f"the token did not answer within {seconds:g} seconds", remedy=_REMEDY
            )
        return job.result()

    def close(self) -> None:
        """Let the threads go; one that hangs goes when it comes back."""
        self._closed = True
        self._release_idle()

    def _worker(self) -> SimpleQueue[_Job[object] | None]:
        try:
            return self._idle.pop()
        except IndexError:
            jobs: SimpleQueue[_Job[object] | None] = SimpleQueue()
            # A daemon, for a thread that hangs must not keep the program from ending.
            threading.Thread(
                target=self._work, args=(jobs,), name="keyhier-pkcs11", daemon=True
            ).start()
            return jobs

    def _work(self, jobs: SimpleQueue[_Job[object] | None]) -> None:
        while (job := jobs.get()) is not None:
            job.work()
            # Nothing of it, a secret least of all, is kept until the next comes.
            del job
            self._idle.append(jobs)
            self._free.release()
            if self._closed:
                self._release_idle()

    def _release_idle(self) -> None:
        while True:
            try:
                jobs = self._idle.pop()
            except IndexError:
                return
            jobs.put(None)


@attrs.frozen
class Deadline:
    """How much time each operation has.

    Attributes:
        seconds: so many, or None for no limit.
        workers: the threads for those that have a limit.
    """

    seconds: float | None
    workers: Workers

    def run(self, call: Callable[[], _T], undo: Callable[[_T], None] | None = None) -> _T:
        """Run ``call``: on a worker thread where its time is limited, else on this one.

        Args:
            call, undo: as for :meth:`Workers.run`.

        Raises:
            UnavailableError: as there.
        """
        if self.seconds is None:
            return call()
        return self.workers.run(call, self.seconds, undo)


class HasDeadline(Protocol):
    """What has operations."""

    @property
    def deadline(self) -> Deadline:
        """How much time each has."""
        ...


_Self = TypeVar("_Self", bound=HasDeadline)


def within_deadline(
    method: Callable[Concatenate[_Self, _P], _T],
) -> Callable[Concatenate[_Self, _P], _T]:
    """Make a method run within its object's deadline."""

    @wraps(method)
    def run(self: _Self, /, *arguments: _P.args, **named: _P.kwargs) -> _T:
        deadline = self.deadline
        if deadline.seconds is None:
            return method(self, *arguments, **named)
        return deadline.run(partial(method, self, *arguments, **named))

    return run


def _wipe(result: object) -> None:
    if isinstance(result, SecretBytes):
        result.wipe()
