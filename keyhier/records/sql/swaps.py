"""Swaps: new envelopes put in place, each in one UPDATE that keeps the envelope before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Update, and_, bindparam, exists, select, update

from keyhier.errors import ConflictError, IntegrityError
from keyhier.records.jobs import Claim, ItemState, Swap
from keyhier.records.record import CONTEXT_RECORD, Previous, Record
from keyhier.records.sql.database import Database
from keyhier.records.sql.rows import id_of, name_of, record_of
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
        if not changes:
            return []
        # SQLite has one writer at a time, and no need of this.
        if self._database.is_postgresql:
            _lock(connection, [swap.claim for swap in swaps])
        if connection.execute(self._statement, changes).rowcount == len(changes):
            return [True] * len(changes)
        # The number does not say which; what is kept does, since no two envelopes are the same. A
        # savepoint would be no way back, for a full disk may end SQLite's transaction as a whole.
        ids = [change["the_record"] for change in changes]
        found = connection.execute(
            select(records.c.id, records.c.envelope).where(records.c.id.in_(ids))
        )
        kept = {row.id: row.envelope for row in found}
        return [kept.get(each["the_record"]) == each["new_envelope"] for each in changes]

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
                envelope=previous.envelope,
                key_id=id_of(previous.key),
                key_name=name_of(previous.key),
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
    return {
        "in_job": swap.claim.job,
        "the_record": record.id,
        "by_lease": swap.claim.lease,
        "from_generation": record.generation,
        "new_envelope": str(envelope),
        "new_key_id": id_of(envelope.kid),
        "new_key_name": name_of(envelope.kid),
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


def _lock(connection: Connection, claims: Sequence[Claim]) -> None:
    """Take the rows in the order in which everybody does, records first: no two wait in a ring."""
    ids = sorted(claim.record.id for claim in claims)
    jobs = {claim.job for claim in claims}
    for column, which in (
        (records.c.id, records.c.id.in_(ids)),
        (job_items.c.record, and_(job_items.c.job.in_(jobs), job_items.c.record.in_(ids))),
    ):
        rows = select(column).where(which).order_by(column).with_for_update()
        connection.execute(rows).all()
