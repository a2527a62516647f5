"""Timing two ways of doing one thing, in turns, so that a noisy machine disturbs both alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Final

import attrs

__all__ = ["Pair", "Result", "measure"]

ROUNDS: Final = 75


@attrs.frozen
class Pair:
    """One comparison.

    Attributes:
        name: what is compared.
        ours: keyhier's way, once.
        raw: the same with the binding alone, once.
        baseline: what ``raw`` is, in words.
        wanted: the least ratio of speeds, ours to raw, that is asked for, or None.
    """

    name: str
    ours: Callable[[], object]
    raw: Callable[[], object]
    baseline: str
    wanted: float | None = None


@attrs.frozen
class Result:
    """What a comparison gave.

    Attributes:
        ours, raw: how many a second, in each side's best round.
        ratio: our speed divided by the raw one. The best rounds are compared because whatever else
            the machine does only ever slows a round down (as the manual of ``timeit`` says).
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


def _seconds(function: Callable[[], object], times: int) -> float:
    start = time.perf_counter()
    for _ in range(times):
        function()
    return (time.perf_counter() - start) / times


def measure(pair: Pair, seconds: float = 0.03) -> Result:
    """Run both sides in turns, each for about ``seconds`` a round, after one round to warm up."""
    times = max(1, int(seconds / _seconds(pair.raw, 3)))
    _seconds(pair.ours, times)
    ours: list[float] = []
    raw: list[float] = []
    for number in range(ROUNDS):
        # Who goes first changes, so that neither always runs on the warmer cache.
        for which in ("ours", "raw") if number % 2 else ("raw", "ours"):
            if which == "ours":
                ours.append(_seconds(pair.ours, times))
            else:
                raw.append(_seconds(pair.raw, times))
    ratios = [theirs / mine for mine, theirs in zip(ours, raw, strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    return Result(
        name=pair.name,
        baseline=pair.baseline,
        ours=1 / min(ours),
        raw=1 / min(raw),
        ratio=min(raw) / min(ours),
        low=low,
        middle=middle,
        high=high,
        wanted=pair.wanted,
    )
