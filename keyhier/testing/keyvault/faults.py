"""Faults: what goes wrong at the n-th call of a route."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from enum import Enum
from typing import Final

import attrs

from keyhier.testing.keyvault.messages import Document

__all__ = ["Drop", "Fault", "Faults"]

ANY: Final = "*"


class Drop(Enum):
    """When a connection is dropped."""

    BEFORE = "before"
    """Nothing was done."""
    AFTER = "after"
    """All was done, and only the answer is lost."""


@attrs.frozen
class Fault:
    """What goes wrong; a fault that says nothing changes nothing.

    Attributes:
        status: what is answered, and nothing is done; None to answer as ever.
        headers: in the answer, besides the usual ones or in place of them.
        document: the answer's body where there is a status; None for one such as errors have.
        drop: when the connection is dropped, with no answer.
        delay: seconds before anything else happens.
    """

    status: int | None = None
    headers: Mapping[str, str] = attrs.field(factory=dict)
    document: Document | None = None
    drop: Drop | None = attrs.field(default=None, converter=attrs.converters.optional(Drop))
    delay: float = 0.0


@attrs.define
class _Planned:
    fault: Fault
    skip: int
    times: int | None


class Faults:
    """The faults that are planned. Only requests with a good token meet them.

    Attributes:
        routes: the names that there are.
    """

    def __init__(self, routes: frozenset[str]) -> None:
        """Begin with none."""
        self.routes = routes
        self._planned: dict[str, list[_Planned]] = {}
        self._lock = threading.Lock()

    def add(
        self,
        route: str = ANY,
        *,
        nth: int = 1,
        times: int | None = 1,
        status: int | None = None,
        headers: Mapping[str, str] | None = None,
        document: Document | None = None,
        drop: Drop | str | None = None,
        delay: float = 0.0,
    ) -> None:
        """Plan a fault.

        Args:
            route: the name of a route, such as ``unwrap_key``, or ``*`` for all.
            nth: the call that is the first to meet it, counted from now, from 1.
            times: how many calls meet it; None for all that follow.
            status, headers, document, drop, delay: see :class:`Fault`.

        Raises:
            ValueError: there is no such route.
        """
        if route != ANY and route not in self.routes:
            raise ValueError(f"there is no route {route!r}")
        fault = Fault(status, headers or {}, document, drop, delay)
        with self._lock:
            self._planned.setdefault(route, []).append(_Planned(fault, nth - 1, times))

    def clear(self) -> None:
        """Plan none any more."""
        with self._lock:
            self._planned.clear()

    def next(self, route: str) -> Fault | None:
        """Count a call of a route, and return the first of the faults that it meets."""
        with self._lock:
            planned = [*self._planned.get(route, []), *self._planned.get(ANY, [])]
            met = [each.fault for each in planned if _meets(each)]
        return met[0] if met else None


def _meets(planned: _Planned) -> bool:
    if planned.skip > 0:
        planned.skip -= 1
        return False
    if planned.times is None:
        return True
    planned.times -= 1
    return planned.times >= 0
