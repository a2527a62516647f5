"""Many operations as a stream: in order, with bounded memory, and one bad item spoils no other."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from itertools import islice
from queue import Empty, SimpleQueue
from threading import Lock, Thread
from typing import Final, Generic, TypeVar, cast

import attrs

from keyhier.errors import InvalidInputError, KeyhierError

__all__ = ["Outcome", "Progress", "stream"]

Item = TypeVar("Item")
Value = TypeVar("Value")

Progress = Callable[[int], None]
"""Told how many items are done, after each."""

_AHEAD: Final = 8  # Items in flight for each worker: enough to keep it busy, few enough to hold.
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
    count = workers if workers is not None else min(8, os.cpu_count() or 1)
    if count < 1:
        raise InvalidInputError("a batch needs at least one worker")
    return _stream(function, items, count, progress)


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
    """Threads that do one item after another; an executor's futures cost several times as much."""

    def __init__(self, function: Callable[[Item], Value]) -> None:
        self._function = function
        self._items: SimpleQueue[tuple[int, Item] | None] = SimpleQueue()
        self._done: dict[int, Outcome[Value] | _Failure] = {}
        self._awaited: dict[int, Lock] = {}
        self._threads: list[Thread] = []

    def start(self, count: int) -> None:
        """Start the threads; :meth:`end` ends them, at the latest when the program does."""
        atexit.register(self.end)
        for number in range(count):
            # A daemon, for a program that ends would wait for others before it calls anything.
            thread = Thread(target=self._work, name=f"keyhier_{number}", daemon=True)
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
        """Wait until what was begun is done; what was not is left."""
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

    def _work(self) -> None:
        while (given := self._items.get()) is not None:
            index = given[0]
            self._done[index] = self._attempt(*given)
            # It is not kept until the next comes.
            del given
            awaited = self._awaited.pop(index, None)
            if awaited is not None:
                awaited.release()
        self._items.put(None)

    def _attempt(self, index: int, item: Item) -> Outcome[Value] | _Failure:
        try:
            return Outcome(index, self._function(item))
        except KeyhierError as error:
            return Outcome(index, error=error)
        except BaseException as error:  # noqa: BLE001  # It is raised again where it belongs.
            return _Failure(index, error)


def _stream(
    function: Callable[[Item], Value],
    items: Iterable[Item],
    count: int,
    progress: Progress | None,
) -> Generator[Outcome[Value], None, None]:
    source = _Source(items)
    workers = _Workers(function)
    given = 0
    # The other half of what is in flight keeps the workers busy meanwhile.
    several = count * _AHEAD // 2

    def give(number: int) -> None:
        nonlocal given
        for index, item in islice(source, number):
            workers.give(index, item)
            given += 1

    try:
        workers.start(count)
        give(count * _AHEAD)
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
