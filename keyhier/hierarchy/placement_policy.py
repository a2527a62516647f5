"""PlacementPolicy: whether a set's key may be where it is, asked before the key is used."""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from keyhier.errors import PlacementError
from keyhier.identifiers import KeyId

__all__ = ["Enforcement", "PlacementCheck", "PlacementPolicy"]

PlacementCheck = Callable[[Mapping[str, Any], KeyId], Sequence[str]]
"""Given where a set is and the key that it is to use, names every rule that would be broken."""


class Enforcement(enum.StrEnum):
    """What is done about a violation."""

    ENFORCE = "enforce"
    WARN = "warn"


@attrs.frozen
class PlacementPolicy:
    """A check of places, and what follows from it.

    Attributes:
        check: names every violation.
        enforcement: *enforce* refuses before any key is used; *warn* notes it in the set.
    """

    check: PlacementCheck
    enforcement: Enforcement = attrs.field(default=Enforcement.ENFORCE, converter=Enforcement)

    def violations(self, place: Mapping[str, Any], key: KeyId) -> tuple[str, ...]:
        """Return the violations that are to be noted.

        Raises:
            PlacementError: there are some, and they are not allowed; it names all of them.
        """
        found = tuple(self.check(place, key))
        if found and self.enforcement is Enforcement.ENFORCE:
            raise PlacementError(
                f"{key} is where the set may not have its key: {'; '.join(found)}",
                remedy="use a key of a vault that is allowed, or move the set",
            )
        return found
