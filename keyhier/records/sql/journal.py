"""The journal of jobs in a database: leases by its clock, swaps in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Update,
    and_,
    bindparam,
    delete,
    exc,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    tuple_,
    update,
)

from keyhier.errors import (
    ConflictError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
)
from keyhier.identifiers import KeyId
from keyhier.records.jobs import MAX_CLAIMS, Claim, ItemState, Job, JobItem, JobState, Swap
from keyhier.records.record import CONTEXT_RECORD, Query, Record
from keyhier.records.sql.database import Database
from keyhier.records.sql.key_marks import require_unmarked
from keyhier.records.sql.rows import item_of, job_of, name_of, record_of
from keyhier.records.sql.selection import Selection
from keyhier.records.sql.tables import job_items, job_keys, jobs, records

__all__ = ["SqlJournal"]

_PAGE: Final = 1000
_MAX_ERROR_CHARACTERS: Final = 1000
_MAX_LEASE_SECONDS: Final = 7 * 24 * 3600

_NO_PREVIOUS: Final = {
    "previous_envelope": None,
    "previous_key_id": None,
    "previous_key_name": None,
    "previous_job": None,
}


class SqlJournal:
    """The :class:`~keyhier.records.protocol.Journal` of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        # Built once, because building it takes longer than running it.
        self._swap = _swap_statement(database)

    # ------------------------------------------------------------------ jobs

    def begin(self, job: Job) -> Job:
        """Write a new job and take its keys; see :meth:`Journal.begin`."""
        if not job.keys or len(set(job.keys)) != len(job.keys):
            raise InvalidInputError("a job works on at least one key, and names each once")
        now = self._database.now
        new = insert(jobs).values(
            id=job.id,
            kind=job.kind,
            state=str(JobState.OPEN),
            generation=1,
            created=now,
            updated=now,
            **_noted(job),
        )
        with self._database.writing() as connection:
            _refuse_held(connection, job.keys)
            try:
                connection.execute(new)
                connection.execute(
                    insert(job_keys),
                    [{"job": job.id, "key": key, "held": True} for key in job.keys],
                )
            except exc.IntegrityError:
                taken = True
            else:
                taken = False
            if taken:
                raise ConflictError("another job has just taken one of the keys, or has the id")
            return _read(connection, job.id)

    def job(self, job_id: str) -> Job:
        """Return a job; see :meth:`Journal.job`."""
        with self._database.reading() as connection:
            return _read(connection, job_id)

    def jobs(self, *, key: str | None = None, ended: bool | None = None) -> list[Job]:
        """Return jobs, oldest first; see :meth:`Journal.jobs`."""
        wanted = select(jobs.c.id).order_by(jobs.c.created, jobs.c.id)
        if key is not None:
            wanted = wanted.where(
                exists().where(job_keys.c.job == jobs.c.id, job_keys.c.key == key)
            )
        if ended is not None:
            wanted = wanted.where(
                jobs.c.state.in_([str(state) for state in JobState if state.ended is ended])
            )
        with self._database.reading() as connection:
            return [_read(connection, job_id) for job_id in connection.execute(wanted).scalars()]

    def update(self, job: Job) -> Job:
        """Note a job's intent, target and options; see :meth:`Journal.update`."""
        change = (
            update(jobs)
            .where(jobs.c.id == job.id, jobs.c.generation == job.generation)
            .values(**_noted(job), generation=job.generation + 1, updated=self._database.now)
        )
        with self._database.writing() as connection:
            if not connection.execute(change).rowcount:
                raise ConflictError(f"job {job.id} was changed or deleted since it was read")
            return _read(connection, job.id)

    def forget(self, job_id: str) -> None:
        """Delete a job that has ended; see :meth:`Journal.forget`."""
        with self._database.writing() as connection:
            _require(connection, job_id, *(state for state in JobState if state.ended))
            connection.execute(delete(jobs).where(jobs.c.id == job_id))

    def _move(self, connection: Connection, job_id: str, state: JobState) -> Job:
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id)
            .values(state=str(state), generation=jobs.c.generation + 1, updated=self._database.now)
        )
        if state.ended:
            connection.execute(update(job_keys).where(job_keys.c.job == job_id).values(held=False))
        return _read(connection, job_id)

    # ------------------------------------------------------------------ items

    def plan(self, job_id: str, query: Query) -> int:
        """Make every record that matches an item of the job; see :meth:`Journal.plan`."""
        present = exists().where(job_items.c.job == job_id, job_items.c.record == records.c.id)
        found = Selection(query).select(
            literal(job_id),
            records.c.id,
            literal(str(ItemState.PENDING)),
            literal(0),
            self._database.now,
        )
        columns = ["job", "record", "state", "attempts", "updated"]
        with self._database.writing() as connection:
            job = _require(connection, job_id, JobState.OPEN, JobState.DONE, alone=True)
            planned = connection.execute(
                insert(job_items).from_select(columns, found.where(~present)),
                execution_options={"preserve_rowcount": True},
            )
            if planned.rowcount and job is JobState.DONE:
                self._move(connection, job_id, JobState.OPEN)
            return planned.rowcount

    def counts(self, job_id: str) -> Mapping[ItemState, int]:
        """Say how many items are in each state; see :meth:`Journal.counts`."""
        with self._database.reading() as connection:
            return _counts(connection, job_id)

    def items(self, job_id: str, state: ItemState | None = None) -> Iterator[JobItem]:
        """Yield a job's items, in the order of the records' ids; see :meth:`Journal.items`."""
        wanted = select(job_items).where(job_items.c.job == job_id)
        if state is not None:
            wanted = wanted.where(job_items.c.state == str(state))
        last = ""
        while True:
            with self._database.reading() as connection:
                page = connection.execute(
                    wanted.where(job_items.c.record > last)
                    .order_by(job_items.c.record)
                    .limit(_PAGE)
                ).all()
            yield from map(item_of, page)
            if len(page) < _PAGE:
                return
            last = page[-1].record

    def retry(self, job_id: str) -> int:
        """Make failed items pending again; see :meth:`Journal.retry`."""
        with self._database.writing() as connection:
            _require(connection, job_id, JobState.OPEN)
            again = connection.execute(
                update(job_items)
                .where(job_items.c.job == job_id, job_items.c.state == str(ItemState.FAILED))
                .values(
                    state=str(ItemState.PENDING),
                    error=None,
                    error_text=None,
                    updated=self._database.now,
                )
            )
            return again.rowcount

    # ------------------------------------------------------------------ leases

    def claim(self, job_id: str, worker: str, limit: int, seconds: float) -> list[Claim]:
        """Lease pending items that nobody holds; see :meth:`Journal.claim`."""
        if not 0 < limit <= MAX_CLAIMS:
            raise InvalidInputError(f"a worker claims 1 to {MAX_CLAIMS} records at a time")
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
        with self._database.writing() as connection:
            if _state(connection, job_id) is not JobState.OPEN:
                return []
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
                mine = (job_items.c.record == row.id, job_items.c.lease == lease)
                self._settle(connection, mine, ItemState.FAILED, type(error).__name__, str(error))

    def renew(self, claims: Sequence[Claim], seconds: float) -> list[Claim]:
        """Make leases last from now on so long; see :meth:`Journal.renew`."""
        with self._database.writing() as connection:
            renewed = connection.execute(
                update(job_items)
                .where(*self._held(claims))
                .values(leased_until=self._database.now + _milliseconds(seconds))
                .returning(job_items.c.record, job_items.c.lease)
            )
            held = {tuple(row) for row in renewed}
        return [claim for claim in claims if (claim.record.id, claim.lease) in held]

    def release(self, claims: Sequence[Claim]) -> None:
        """Give leases back before they end; see :meth:`Journal.release`."""
        with self._database.writing() as connection:
            connection.execute(
                update(job_items).where(*self._held(claims)).values(lease=None, leased_until=None)
            )

    def _held(self, claims: Iterable[Claim]) -> tuple[ColumnElement[bool], ...]:
        """Return the conditions of the items that these claims hold at this moment."""
        return _leased(claims), job_items.c.leased_until > self._database.now

    # ------------------------------------------------------------------ outcomes

    def swap(self, swaps: Sequence[Swap]) -> list[Swap]:
        """Put new envelopes in place; see :meth:`Journal.swap`."""
        changes = [_change(swap) for swap in swaps]
        with self._database.writing() as connection:
            for job_id in {swap.claim.job for swap in swaps}:
                _require(connection, job_id, JobState.OPEN)
            keys = {swap.envelope.kid for swap in swaps}
            require_unmarked(self._database, connection, keys)
            _lock(connection, [swap.claim for swap in swaps])
            is_put = self._put(connection, changes)
            put = [swap.claim for swap, done in zip(swaps, is_put, strict=True) if done]
            lost = [swap for swap, done in zip(swaps, is_put, strict=True) if not done]
            # A lease that has ended since is no matter: the rows are locked.
            self._settle(connection, [_leased(put)], ItemState.SWAPPED)
            # Those that changed meanwhile are claimed anew, as they are then.
            connection.execute(
                update(job_items)
                .where(_leased(swap.claim for swap in lost))
                .values(lease=None, leased_until=None)
            )
        return lost

    def _put(self, connection: Connection, changes: Sequence[dict[str, Any]]) -> list[bool]:
        """Put envelopes where nobody changed the record and the lease holds; say which were put."""
        if not changes:
            return []
        # Together, which is fast and the rule; where one is not put, this does not say which.
        with connection.begin_nested() as together:
            if connection.execute(self._swap, changes).rowcount == len(changes):
                return [True] * len(changes)
            together.rollback()
        return [bool(connection.execute(self._swap, change).rowcount) for change in changes]

    def fail(self, claim: Claim, error: KeyhierError) -> bool:
        """Mark an item failed; see :meth:`Journal.fail`."""
        return self._end(claim, ItemState.FAILED, type(error).__name__, str(error))

    def leave(self, claim: Claim, reason: str) -> bool:
        """Mark an item as one that needs nothing done; see :meth:`Journal.leave`."""
        return self._end(claim, ItemState.LEFT, None, reason)

    def _end(self, claim: Claim, state: ItemState, error: str | None, text: str) -> bool:
        with self._database.writing() as connection:
            held = self._held([claim])
            return bool(self._settle(connection, held, state, error, text))

    def _settle(
        self,
        connection: Connection,
        which: Iterable[ColumnElement[bool]],
        state: ItemState,
        error: str | None = None,
        text: str | None = None,
    ) -> int:
        settled = connection.execute(
            update(job_items)
            .where(*which)
            .values(
                state=str(state),
                lease=None,
                leased_until=None,
                error=error,
                error_text=text and text[:_MAX_ERROR_CHARACTERS],
                updated=self._database.now,
            )
        )
        return settled.rowcount

    # ------------------------------------------------------------------ ends

    def finish(self, job_id: str) -> Job:
        """Mark an open job done if nothing is left to do; see :meth:`Journal.finish`."""
        with self._database.writing() as connection:
            state = _state(connection, job_id, alone=True)
            counts = _counts(connection, job_id)
            unfinished = counts[ItemState.PENDING] or counts[ItemState.FAILED]
            if state is JobState.OPEN and not unfinished:
                return self._move(connection, job_id, JobState.DONE)
            return _read(connection, job_id)

    def finalize(self, job_id: str) -> Job:
        """Drop the envelopes before and let the keys go; see :meth:`Journal.finalize`."""
        with self._database.writing() as connection:
            states = (JobState.DONE, JobState.FINALIZED)
            if _require(connection, job_id, *states, alone=True) is JobState.FINALIZED:
                return _read(connection, job_id)
            connection.execute(
                update(records)
                .where(records.c.previous_job == job_id)
                .values(
                    **_NO_PREVIOUS,
                    generation=records.c.generation + 1,
                    updated=self._database.now,
                )
            )
            return self._move(connection, job_id, JobState.FINALIZED)

    def roll_back(self, job_id: str) -> Job:
        """Begin to roll a job back; see :meth:`Journal.roll_back`."""
        with self._database.writing() as connection:
            states = [state for state in JobState if state is not JobState.FINALIZED]
            state = _require(connection, job_id, *states, alone=True)
            if state in (JobState.ROLLING_BACK, JobState.ROLLED_BACK):
                return _read(connection, job_id)
            return self._move(connection, job_id, JobState.ROLLING_BACK)

    def restore(self, record: Record) -> Record:
        """Bring the envelope before back; see :meth:`Journal.restore`."""
        previous = record.previous
        if previous is None:
            raise InvalidStateError(f"record {record.id} holds no envelope before")
        change = (
            update(records)
            .where(
                records.c.id == record.id,
                records.c.generation == record.generation,
                records.c.previous_job == previous.job,
            )
            .values(
                **_NO_PREVIOUS,
                **_envelope(previous.envelope, previous.key),
                generation=record.generation + 1,
                updated=self._database.now,
            )
            .returning(records)
        )
        item = (job_items.c.job == previous.job, job_items.c.record == record.id)
        with self._database.writing() as connection:
            _require(connection, previous.job, JobState.ROLLING_BACK)
            row = connection.execute(change).one_or_none()
            if row is None:
                raise ConflictError(f"record {record.id} was changed since it was read")
            self._settle(connection, item, ItemState.LEFT, None, "rolled back")
            return record_of(row)

    def end_roll_back(self, job_id: str) -> Job:
        """Let the keys go and mark the job rolled back; see :meth:`Journal.end_roll_back`."""
        with self._database.writing() as connection:
            states = (JobState.ROLLING_BACK, JobState.ROLLED_BACK)
            if _require(connection, job_id, *states, alone=True) is JobState.ROLLED_BACK:
                return _read(connection, job_id)
            holding = select(exists().where(records.c.previous_job == job_id))
            if connection.execute(holding).scalar_one():
                raise InvalidStateError(
                    f"records still hold the envelopes that job {job_id} replaced",
                    remedy="restore them first",
                )
            return self._move(connection, job_id, JobState.ROLLED_BACK)


def _leased(claims: Iterable[Claim]) -> ColumnElement[bool]:
    """Return the condition of pending items that nobody has claimed after these claims."""
    item = tuple_(job_items.c.job, job_items.c.record, job_items.c.lease)
    return and_(
        item.in_([(claim.job, claim.record.id, claim.lease) for claim in claims]),
        job_items.c.state == str(ItemState.PENDING),
    )


def _change(swap: Swap) -> dict[str, Any]:
    """Return the parameters of one swap.

    Raises:
        IntegrityError: the envelope is another record's.
    """
    record, envelope = swap.claim.record, swap.envelope
    if envelope.context.get(CONTEXT_RECORD) != record.id:
        raise IntegrityError(f"the envelope for record {record.id} is not this record's")
    new = _envelope(str(envelope), envelope.kid)
    return {
        "in_job": swap.claim.job,
        "the_record": record.id,
        "by_lease": swap.claim.lease,
        "from_generation": record.generation,
        **{f"new_{name}": value for name, value in new.items()},
    }


def _swap_statement(database: Database) -> Update:
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


def _milliseconds(seconds: float) -> int:
    if not 0 < seconds <= _MAX_LEASE_SECONDS:
        raise InvalidInputError(f"a lease is a time of up to {_MAX_LEASE_SECONDS} seconds")
    return round(seconds * 1000)


def _noted(job: Job) -> dict[str, Any]:
    return {
        "intent": dict(job.intent),
        "target": None if job.target is None else str(job.target),
        "options": dict(job.options),
    }


def _envelope(envelope: str, key: KeyId) -> dict[str, str]:
    return {"envelope": envelope, "key_id": str(key), "key_name": name_of(key)}


def _read(connection: Connection, job_id: str) -> Job:
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise _no_job(job_id)
    keys = connection.execute(
        select(job_keys.c.key).where(job_keys.c.job == job_id).order_by(job_keys.c.key)
    )
    return job_of(row, tuple(keys.scalars()))


def _no_job(job_id: str) -> NotFoundError:
    return NotFoundError(f"there is no job {job_id!r:.60}", remedy="list the jobs there are")


def _state(connection: Connection, job_id: str, *, alone: bool = False) -> JobState:
    """Return a job's state, which stays so until the transaction ends.

    ``alone`` says that nobody else may hold to it, either, because it is about to change.
    """
    found = connection.execute(
        select(jobs.c.state).where(jobs.c.id == job_id).with_for_update(read=not alone)
    ).scalar_one_or_none()
    if found is None:
        raise _no_job(job_id)
    return JobState(found)


def _require(
    connection: Connection, job_id: str, *states: JobState, alone: bool = False
) -> JobState:
    state = _state(connection, job_id, alone=alone)
    if state not in states:
        raise InvalidStateError(f"job {job_id} is {state}, and has to be {' or '.join(states)}")
    return state


def _refuse_held(connection: Connection, keys: Collection[str]) -> None:
    held = connection.execute(
        select(job_keys.c.job, job_keys.c.key)
        .where(job_keys.c.key.in_(keys), job_keys.c.held)
        .order_by(job_keys.c.key)
    ).first()
    if held is not None:
        raise ConflictError(
            f"job {held.job} works on {held.key} already",
            remedy="join it, or finalise it or roll it back first",
        )


def _counts(connection: Connection, job_id: str) -> dict[ItemState, int]:
    found = connection.execute(
        select(job_items.c.state, func.count())
        .where(job_items.c.job == job_id)
        .group_by(job_items.c.state)
    )
    return dict.fromkeys(ItemState, 0) | {ItemState(state): count for state, count in found}


def _lock(connection: Connection, claims: Sequence[Claim]) -> None:
    """Take the rows in the order in which everybody does, records first: no two wait in a ring."""
    ids = sorted(claim.record.id for claim in claims)
    for column, condition in (
        (records.c.id, records.c.id.in_(ids)),
        (
            job_items.c.record,
            and_(job_items.c.job.in_({claim.job for claim in claims}), job_items.c.record.in_(ids)),
        ),
    ):
        connection.execute(select(column).where(condition).order_by(column).with_for_update()).all()
