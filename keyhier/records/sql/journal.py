"""The journal of jobs in a database: leases by its clock, swaps in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from sqlalchemy import Connection, and_, delete, exc, exists, insert, literal, select, update

from keyhier.errors import (
    ConflictError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
)
from keyhier.identifiers import KeyId
from keyhier.records.jobs import Claim, ItemState, Job, JobItem, JobState, Swap
from keyhier.records.record import Query, Record
from keyhier.records.sql.database import Database
from keyhier.records.sql.job_rows import (
    columns_of,
    count_items,
    read_job,
    refuse_held,
    require_state,
    state_of,
)
from keyhier.records.sql.key_marks import require_unmarked
from keyhier.records.sql.leases import Leases, latest_of
from keyhier.records.sql.rows import item_of
from keyhier.records.sql.selection import Selection
from keyhier.records.sql.swaps import Swaps
from keyhier.records.sql.tables import job_items, job_keys, jobs, records

__all__ = ["SqlJournal"]

_PAGE: Final = 1000


class SqlJournal:
    """The :class:`~keyhier.records.protocol.Journal` of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._leases = Leases(database)
        self._swaps = Swaps(database)

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
            **columns_of(job),
        )
        with self._database.writing() as connection:
            refuse_held(connection, job.keys)
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
            return read_job(connection, job.id)

    def job(self, job_id: str) -> Job:
        """Return a job; see :meth:`Journal.job`."""
        with self._database.reading() as connection:
            return read_job(connection, job_id)

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
            return [read_job(connection, job_id) for job_id in connection.execute(wanted).scalars()]

    def update(self, job: Job) -> Job:
        """Note a job's intent, target and options; see :meth:`Journal.update`."""
        change = (
            update(jobs)
            .where(jobs.c.id == job.id, jobs.c.generation == job.generation)
            .values(**columns_of(job), generation=job.generation + 1, updated=self._database.now)
        )
        with self._database.writing() as connection:
            if not connection.execute(change).rowcount:
                raise ConflictError(f"job {job.id} was changed or deleted since it was read")
            return read_job(connection, job.id)

    def settle(self, job_id: str, make: Callable[[], KeyId]) -> Job:
        """Make a job's target where it has none; see :meth:`Journal.settle`."""
        with self._database.writing() as connection:
            # Whoever else wants to make it waits here, and is let in where this process ends.
            state_of(connection, job_id, alone=True)
            job = read_job(connection, job_id)
            if job.target is not None:
                return job
            require_state(connection, job_id, JobState.OPEN)
            target = make()
            connection.execute(
                update(jobs)
                .where(jobs.c.id == job_id)
                .values(
                    target=str(target),
                    generation=jobs.c.generation + 1,
                    updated=self._database.now,
                )
            )
            return read_job(connection, job_id)

    def forget(self, job_id: str) -> None:
        """Delete a job that has ended; see :meth:`Journal.forget`."""
        with self._database.writing() as connection:
            require_state(connection, job_id, *(state for state in JobState if state.ended))
            connection.execute(delete(jobs).where(jobs.c.id == job_id))

    def _move(self, connection: Connection, job_id: str, state: JobState) -> Job:
        connection.execute(
            update(jobs)
            .where(jobs.c.id == job_id)
            .values(state=str(state), generation=jobs.c.generation + 1, updated=self._database.now)
        )
        if state.ended:
            connection.execute(update(job_keys).where(job_keys.c.job == job_id).values(held=False))
        return read_job(connection, job_id)

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
            job = require_state(connection, job_id, JobState.OPEN, JobState.DONE, alone=True)
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
            return count_items(connection, job_id)

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
            require_state(connection, job_id, JobState.OPEN)
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
        with self._database.writing() as connection:
            return self._leases.take(connection, job_id, worker, limit, seconds)

    def renew(self, claims: Sequence[Claim], seconds: float) -> list[Claim]:
        """Make leases last from now on so long; see :meth:`Journal.renew`."""
        with self._database.writing() as connection:
            return self._leases.renew(connection, claims, seconds)

    def release(self, claims: Sequence[Claim]) -> None:
        """Give leases back before they end; see :meth:`Journal.release`."""
        with self._database.writing() as connection:
            self._leases.let_go(connection, self._leases.holding(claims))

    # ------------------------------------------------------------------ outcomes

    def swap(self, swaps: Sequence[Swap]) -> list[Swap]:
        """Put new envelopes in place; see :meth:`Journal.swap`."""
        with self._database.writing() as connection:
            for job_id in {swap.claim.job for swap in swaps}:
                require_state(connection, job_id, JobState.OPEN)
            keys = {swap.envelope.kid for swap in swaps}
            require_unmarked(self._database, connection, keys)
            is_put = self._swaps.put(connection, swaps)
            put = [swap.claim for swap, done in zip(swaps, is_put, strict=True) if done]
            lost = [swap for swap, done in zip(swaps, is_put, strict=True) if not done]
            # A lease that has ended since is no matter: the rows are locked.
            self._leases.end(connection, latest_of(put), ItemState.SWAPPED)
            if lost:
                # Those that changed meanwhile are claimed anew, as they are then.
                self._leases.let_go(connection, latest_of(swap.claim for swap in lost))
        return lost

    def fail(self, claim: Claim, error: KeyhierError) -> bool:
        """Mark an item failed; see :meth:`Journal.fail`."""
        return self._end(claim, ItemState.FAILED, type(error).__name__, str(error))

    def leave(self, claim: Claim, reason: str) -> bool:
        """Mark an item as one that needs nothing done; see :meth:`Journal.leave`."""
        return self._end(claim, ItemState.LEFT, None, reason)

    def _end(self, claim: Claim, state: ItemState, error: str | None, text: str) -> bool:
        with self._database.writing() as connection:
            held = self._leases.holding([claim])
            return bool(self._leases.end(connection, held, state, error, text))

    # ------------------------------------------------------------------ ends

    def finish(self, job_id: str) -> Job:
        """Mark an open job done if nothing is left to do; see :meth:`Journal.finish`."""
        with self._database.writing() as connection:
            state = state_of(connection, job_id, alone=True)
            counts = count_items(connection, job_id)
            unfinished = counts[ItemState.PENDING] or counts[ItemState.FAILED]
            if state is JobState.OPEN and not unfinished:
                return self._move(connection, job_id, JobState.DONE)
            return read_job(connection, job_id)

    def finalize(self, job_id: str) -> Job:
        """Drop the envelopes before and let the keys go; see :meth:`Journal.finalize`."""
        with self._database.writing() as connection:
            states = (JobState.DONE, JobState.FINALIZED)
            if require_state(connection, job_id, *states, alone=True) is JobState.FINALIZED:
                return read_job(connection, job_id)
            self._swaps.drop_before(connection, job_id)
            return self._move(connection, job_id, JobState.FINALIZED)

    def roll_back(self, job_id: str) -> Job:
        """Begin to roll a job back; see :meth:`Journal.roll_back`."""
        with self._database.writing() as connection:
            states = [state for state in JobState if state is not JobState.FINALIZED]
            state = require_state(connection, job_id, *states, alone=True)
            if state in (JobState.ROLLING_BACK, JobState.ROLLED_BACK):
                return read_job(connection, job_id)
            return self._move(connection, job_id, JobState.ROLLING_BACK)

    def restore(self, record: Record) -> Record:
        """Bring the envelope before back; see :meth:`Journal.restore`."""
        previous = record.previous
        if previous is None:
            raise InvalidStateError(f"record {record.id} holds no envelope before")
        item = and_(job_items.c.job == previous.job, job_items.c.record == record.id)
        with self._database.writing() as connection:
            require_state(connection, previous.job, JobState.ROLLING_BACK)
            restored = self._swaps.take_back(connection, record, previous)
            self._leases.end(connection, item, ItemState.LEFT, None, "rolled back")
            return restored

    def end_roll_back(self, job_id: str) -> Job:
        """Let the keys go and mark the job rolled back; see :meth:`Journal.end_roll_back`."""
        with self._database.writing() as connection:
            states = (JobState.ROLLING_BACK, JobState.ROLLED_BACK)
            if require_state(connection, job_id, *states, alone=True) is JobState.ROLLED_BACK:
                return read_job(connection, job_id)
            holding = select(exists().where(records.c.previous_job == job_id))
            if connection.execute(holding).scalar_one():
                raise InvalidStateError(
                    f"records still hold the envelopes that job {job_id} replaced",
                    remedy="restore them first",
                )
            return self._move(connection, job_id, JobState.ROLLED_BACK)
