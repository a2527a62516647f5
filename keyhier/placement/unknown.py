"""Unknown: what is not known, as a value of its own.

None says that a thing is known not to be there: a disk without an encryption set. Unknown says that
nobody has told: a disk of which only the id is given. What rests on something unknown is reported
as not checked, never as passed.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, NoReturn, TypeAlias, TypeVar

__all__ = [
    "NOT_YET",
    "UNKNOWN",
    "Maybe",
    "Unknown",
    "all_of",
    "any_of",
    "in_whole",
    "negated",
    "or_unknown",
    "same",
]

T = TypeVar("T")


class Unknown(Enum):
    """The type of the one value UNKNOWN. It is neither true nor false, and says so when asked."""

    UNKNOWN = "unknown"

    # It is a part of many values that are looked up, and the hash of Enum is written in Python.
    __hash__ = object.__hash__

    def __bool__(self) -> NoReturn:
        raise TypeError("what is unknown is neither true nor false: compare it with UNKNOWN")

    def __str__(self) -> str:
        return "unknown"

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown.UNKNOWN
"""What nobody has told."""

NOT_YET: Final = "VERSION"
"""Stands in an id for a version of a key or secret that is not made yet; no key vault takes it."""

Maybe: TypeAlias = T | Unknown
"""A value of type T, or UNKNOWN."""


def all_of(*truths: Maybe[bool]) -> Maybe[bool]:
    """Whether all hold; one that does not hold decides, whatever is unknown (Kleene's logic)."""
    if False in truths:
        return False
    return UNKNOWN if UNKNOWN in truths else True


def any_of(*truths: Maybe[bool]) -> Maybe[bool]:
    """Whether one holds; one that holds decides, whatever is unknown."""
    if True in truths:
        return True
    return UNKNOWN if UNKNOWN in truths else False


def negated(truth: Maybe[bool]) -> Maybe[bool]:
    """The opposite, where there is one."""
    return UNKNOWN if truth is UNKNOWN else not truth


def or_unknown(value: Maybe[T | None]) -> Maybe[T]:
    """The value, or UNKNOWN where there is none."""
    return UNKNOWN if value is None else value


def in_whole(value: Maybe[T | None], default: T, *, whole: bool) -> Maybe[T]:
    """The value; where there is none, the default in a whole document, and UNKNOWN in a part."""
    if value is not None:
        return value
    return default if whole else UNKNOWN


def same(one: Maybe[object], other: Maybe[object]) -> Maybe[bool]:
    """Whether two values are equal."""
    return UNKNOWN if one is UNKNOWN or other is UNKNOWN else one == other
