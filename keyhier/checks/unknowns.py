"""Finds what is unknown in a document."""

from __future__ import annotations

from collections.abc import Iterator

from keyhier.placement.arm_id import is_deployments_own
from keyhier.placement.json_text import below
from keyhier.placement.unknown import Unknown

__all__ = ["unknowns"]


def unknowns(value: object, pointer: str = "") -> Iterator[str]:
    """Yield the pointers of the values that nobody can tell."""
    if isinstance(value, Unknown) or (isinstance(value, str) and is_deployments_own(value)):
        yield pointer
    elif isinstance(value, dict):
        for name, each in value.items():
            yield from unknowns(each, below(pointer, name))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from unknowns(each, below(pointer, number))
