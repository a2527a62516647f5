"""Swaps: new envelopes put in place, each in one UPDATE that keeps the envelope before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Update, and_, bindparam, exists, select, update

from keyhier.errors import ConflictError, IntegrityError
from keyhier.identifiers import KeyId
from keyhier.records.jobs import Claim, ItemState, Swap
from keyhier.records.record import CONTEXT_RECORD, Previous, Record
from keyhier.records.sql.database import Database
from keyhier.records.sql.rows import name_of, record_of
from keyhier.records.sql.tables import job_items, records

__all__ = ["Swaps"]

_NO_PREVIOUS: Final = {
    "previous_envelope": None,
    "previous_key_id": None,
    "previous_key_name": None,
    "previous_job": None,
}


class Swaps:
    """Puts envelopes in place and takes them back, within a transaction of the journal's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Built once, because building it takes longer than running it.
        self._statement = _statement(database)

    def put(self, connection: Connection, swaps: Sequence[Swap]) -> list[bool]:
        """Put envelopes where nobody changed the record and the lease holds; say which were put.

        Raises:
            IntegrityError: an envelope is another record's; then nothing is put.
        """
        changes = [_change(swap) for swap in swaps]
        before = self._lock(connection, [swap.claim for swap in swaps])
        if not changes:
            return []
        if connection.execute(self._statement, changes).rowcount == len(changes):
            return [True] * len(changes)
        # The number does not say which, but the rows were locked: what changed was put. A savepoint
        # would be no way back, because a full disk may end SQLite's transaction as a whole.
        ids = [swap.claim.record.id for swap in swaps]
        after = _generations(connection, ids)
        return [record in after and after[record] != before[record] for record in ids]

    def _lock(self, connection: Connection, claims: Sequence[Claim]) -> Mapping[str, int]:
        """Take the rows in the order in which everybody does, records first: no two wait in a ring.

        Return the generations of the records.
        """
        ids = sorted(claim.record.id for claim in claims)
        generations = _generations(connection, ids, lock=True)
        # SQLite has one writer at a time, and no need of this.
        if self._database.is_postgresql:
            held = and_(
                job_items.c.job.in_({claim.job for claim in claims}), job_items.c.record.in_(ids)
            )
            items = select(job_items.c.record).where(held).order_by(job_items.c.record)
            connection.execute(items.with_for_update()).all()
        return generations

    def take_back(self, connection: Connection, record: Record, previous: Previous) -> Record:
        """Bring a record's envelope before back, and return the record as it is then.

        Raises:
            ConflictError: the record was changed since it was read.
        """
        change = (
            update(records)
            .where(
                records.c.id == record.id,
                records.c.generation == record.generation,
                records.c.previous_job == previous.job,
            )
            .values(
                **_NO_PREVIOUS,
                **_columns(previous.envelope, previous.key),
                generation=record.generation + 1,
                updated=self._database.now,
            )
            .returning(records)
        )
        row = connection.execute(change).one_or_none()
        if row is None:
            raise ConflictError(f"record {record.id} was changed since it was read")
        return record_of(row)

    def drop_before(self, connection: Connection, job_id: str) -> None:
        """Drop the envelopes that a job replaced."""
        connection.execute(
            update(records)
            .where(records.c.previous_job == job_id)
            .values(
                **_NO_PREVIOUS,
                generation=records.c.generation + 1,
                updated=self._database.now,
            )
        )


def _change(swap: Swap) -> dict[str, Any]:
    """Return the parameters of one swap.

    Raises:
        IntegrityError: the envelope is another record's.
    """
    record, envelope = swap.claim.record, swap.envelope
    if envelope.context.get(CONTEXT_RECORD) != record.id:
        raise IntegrityError(f"the envelope for record {record.id} is not this record's")
    new = _columns(str(envelope), envelope.kid)
    return {
        "in_job": swap.claim.job,
        "the_record": record.id,
        "by_lease": swap.claim.lease,
        "from_generation": record.generation,
        **{f"new_{name}": value for name, value in new.items()},
    }


def _statement(database: Database) -> Update:
    """Return the one UPDATE of a swap, conditional on generation and lease."""
    held = exists().where(
        job_items.c.job == bindparam("in_job"),
        job_items.c.record == records.c.id,
        job_items.c.lease == bindparam("by_lease"),
        job_items.c.state == str(ItemState.PENDING),
        job_items.c.leased_until > database.now,
    )
    return (
        update(records)
        .where(
            records.c.id == bindparam("the_record"),
            records.c.generation == bindparam("from_generation"),
            records.c.previous_job.is_(None),
            held,
        )
        .values(
            previous_envelope=records.c.envelope,
            previous_key_id=records.c.key_id,
            previous_key_name=records.c.key_name,
            previous_job=bindparam("in_job"),
            envelope=bindparam("new_envelope"),
            key_id=bindparam("new_key_id"),
            key_name=bindparam("new_key_name"),
            generation=records.c.generation + 1,
            updated=database.now,
        )
    )


def _generations(
    connection: Connection, ids: Sequence[str], *, lock: bool = False
) -> Mapping[str, int]:
    wanted = select(records.c.id, records.c.generation).where(records.c.id.in_(ids))
    if lock:
        wanted = wanted.order_by(records.c.id).with_for_update()
    return {row.id: row.generation for row in connection.execute(wanted)}


def _columns(envelope: str, key: KeyId) -> dict[str, str]:
    return {"envelope": envelope, "key_id": str(key), "key_name": name_of(key)}
