"""Timing two ways of doing one thing, in turns, so that a noisy machine disturbs both alike.

What is timed is the processor's time, unless a comparison says otherwise: where nothing waits for
anything, the time in which the processor was another program's says nothing about either side.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Callable
from typing import Final

import attrs

__all__ = ["Pair", "Result", "measure"]

LEAST_ROUNDS: Final = 15
PAIR_SECONDS: Final = 6.0
ROUND_SECONDS: Final = 0.01
"""Short, so that some rounds fall between whatever else the machine does."""


def _processor_seconds() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


@attrs.frozen
class Pair:
    """One comparison.

    Attributes:
        name: what is compared.
        ours: keyhier's way, once.
        raw: the same with the binding alone, once.
        baseline: what ``raw`` is, in words.
        wanted: the least ratio of speeds, ours to raw, that is asked for, or None.
        clock: tells the time, in seconds.
        operations: how many operations once is.
        least_rounds: how often each side is timed at least.
        ours_count, raw_count: how many operations one call of each side does.
        paired: whether the ratio is the median of the rounds' own ratios, and not that of the best
            rounds. Two threads on a shared machine have two processors at one moment and less than
            that at the next; both sides of one round see about the same.
    """

    name: str
    ours: Callable[[], object]
    raw: Callable[[], object]
    baseline: str
    wanted: float | None = None
    clock: Callable[[], float] = _processor_seconds
    operations: int = 1
    least_rounds: int = LEAST_ROUNDS
    ours_count: int = 1
    raw_count: int = 1
    paired: bool = False


@attrs.frozen
class Result:
    """What a comparison gave.

    Attributes:
        ours, raw: how many a second, in each side's best rounds.
        ratio: our speed divided by the raw one. The best rounds are compared because whatever else
            the machine does only ever slows a round down (as the manual of ``timeit`` says), unless
            the comparison is paired.
        low, middle, high: the quartiles of the ratio within one round, which show how noisy it was.
    """

    name: str
    baseline: str
    ours: float
    raw: float
    ratio: float
    low: float
    middle: float
    high: float
    wanted: float | None

    @property
    def met(self) -> bool | None:
        """Whether the ratio that is asked for was reached, or None where none is."""
        return None if self.wanted is None else self.ratio >= self.wanted


def measure(pair: Pair) -> Result:
    """Run both sides in turns for some seconds, after one round to warm up."""

    def seconds(function: Callable[[], object], times: int) -> float:
        start = pair.clock()
        for _ in range(times):
            function()
        return (pair.clock() - start) / times

    times = max(1, int(ROUND_SECONDS / seconds(pair.raw, 1)))
    seconds(pair.ours, times)
    ours: list[float] = []
    raw: list[float] = []
    end = time.perf_counter() + PAIR_SECONDS
    while time.perf_counter() < end or len(ours) < pair.least_rounds:
        # Who goes first changes, so that neither always runs on the warmer cache.
        for which in ("ours", "raw") if len(ours) % 2 else ("raw", "ours"):
            if which == "ours":
                ours.append(seconds(pair.ours, times))
            else:
                raw.append(seconds(pair.raw, times))
    scale = pair.ours_count / pair.raw_count
    ratios = [scale * theirs / mine for mine, theirs in zip(ours, raw, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    best_ours, best_raw = _best(ours) / pair.ours_count, _best(raw) / pair.raw_count
    return Result(
        name=pair.name,
        baseline=pair.baseline,
        ours=pair.operations / best_ours,
        raw=pair.operations / best_raw,
        ratio=middle if pair.paired else best_raw / best_ours,
        low=low,
        middle=middle,
        high=high,
        wanted=pair.wanted,
    )


def _best(rounds: list[float]) -> float:
    """Return what the best tenth of the rounds reached; the very best may be a clock's mistake."""
    return sorted(rounds)[len(rounds) // 10]
