"""Records as JSON Lines: one record a line, to move a store or to keep a copy of it.

A line is the record's attributes as a JSON object, and holds nothing that the store does not: the
envelopes are public, and no plaintext key is ever in them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, Final

from keyhier.errors import InvalidInputError, KeyhierError
from keyhier.identifiers import KeyId
from keyhier.records.record import Record

__all__ = ["MAX_LINE_BYTES", "document_of", "read_lines", "to_line"]

MAX_LINE_BYTES: Final = 1024 * 1024
"""More than any record takes."""

_FORMAT: Final = 1
_TEXTS: Final = ("id", "envelope", "kind", "vm", "volume", "set", "recovery", "state")
_OBJECTS: Final = ("labels", "details")
_TIMES: Final = ("created", "updated")
_MEMBERS: Final = frozenset(
    {"format", "key", "names", "previous", "generation", *_TEXTS, *_OBJECTS, *_TIMES}
)
_MAX_GENERATION: Final = 2**53


def document_of(record: Record) -> dict[str, Any]:
    """Return a record as a JSON object; what it has not is left out."""
    found: dict[str, Any] = {
        "id": record.id,
        "kind": str(record.kind),
        "names": None if record.names is None else str(record.names),
        "vm": record.vm,
        "volume": record.volume,
        "set": record.set,
        "labels": dict(record.labels),
        "details": dict(record.details),
        "key": str(record.key),
        "envelope": record.envelope,
        "recovery": record.recovery,
        "state": str(record.state),
        "generation": record.generation,
        "created": _time_text(record.created),
        "updated": _time_text(record.updated),
    }
    if record.previous is not None:
        found["previous"] = {
            "envelope": record.previous.envelope,
            "key": str(record.previous.key),
            "job": record.previous.job,
        }
    return {name: value for name, value in found.items() if value not in (None, {})}


def to_line(record: Record) -> str:
    """Return a record as one line, without the line's end."""
    document = {"format": _FORMAT, **document_of(record)}
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))


def read_lines(lines: Iterable[bytes]) -> Iterator[Record]:
    """Yield the records of a file; an envelope before is not taken over, since its job is not here.

    Raises:
        InvalidInputError: a line is broken; the message says which and why, and nothing of what
            stands in it that could be a secret.
    """
    for number, line in enumerate(lines, 1):
        try:
            record = _read(line)
        except KeyhierError as error:
            reason = error.message
        else:
            yield record
            continue
        raise InvalidInputError(f"line {number} is no record: {reason}")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidInputError("a member stands there twice")
    return members


def _read(line: bytes) -> Record:
    if len(line) > MAX_LINE_BYTES:
        raise InvalidInputError(f"it has more than {MAX_LINE_BYTES} bytes")
    try:
        document = json.loads(line.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise InvalidInputError("it is not a JSON object in UTF-8")
    if document.get("format") != _FORMAT:
        raise InvalidInputError(f"its format is not {_FORMAT}")
    if not _MEMBERS.issuperset(document):
        raise InvalidInputError("it has members that a record has not")
    for name in ("id", "key", "envelope"):
        if name not in document:
            raise InvalidInputError(f"it has no {name}")
    attributes: dict[str, Any] = {
        **{name: _typed(document, name, str) for name in _TEXTS if name in document},
        **{name: _typed(document, name, dict) for name in _OBJECTS if name in document},
        **{name: _time(_typed(document, name, str)) for name in _TIMES if name in document},
    }
    for name in ("key", "names"):
        if name in document:
            attributes[name] = KeyId.parse(_typed(document, name, str))
    generation = document.get("generation", 0)
    if type(generation) is not int or not 0 <= generation < _MAX_GENERATION:
        raise InvalidInputError("its generation is no count")
    try:
        return Record(**attributes, generation=generation).checked()
    except ValueError:
        reason = "its kind or state is none that a record has"
    raise InvalidInputError(reason)


def _typed(document: dict[str, Any], name: str, kind: type) -> Any:
    value = document[name]
    if not isinstance(value, kind):
        raise InvalidInputError(f"its {name} is not {'text' if kind is str else 'an object'}")
    return value


def _time_text(when: datetime | None) -> str | None:
    return None if when is None else when.astimezone(UTC).isoformat(timespec="milliseconds")


def _time(text: str) -> datetime:
    try:
        when = datetime.fromisoformat(text)
        if when.tzinfo is not None:
            return when.astimezone(UTC)
    except (ValueError, OverflowError):
        pass
    raise InvalidInputError("a time is written as in 2026-01-31T12:00:00.000+00:00")
