"""Many operations as a stream: in order, with bounded memory, and one bad item spoils no other."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

import attrs

from keyhier.errors import InvalidInputError, KeyhierError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["Outcome", "Progress", "stream"]

Item = TypeVar("Item")
Value = TypeVar("Value")

Progress = Callable[[int], None]
"""Told how many items are done, after each."""

_AHEAD: Final = 8  # Items in flight for each worker: enough to keep it busy, few enough to hold.


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


def _stream(
    function: Callable[[Item], Value],
    items: Iterable[Item],
    workers: int,
    progress: Progress | None,
) -> Generator[Outcome[Value], None, None]:
    # Imported late, because it brings in logging, which nothing else here needs.
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415

    def attempt(index: int, item: Item) -> Outcome[Value]:
        try:
            return Outcome(index, function(item))
        except KeyhierError as error:
            return Outcome(index, error=error)

    waiting: deque[Future[Outcome[Value]]] = deque()
    source = _Source(items)
    pool = ThreadPoolExecutor(workers, thread_name_prefix="keyhier")
    try:
        for index, item in islice(source, workers * _AHEAD):
            waiting.append(pool.submit(attempt, index, item))
        while waiting:
            outcome = waiting.popleft().result()
            for index, item in islice(source, 1):
                waiting.append(pool.submit(attempt, index, item))
            if progress is not None:
                progress(outcome.index + 1)
            yield outcome
        source.raise_failure()
    finally:
        pool.shutdown(cancel_futures=True)
