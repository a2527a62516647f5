"""Work: how a job's records are worked on, and what came of it."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Mapping

import attrs

from keyhier.errors import InvalidInputError
from keyhier.records.jobs import MAX_CLAIMS, ItemState, Job, JobState

__all__ = ["JobReport", "Progress", "Started", "Work"]

Progress = Callable[[Mapping[ItemState, int]], None]
"""Told how many of the job's records are in each state, whoever worked on them."""

Started = Callable[[Job], None]
"""Told which job is worked on."""

_BATCH = 128
_LEASE_SECONDS = 60.0


def _this_worker() -> str:
    return f"{platform.node()}:{os.getpid()}"


@attrs.frozen(kw_only=True)
class Work:
    """How a job's records are worked on.

    Attributes:
        threads: how many; by default as many as use the vaults well, such as 16 for one in a
            network, else one for each processor, at most 8.
        batch: how many records are claimed and swapped in one transaction.
        lease: for how many seconds a record is this worker's; it is renewed while the worker goes
            on, and whoever comes later takes over what a dead one held. More than the vault needs
            for one operation.
        worker: who this is, for people to read.
        progress: told after every batch.
        started: told once, when the job is in the journal and before anything is made for it.
    """

    threads: int | None = None
    batch: int = _BATCH
    lease: float = _LEASE_SECONDS
    worker: str = attrs.field(factory=_this_worker)
    progress: Progress | None = None
    started: Started | None = None

    def __attrs_post_init__(self) -> None:
        if self.threads is not None and self.threads < 1:
            raise InvalidInputError("a job is worked on by at least one thread")
        if not 0 < self.batch <= MAX_CLAIMS:
            raise InvalidInputError(f"a batch has 1 to {MAX_CLAIMS} records")


@attrs.frozen
class JobReport:
    """How a job stands.

    Attributes:
        job: the job.
        counts: how many of its records are in each state.
        was_done: whether it was done before it was gone on with, so that nothing was left to do.
    """

    job: Job
    counts: Mapping[ItemState, int]
    was_done: bool = attrs.field(default=False, eq=False)

    @property
    def complete(self) -> bool:
        """Whether every record was done."""
        return self.job.state in (JobState.DONE, JobState.FINALIZED)
