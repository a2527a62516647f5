"""Work in steps, so that several pieces of one kind can be done side by side in one thread.

A millisecond in a token's module leaves little of Python in a processor's caches. Where the token's
operations of several pieces of work follow each other, and so do the seals and comparisons between
them, each finds in the caches what the one before it left there.
"""

from __future__ import annotations

from collections.abc import Generator
from typing import Final, TypeVar

__all__ = ["OPENING", "Steps", "finish"]

Value = TypeVar("Value")

Steps = Generator[None, None, Value]
"""Work that pauses before and after what a vault is asked for, and returns a value."""


OPENING: Final = (None, None)
"""The pauses of whoever opens an envelope, and of whoever refuses to.

Otherwise the order of an audit log would tell which of the two a failure was (promise 3).
"""


def finish(steps: Steps[Value]) -> Value:
    """Do what is left of the work, without a pause, and return what comes of it."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        value: Value = end.value
    return value
