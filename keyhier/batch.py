"""Many operations as a stream: in order, with bounded memory, and one bad item spoils no other."""

from __future__ import annotations

import atexit
import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Final, Generic, TypeVar, cast

import attrs

from keyhier.errors import InvalidInputError, KeyhierError
from keyhier.steps import Steps

__all__ = ["Outcome", "Progress", "stream", "stream_in_steps"]

Item = TypeVar("Item")
Value = TypeVar("Value")

Progress = Callable[[int], None]
"""Told how many items are done, after each."""

_AHEAD: Final = 8  # Items in flight for each worker: enough to keep it busy, few enough to hold.
_ABREAST: Final = 8  # Items side by side in one worker; more of them gain nothing.
# And only as many as take so long together, because each one's outcome waits for the others.
_ABREAST_SECONDS: Final = 0.05
_ABREAST_PATIENCE_SECONDS: Final = 0.5  # After so long, what they wait for has become slow.
_MOMENT_SECONDS: Final = 0.01  # How long an outcome may wait for others, to be taken with them.


@attrs.frozen
class Outcome(Generic[Value]):
    """What became of one item.

    Attributes:
        index: the item's place in the input, from 0.
        value: the result, or None where there is an error.
        error: why there is no result, or None.
    """

    index: int
    value: Value | None = None
    error: KeyhierError | None = None

    def result(self) -> Value:
        """Return the value, or raise the error."""
        if self.error is not None:
            raise self.error
        return cast("Value", self.value)


@attrs.frozen
class _Failure:
    """What an item raised that is no outcome, and ends the stream."""

    index: int
    error: BaseException


def stream(
    function: Callable[[Item], Value],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Generator[Outcome[Value], None, None]:
    """Yield an outcome for every item, in order, working ahead by a bounded number of items.

    Args:
        function: what to do with an item; a KeyhierError that it raises becomes the outcome,
            anything else ends the stream.
        items: read lazily; what reading them raises is raised when the outcomes of all items
            before it were given.
        workers: how many threads; by default one for each processor, at most 8.
        progress: called after each item.

    Raises:
        InvalidInputError: ``workers`` is less than 1.
    """
    return _stream(lambda item: _in_one(function, item), items, workers, progress, abreast=1)


def stream_in_steps(
    work: Callable[[Item], Steps[Value]],
    items: Iterable[Item],
    *,
    workers: int | None = None,
    progress: Progress | None = None,
) -> Generator[Outcome[Value], None, None]:
    """Yield outcomes as :func:`stream` does, of work that a thread does side by side.

    Args:
        work: what to do with an item. Each thread does a step of several items after another,
            where these are so quick that nobody waits for it. What has paused may be closed and
            begun anew, or closed where the stream ends.
        items, workers, progress: as for :func:`stream`.

    Raises:
        InvalidInputError: as :func:`stream`.
    """
    return _stream(work, items, workers, progress, abreast=_ABREAST)


def _in_one(function: Callable[[Item], Value], item: Item) -> Steps[Value]:
    """Do something as work that has a single step."""
    yield from ()
    return function(item)


class _Source(Generic[Item]):
    """The numbered items; where the input fails it ends, and what was read before is done first."""

    def __init__(self, items: Iterable[Item]) -> None:
        self._items = enumerate(items)
        self._failure: Exception | None = None

    def __iter__(self) -> Iterator[tuple[int, Item]]:
        return self

    def __next__(self) -> tuple[int, Item]:
        try:
            return next(self._items)
        except StopIteration:
            raise
        except Exception as failure:  # noqa: BLE001  # It is raised again, a little later.
            self._failure = failure
            raise StopIteration from None

    def raise_failure(self) -> None:
        """Raise what the input raised, if it did."""
        if self._failure is not None:
            raise self._failure


class _Workers(Generic[Item, Value]):
    """Threads that do a few items at a time; an executor's futures cost several times as much."""

    def __init__(self, work: Callable[[Item], Steps[Value]], abreast: int) -> None:
        self._work = work
        self._abreast = abreast
        self._items: SimpleQueue[tuple[int, Item] | None] = SimpleQueue()
        self._done: dict[int, Outcome[Value] | _Failure] = {}
        self._awaited: dict[int, Lock] = {}
        self._threads: list[Thread] = []
        self._ending = False

    def start(self, count: int) -> None:
        """Start the threads; :meth:`end` ends them, at the latest when the program does."""
        atexit.register(self.end)
        for number in range(count):
            # A daemon, for a program that ends would wait for others before it calls anything.
            thread = Thread(target=self._run, name=f"keyhier_{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def give(self, index: int, item: Item) -> None:
        """Have an item done."""
        self._items.put((index, item))

    def outcome(self, index: int, later: int) -> Outcome[Value]:
        """Wait for what became of an item that was given; raise what is no KeyhierError.

        Where it is not done yet, one that was given ``later`` is waited for first, for a moment.
        So whoever takes one outcome after the other is woken once for several: each time, it takes
        a processor and the interpreter from the threads that work.
        """
        if index not in self._done:
            self._wait(later, _MOMENT_SECONDS)
            self._wait(index)
        outcome = self._done.pop(index)
        if isinstance(outcome, _Failure):
            raise outcome.error
        return outcome

    def _wait(self, index: int, seconds: float = -1) -> None:
        done = Lock()
        done.acquire()
        # A worker says what is done before it looks who waits; here it is the other way round, so
        # that one of the two sees the other.
        self._awaited[index] = done
        if index not in self._done:
            done.acquire(timeout=seconds)
        self._awaited.pop(index, None)

    def end(self) -> None:
        """Wait until the step is done that was begun of anything; the rest is left."""
        self._ending = True
        try:
            with suppress(Empty):
                while True:
                    self._items.get_nowait()
        finally:
            # It goes from one thread to the next: an interrupt may have kept one out of the list.
            self._items.put(None)
        for thread in self._threads:
            thread.join()
        atexit.unregister(self.end)

    def _run(self) -> None:
        several = 1
        while burst := self._take(several):
            started = time.monotonic()
            self._do(burst)
            each = (time.monotonic() - started) / len(burst)
            several = max(1, min(self._abreast, int(_ABREAST_SECONDS / max(each, 1e-6))))
            # It is not kept until the next comes.
            del burst
        self._items.put(None)

    def _take(self, several: int) -> list[tuple[int, Item]]:
        """Wait for an item, and take more of those that are there; none where the work is over."""
        taken = []
        given = self._items.get()
        with suppress(Empty):
            while given is not None:
                taken.append(given)
                if len(taken) == several:
                    return taken
                given = self._items.get_nowait()
            if taken:
                # The end comes again, when these are done.
                self._items.put(None)
        return taken

    def _do(self, burst: list[tuple[int, Item]]) -> None:
        """Do a step of each in turn, until all have ended or the stream has.

        Where what they wait for has become slow, all but one are given back and begun anew later:
        by other threads too, or by none where the stream ends.
        """
        until = time.monotonic() + _ABREAST_PATIENCE_SECONDS
        going: deque[tuple[int, Item, Steps[Value]]] = deque()
        for index, item in burst:
            self._goes_on(index, partial(self._begin, going, index, item))
        while going and not self._ending:
            index, item, steps = going.popleft()
            if self._goes_on(index, steps.__next__):
                going.append((index, item, steps))
            if time.monotonic() > until:
                while len(going) > 1:
                    index, item, steps = going.popleft()
                    if self._goes_on(index, steps.close):
                        self.give(index, item)
        for index, _, steps in going:
            self._goes_on(index, steps.close)

    def _begin(self, going: deque[tuple[int, Item, Steps[Value]]], index: int, item: Item) -> None:
        going.append((index, item, self._work(item)))

    def _goes_on(self, index: int, step: Callable[[], None]) -> bool:
        """Do a step of an item, and say whether more may follow; the last leaves its outcome.

        Leaving an item half way is a step, too, which can fail: an audit log is told of it.
        """
        try:
            step()
        except StopIteration as end:
            self._done[index] = Outcome(index, end.value)
        except KeyhierError as error:
            self._done[index] = Outcome(index, error=error)
        except BaseException as error:  # noqa: BLE001  # It is raised again where it belongs.
            self._done[index] = _Failure(index, error)
        else:
            return True
        awaited = self._awaited.pop(index, None)
        if awaited is not None:
            awaited.release()
        return False


def _stream(
    work: Callable[[Item], Steps[Value]],
    items: Iterable[Item],
    count: int | None,
    progress: Progress | None,
    *,
    abreast: int,
) -> Generator[Outcome[Value], None, None]:
    count = min(8, os.cpu_count() or 1) if count is None else count
    if count < 1:
        raise InvalidInputError("a batch needs at least one worker")
    ahead = count * max(_AHEAD, 2 * abreast)
    return _outcomes(_Workers(work, abreast), _Source(items), count, ahead, progress)


def _outcomes(
    workers: _Workers[Item, Value],
    source: _Source[Item],
    count: int,
    ahead: int,
    progress: Progress | None,
) -> Generator[Outcome[Value], None, None]:
    given = 0
    # The other half of what is in flight keeps the workers busy meanwhile.
    several = ahead // 2

    def give(number: int) -> None:
        nonlocal given
        for index, item in islice(source, number):
            workers.give(index, item)
            given += 1

    try:
        workers.start(count)
        give(ahead)
        index = 0
        while index < given:
            outcome = workers.outcome(index, min(index + several, given) - 1)
            index += 1
            give(1)
            if progress is not None:
                progress(index)
            yield outcome
        source.raise_failure()
    finally:
        workers.end()
