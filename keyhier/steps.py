"""Work in steps: several pieces of one kind, done side by side in one thread.

A millisecond in a token's module leaves little of Python in a processor's caches. Where the tokens'
operations of several pieces of work follow each other, and so do the seals and comparisons between
them, each finds in the caches what the one before it left there.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TypeVar

from keyhier.batch import Outcome
from keyhier.errors import KeyhierError

__all__ = ["Steps", "abreast", "finish"]

Value = TypeVar("Value")

Steps = Generator[None, None, Value]
"""Work that pauses before and after what a vault is asked for, and returns a value."""


def finish(steps: Steps[Value]) -> Value:
    """Do what is left of the work, without a pause, and return what comes of it."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        value: Value = end.value
    return value


def abreast(works: Sequence[Steps[Value]]) -> list[Outcome[Value]]:
    """Do a step of each in turn until all have ended, and say what came of each, in order.

    A KeyhierError is the outcome of the one that raised it. Anything else ends them all, and is
    raised.
    """
    outcomes: dict[int, Outcome[Value]] = {}
    going = list(enumerate(works))
    try:
        while going:
            for index, steps in going:
                try:
                    next(steps)
                except StopIteration as end:
                    outcomes[index] = Outcome(index, end.value)
                except KeyhierError as error:
                    outcomes[index] = Outcome(index, error=error)
            going = [each for each in going if each[0] not in outcomes]
    finally:
        # What they hold is wiped at once.
        for steps in works:
            steps.close()
    return [outcomes[index] for index in range(len(works))]
