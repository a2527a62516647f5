"""Leases: the items of a job that a worker holds for a time, by the database's clock."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Row, and_, false, or_, select, update

from keyhier.errors import IntegrityError, InvalidInputError
from keyhier.records.jobs import MAX_CLAIMS, Claim, ItemState, JobState
from keyhier.records.sql.database import Database
from keyhier.records.sql.job_rows import state_of
from keyhier.records.sql.rows import record_of
from keyhier.records.sql.tables import job_items, records

__all__ = ["Leases", "latest_of"]

_MAX_ERROR_CHARACTERS: Final = 1000
_MAX_SECONDS: Final = 7 * 24 * 3600


class Leases:
    """Leases items to workers and ends what they hold, within a transaction of the journal's."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def take(
        self, connection: Connection, job_id: str, worker: str, limit: int, seconds: float
    ) -> list[Claim]:
        """Lease pending items that nobody holds; see :meth:`Journal.claim`."""
        if not 0 < limit <= MAX_CLAIMS:
            raise InvalidInputError(f"a worker claims 1 to {MAX_CLAIMS} records at a time")
        if state_of(connection, job_id) is not JobState.OPEN:
            return []
        lease = uuid.uuid4().hex
        now = self._database.now
        free = (
            select(job_items.c.record)
            .where(
                job_items.c.job == job_id,
                job_items.c.state == str(ItemState.PENDING),
                or_(job_items.c.leased_until.is_(None), job_items.c.leased_until <= now),
            )
            .order_by(job_items.c.record)
            .limit(limit)
            # SQLite has one writer at a time, and no need of this.
            .with_for_update(skip_locked=True)
        )
        found = connection.execute(free).scalars().all()
        connection.execute(
            update(job_items)
            .where(job_items.c.job == job_id, job_items.c.record.in_(found))
            .values(
                lease=lease,
                worker=worker,
                leased_until=now + _milliseconds(seconds),
                attempts=job_items.c.attempts + 1,
                updated=now,
            )
        )
        rows = connection.execute(
            select(records).where(records.c.id.in_(found)).order_by(records.c.id)
        )
        return list(self._readable(connection, job_id, lease, rows))

    def _readable(
        self, connection: Connection, job_id: str, lease: str, rows: Iterable[Row[Any]]
    ) -> Iterator[Claim]:
        """Yield the claims of records that can be read; one that cannot has failed."""
        for row in rows:
            try:
                yield Claim(job_id, record_of(row), lease)
            except IntegrityError as error:
                mine = and_(job_items.c.record == row.id, job_items.c.lease == lease)
                self.end(connection, mine, ItemState.FAILED, type(error).__name__, str(error))

    def renew(self, connection: Connection, claims: Sequence[Claim], seconds: float) -> list[Claim]:
        """Make leases last from now on so long; see :meth:`Journal.renew`."""
        renewed = connection.execute(
            update(job_items)
            .where(self.holding(claims))
            .values(leased_until=self._database.now + _milliseconds(seconds))
            .returning(job_items.c.record, job_items.c.lease)
        )
        held = {tuple(row) for row in renewed}
        return [claim for claim in claims if (claim.record.id, claim.lease) in held]

    def let_go(self, connection: Connection, which: ColumnElement[bool]) -> None:
        """Let others claim items."""
        connection.execute(update(job_items).where(which).values(lease=None, leased_until=None))

    def end(
        self,
        connection: Connection,
        which: ColumnElement[bool],
        state: ItemState,
        error: str | None = None,
        text: str | None = None,
    ) -> int:
        """Give items the state in which they stay, let them go, and say how many they were.

        Args:
            connection: the transaction.
            which: the condition of the items.
            state: what became of them.
            error: the name of what was raised, or None.
            text: why, of which so much is kept as fits, or None.
        """
        ended = connection.execute(
            update(job_items)
            .where(which)
            .values(
                state=str(state),
                lease=None,
                leased_until=None,
                error=error,
                error_text=text and text[:_MAX_ERROR_CHARACTERS],
                updated=self._database.now,
            )
        )
        return ended.rowcount

    def holding(self, claims: Iterable[Claim]) -> ColumnElement[bool]:
        """Return the condition of the items that these claims hold at this moment."""
        return and_(latest_of(claims), job_items.c.leased_until > self._database.now)


def latest_of(claims: Iterable[Claim]) -> ColumnElement[bool]:
    """Return the condition of pending items that nobody has claimed after these claims."""
    together: dict[tuple[str, str], list[str]] = {}
    for claim in claims:
        together.setdefault((claim.job, claim.lease), []).append(claim.record.id)
    # What was claimed together has one lease, so there are few of them.
    items = [
        and_(job_items.c.job == job, job_items.c.lease == lease, job_items.c.record.in_(ids))
        for (job, lease), ids in together.items()
    ]
    return and_(job_items.c.state == str(ItemState.PENDING), or_(false(), *items))


def _milliseconds(seconds: float) -> int:
    if not 0 < seconds <= _MAX_SECONDS:
        raise InvalidInputError(f"a lease is a time of up to {_MAX_SECONDS} seconds")
    return round(seconds * 1000)
