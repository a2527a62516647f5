"""Rows of the tables as values, and values as rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

from sqlalchemy import Row

from keyhier.errors import IntegrityError, KeyhierError
from keyhier.identifiers import KeyId
from keyhier.records.jobs import ItemState, Job, JobItem, JobState
from keyhier.records.record import Previous, Record
from keyhier.records.sql.tables import records
from keyhier.records.stored import KeyMark, KeyState, StoredSet

__all__ = [
    "id_of",
    "item_of",
    "job_of",
    "job_state_of",
    "mark_of",
    "milliseconds_of",
    "moment",
    "name_of",
    "record_of",
    "row_of",
    "set_of",
    "set_row_of",
]

_COLUMNS: Final = tuple(records.c.keys())
_KEYS: Final = 1024  # One key version stands in many records, and its text takes a while.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(milliseconds: int) -> datetime:
    """Return a time as it stands in a row."""
    return _EPOCH + timedelta(milliseconds=milliseconds)


def _optional(milliseconds: int | None) -> datetime | None:
    return None if milliseconds is None else moment(milliseconds)


def milliseconds_of(when: datetime) -> int:
    """Return a time as a row holds it."""
    return (when - _EPOCH) // timedelta(milliseconds=1)


@lru_cache(maxsize=_KEYS)
def id_of(key: KeyId) -> str:
    """Return the id of a key version as text."""
    return str(key)


@lru_cache(maxsize=_KEYS)
def name_of(key: KeyId) -> str:
    """Return the id of a key without its version, as text."""
    return str(key.versionless)


def row_of(record: Record) -> dict[str, Any]:
    """Return the columns of a record that a store changes; not its generation and times."""
    return {
        "labels": dict(record.labels),
        "details": dict(record.details),
        "vm": record.vm,
        "volume": record.volume,
        "encryption_set": record.set,
        "envelope": record.envelope,
        "key_id": id_of(record.key),
        "key_name": name_of(record.key),
        "recovery": record.recovery,
        "state": str(record.state),
    }


def record_of(row: Row[Any]) -> Record:
    """Return a record as it stands in its row of all columns, in the table's order.

    Raises:
        IntegrityError: the row holds what no record can.
    """
    # A row's own attributes take longer than everything else here.
    column = dict(zip(_COLUMNS, row, strict=True))
    previous = names = None
    try:
        if column["previous_job"] is not None:
            key = KeyId.parse(column["previous_key_id"])
            previous = Previous(column["previous_envelope"], key, column["previous_job"])
        if column["names"] is not None:
            names = KeyId.parse(column["names"])
        return Record(
            id=column["id"],
            envelope=column["envelope"],
            key=KeyId.parse(column["key_id"]),
            kind=column["kind"],
            names=names,
            vm=column["vm"],
            volume=column["volume"],
            set=column["encryption_set"],
            labels=column["labels"],
            details=column["details"],
            recovery=column["recovery"],
            previous=previous,
            state=column["state"],
            generation=column["generation"],
            created=moment(column["created"]),
            updated=moment(column["updated"]),
        )
    except (KeyhierError, ValueError, TypeError) as error:
        reason = error.message if isinstance(error, KeyhierError) else type(error).__name__
    raise IntegrityError(f"record {column['id']!r:.60} cannot be read: {reason}")


def job_of(row: Row[Any], keys: tuple[str, ...]) -> Job:
    """Return a job as it stands in its row.

    Raises:
        IntegrityError: the row holds what no job can.
    """
    state = job_state_of(row.id, row.state)
    try:
        return Job(
            id=row.id,
            kind=row.kind,
            keys=keys,
            intent=row.intent,
            target=None if row.target is None else KeyId.parse(row.target),
            options=row.options,
            state=state,
            generation=row.generation,
            created=moment(row.created),
            updated=moment(row.updated),
        )
    except KeyhierError as error:
        reason = error.message
    raise IntegrityError(f"job {row.id!r:.60} cannot be read: {reason}")


def job_state_of(job_id: str, state: str) -> JobState:
    """Return a job's state as it stands in its row.

    Raises:
        IntegrityError: it is none that a job has.
    """
    if state not in set(JobState):
        raise IntegrityError(f"job {job_id!r:.60} is in no state that a job has")
    return JobState(state)


def item_of(row: Row[Any]) -> JobItem:
    """Return an item of a job as it stands in its row."""
    return JobItem(
        job=row.job,
        record=row.record,
        state=ItemState(row.state),
        attempts=row.attempts,
        worker=row.worker,
        leased_until=_optional(row.leased_until),
        error=row.error,
        text=row.error_text,
        updated=moment(row.updated),
    )


def mark_of(row: Row[Any]) -> KeyMark:
    """Return what is noted of a key version as it stands in its row."""
    return KeyMark(KeyId.parse(row.key), KeyState(row.state), moment(row.since), row.details)


def set_row_of(stored: StoredSet) -> Mapping[str, Any]:
    """Return the columns of a set that a store changes; not its generation and times."""
    return {
        "key_id": str(stored.key),
        "key_name": name_of(stored.key),
        "document": dict(stored.document),
    }


def set_of(row: Row[Any]) -> StoredSet:
    """Return a set as it stands in its row."""
    return StoredSet(
        name=row.name,
        key=KeyId.parse(row.key_id),
        document=row.document,
        generation=row.generation,
        created=moment(row.created),
        updated=moment(row.updated),
    )
