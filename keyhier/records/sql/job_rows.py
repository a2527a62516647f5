"""Rows of jobs: read, and held to while a transaction depends on their state."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

from sqlalchemy import Connection, func, select

from keyhier.errors import ConflictError, InvalidStateError, NotFoundError
from keyhier.records.jobs import ItemState, Job, JobState
from keyhier.records.sql.rows import job_of, job_state_of
from keyhier.records.sql.tables import job_items, job_keys, jobs

__all__ = ["columns_of", "count_items", "read_job", "refuse_held", "require_state", "state_of"]

_REMEDIES: Final = {
    JobState.OPEN: "go on with the job, or roll it back",
    JobState.ROLLING_BACK: "roll it back to the end",
    JobState.FINALIZED: "the envelopes before are gone; begin another job",
    JobState.ROLLED_BACK: "begin another job",
}


def columns_of(job: Job) -> dict[str, Any]:
    """Return the columns of a job that :meth:`Journal.update` changes."""
    return {
        "intent": dict(job.intent),
        "target": None if job.target is None else str(job.target),
        "options": dict(job.options),
    }


def read_job(connection: Connection, job_id: str) -> Job:
    """Return a job.

    Raises:
        NotFoundError: there is none with that id.
        IntegrityError: its row holds what no job can.
    """
    row = connection.execute(select(jobs).where(jobs.c.id == job_id)).one_or_none()
    if row is None:
        raise _no_job(job_id)
    keys = connection.execute(
        select(job_keys.c.key).where(job_keys.c.job == job_id).order_by(job_keys.c.key)
    )
    return job_of(row, tuple(keys.scalars()))


def _no_job(job_id: str) -> NotFoundError:
    return NotFoundError(f"there is no job {job_id!r:.60}", remedy="list the jobs there are")


def state_of(connection: Connection, job_id: str, *, alone: bool = False) -> JobState:
    """Return a job's state, which stays so until the transaction ends.

    ``alone`` says that nobody else may hold to it, either, because it is about to change.

    Raises:
        NotFoundError, IntegrityError: as :func:`read_job`.
    """
    found = connection.execute(
        select(jobs.c.state).where(jobs.c.id == job_id).with_for_update(read=not alone)
    ).scalar_one_or_none()
    if found is None:
        raise _no_job(job_id)
    return job_state_of(job_id, found)


def require_state(
    connection: Connection, job_id: str, *states: JobState, alone: bool = False
) -> JobState:
    """Return a job's state, as :func:`state_of`, if it is one of these.

    Raises:
        InvalidStateError: it is another.
        NotFoundError, IntegrityError: as :func:`read_job`.
    """
    state = state_of(connection, job_id, alone=alone)
    if state not in states:
        raise InvalidStateError(
            f"job {job_id} is {state}, and has to be {' or '.join(states)}",
            remedy=_REMEDIES.get(state),
        )
    return state


def refuse_held(connection: Connection, keys: Collection[str]) -> None:
    """Refuse keys that another job works on.

    Raises:
        ConflictError: one does.
    """
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


def count_items(connection: Connection, job_id: str) -> dict[ItemState, int]:
    """Say how many items of a job are in each state."""
    found = connection.execute(
        select(job_items.c.state, func.count())
        .where(job_items.c.job == job_id)
        .group_by(job_items.c.state)
    )
    return dict.fromkeys(ItemState, 0) | {ItemState(state): count for state, count in found}
