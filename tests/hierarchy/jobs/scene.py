"""What the tests of jobs share: records whose secrets follow from their ids, and what must hold."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from keyhier import Key, KeyId, Vault
from keyhier.hierarchy.facade import Hierarchy
from keyhier.records import ItemState, Query, Record, new_record_id
from keyhier.records.sql.store import SqlRecords

__all__ = [
    "alter",
    "bound_to",
    "by_id",
    "check_done",
    "fill",
    "new_record",
    "secret_of",
    "untouched",
]


def secret_of(record_id: str) -> bytes:
    """What the record of that id holds."""
    return hashlib.sha256(record_id.encode()).digest()


def bound_to(record_id: str) -> dict[str, str]:
    """What its envelope is bound to."""
    return {"record": record_id, "vm": f"vm-{record_id[:4]}", "volume": "C:"}


def new_record(key: Key, number: int = 0) -> Record:
    """Make one record under a key, in a set and with a label."""
    record_id = new_record_id()
    context = bound_to(record_id)
    wrapped = key.wrap(secret_of(record_id), context=context, content_type="vnd.keyhier.luks")
    return Record.of(
        wrapped,
        vm=context["vm"],
        volume=context["volume"],
        set=f"set-{number % 3}",
        labels={"number": str(number)},
    )


def fill(store: SqlRecords, key: Key, count: int) -> list[Record]:
    """Keep so many records under a key."""
    return store.add(*(new_record(key, number) for number in range(count)))


def by_id(store: SqlRecords) -> dict[str, Record]:
    """All records there are."""
    return {record.id: record for record in store.find()}


def untouched(store: SqlRecords) -> list[object]:
    """What neither a rotation nor a migration may change, of every record."""
    return [
        (
            *(record.id, record.kind, record.vm, record.volume, record.set, dict(record.labels)),
            *(record.recovery, record.state, record.created),
            *(dict(record.wrapped.context), record.wrapped.content_type),
        )
        for record in store.find()
    ]


def check_done(
    store: SqlRecords,
    job_id: str,
    before: Mapping[str, Record],
    target: KeyId,
    *vaults: Vault,
) -> None:
    """Everything that must hold when a job is done, however often it was killed."""
    jobs = Hierarchy(vaults, store).jobs
    counts = jobs.report(job_id).counts
    assert jobs.report(job_id).complete, counts
    assert counts[ItemState.SWAPPED] == len(before), counts
    found = by_id(store)
    assert found.keys() == before.keys(), "a record was lost, or came from nowhere"
    keyring = Hierarchy(vaults, store).keyring
    for record_id, record in found.items():
        old = before[record_id]
        assert record.key == target
        assert record.generation == old.generation + 1, "swapped other than once"
        assert record.previous is not None
        assert record.previous.envelope == old.envelope
        assert record.previous.job == job_id
        assert record.wrapped.content_type == old.wrapped.content_type
        with keyring.use(target).unwrap(record.wrapped, context=bound_to(record_id)) as secret:
            assert secret == secret_of(record_id)
    assert store.count(Query(key=target)) == len(before)


def alter(path: Path, record_id: str, **columns: str) -> None:
    """Write into the database as somebody does who may write it."""
    with sqlite3.connect(path) as connection:
        for name, value in columns.items():
            connection.execute(
                f"UPDATE keyhier_records SET {name} = ? WHERE id = ?", (value, record_id)
            )
    connection.close()
