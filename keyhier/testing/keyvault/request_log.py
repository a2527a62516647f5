"""What a vault was asked, counted by route."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

__all__ = ["Asked", "RequestLog"]


@attrs.frozen
class Asked:
    """One request.

    Attributes:
        route: its name, see :mod:`keyhier.testing.keyvault.routes`; empty where there is none.
        status: of the answer; 0 where the connection was dropped.
    """

    route: str
    status: int


class RequestLog:
    """All requests of a vault, in the order of their answers."""

    def __init__(self) -> None:
        """Begin with none."""
        self._asked: list[Asked] = []

    def add(self, asked: Asked) -> None:
        """Note a request."""
        self._asked.append(asked)

    def count(self, route: str | None = None, status: int | None = None) -> int:
        """Count requests: all, those of a route, or those with a status.

        A client's first request to a vault is answered with a challenge, status 401, and counts.
        """
        return sum(
            route in {None, asked.route} and status in {None, asked.status} for asked in self.all()
        )

    def all(self) -> Sequence[Asked]:
        """Return the requests so far."""
        return tuple(self._asked)

    def clear(self) -> None:
        """Forget them."""
        self._asked.clear()
