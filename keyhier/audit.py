"""What was done with which key, told to whoever asked to know; never a key or a PIN.

A hook is a function that is told of every operation when it has ended. One that also has a method
``begin`` is told before the operation touches a key, and what it raises there stops the operation:
that is how :class:`keyhier.audit_log.AuditLog` refuses work that it cannot write down.

What is malformed by itself (a bad name, an algorithm that the key is not for, an envelope that is
none) is no operation. Everything that a vault is asked for is one, also where it cannot do it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Final, Protocol, Self, TypeVar, runtime_checkable

import attrs

from keyhier.header import CONTEXT_RECORD

__all__ = ["INTENT", "AuditEvent", "AuditHook", "AuditTrail", "AuditedOperation", "record_in"]

SUCCESS: Final = "ok"
INTENT: Final = "intent"
ABANDONED: Final = "abandoned"
"""The outcome of an operation that has not begun."""

# Failures that are to look alike must not be told apart by how long they took (promise 3).
_OPAQUE: Final = "UnwrapError"

Made = TypeVar("Made", bound="_HasId")


class _HasId(Protocol):
    @property
    def id(self) -> object: ...


@attrs.frozen
class AuditEvent:
    """One operation that ended, or that is about to begin.

    Every failure of an unwrap that promise 3 keeps opaque makes the same event.

    Attributes:
        operation: what was asked: ``wrap``, ``unwrap``, ``wrap_raw``, ``create_key``, …
        key: the id of the key version (from the envelope, for an unwrap), or its name.
        algorithm: the wrap algorithm, where one was used.
        outcome: ``ok``, the name of the error's class, or ``intent`` where it is about to begin.
        record: the id of the record whose envelope it is, where the context names one; nothing
            else of a context is told.
        id: what the event before the operation and the one after it have in common.
        made: the id of the key version that came of it, where it is another one than ``key``.
        seconds: how long it took; None before it, and for an ``UnwrapError``.
    """

    operation: str
    key: str
    algorithm: str | None
    outcome: str
    record: str | None = None
    id: str = attrs.field(default="", eq=False)
    made: str | None = attrs.field(default=None, eq=False)
    seconds: float | None = attrs.field(default=None, eq=False)


AuditHook = Callable[[AuditEvent], None]
"""Called after every operation on a key, in the thread that did it; what it raises is raised."""


@runtime_checkable
class AuditTrail(Protocol):
    """A hook that is told before an operation, too."""

    def begin(self, event: AuditEvent) -> None:
        """Be told what is about to happen; what this raises stops it."""
        ...

    def __call__(self, event: AuditEvent) -> None:
        """Be told what came of it."""
        ...


def record_in(context: Mapping[str, str] | None) -> str | None:
    """Return the id of the record that a context names, if it is a context and names one."""
    found = context.get(CONTEXT_RECORD) if isinstance(context, Mapping) else None
    return found if isinstance(found, str) else None


class AuditedOperation:
    """A context manager that reports what its block is about to do, and how it ended."""

    __slots__ = ("_event", "_hook", "_started")

    def __init__(
        self,
        hook: AuditHook | None,
        operation: str,
        key: object,
        algorithm: str | None = None,
        record: str | None = None,
    ) -> None:
        self._hook = hook
        self._started = 0.0
        if hook is not None:
            used = None if algorithm is None else str(algorithm)
            self._event = AuditEvent(operation, str(key), used, INTENT, record, uuid.uuid4().hex)

    def __enter__(self) -> Self:
        if self._hook is not None:
            if isinstance(self._hook, AuditTrail):
                self._hook.begin(self._event)
            self._started = time.monotonic()
        return self

    def made(self, key: Made) -> Made:
        """Note the key version that came of the operation, and return it."""
        if self._hook is not None:
            self._event = attrs.evolve(self._event, made=str(key.id))
        return key

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._hook is not None:
            outcome = SUCCESS if kind is None else kind.__name__
            if kind is GeneratorExit:
                # Python's word for work in steps that nobody goes on with.
                outcome = ABANDONED
            seconds = None if outcome == _OPAQUE else time.monotonic() - self._started
            self._hook(attrs.evolve(self._event, outcome=outcome, seconds=seconds))
