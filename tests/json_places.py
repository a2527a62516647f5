"""The places in a JSON document, and documents that hold something else in one of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

Place = tuple[str | int, ...]


def places(value: object, at: Place = ()) -> Iterator[Place]:
    """Yield the place of every value in a document, but not of the whole."""
    if at:
        yield at
    pairs: list[tuple[Any, object]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    for key, each in pairs:
        yield from places(each, (*at, key))


def altered(document: Any, at: Place, value: object) -> Any:
    """Return a copy of a document with another value in one place."""
    changed = copy.deepcopy(document)
    holder = changed
    for key in at[:-1]:
        holder = holder[key]
    holder[at[-1]] = value
    return changed
