"""What was done with which key, told to whoever asked to know; never a key, a PIN or a context."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Final

import attrs

__all__ = ["AuditEvent", "AuditHook", "AuditedOperation"]

SUCCESS: Final = "ok"


@attrs.frozen
class AuditEvent:
    """One operation that ended.

    Every failure of an unwrap that promise 3 keeps opaque makes the same event.

    Attributes:
        operation: what was asked: ``wrap``, ``unwrap``, ``wrap_raw``, ``create_key``, …
        key: the id of the key version (from the envelope, for an unwrap), or its name.
        algorithm: the wrap algorithm, where one was used.
        outcome: ``ok``, or the name of the error's class.
    """

    operation: str
    key: str
    algorithm: str | None
    outcome: str


AuditHook = Callable[[AuditEvent], None]
"""Called after every operation on a key, in the thread that did it; what it raises is raised."""


class AuditedOperation:
    """A context manager that reports how its block ended."""

    __slots__ = ("_algorithm", "_hook", "_key", "_operation")

    def __init__(
        self, hook: AuditHook | None, operation: str, key: object, algorithm: str | None = None
    ) -> None:
        self._hook = hook
        self._operation = operation
        self._key = key
        self._algorithm = algorithm

    def __enter__(self) -> None:
        return None

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._hook is not None:
            outcome = SUCCESS if kind is None else kind.__name__
            algorithm = None if self._algorithm is None else str(self._algorithm)
            self._hook(AuditEvent(self._operation, str(self._key), algorithm, outcome))
