"""A store whose journal calls on somebody before every write, who may end everything there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from keyhier.records.sql.store import SqlRecords

__all__ = ["Mortal"]

WRITES = frozenset(
    {
        *("begin", "update", "plan", "claim", "renew", "release", "swap", "fail", "leave"),
        *("retry", "finish", "finalize", "roll_back", "restore", "end_roll_back"),
    }
)


class Mortal:
    """Passes everything on, and ends its process at the n-th write of the journal."""

    def __init__(self, target: Any, on_write: Callable[[Callable[[], Any]], Any]) -> None:
        self._target = target
        self._on_write = on_write

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if name == "journal":
            return Mortal(found, self._on_write)
        if name == "settle":
            # What is made is counted: it is there, and not noted yet.
            return lambda job_id, make: found(job_id, lambda: self._on_write(make))
        if name in WRITES and not isinstance(self._target, SqlRecords):
            return lambda *given, **named: self._on_write(lambda: found(*given, **named))
        return found
