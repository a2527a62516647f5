"""What a store of records does; the only page that the author of another one must read.

The core (:class:`Records`) is what every store can do. What only some can are protocols of their
own, asked for by type before the work starts: :class:`SupportsJournal`, :class:`SupportsSets` and
:class:`SupportsKeyMarks`.

Rules that hold for all of it:

* A store never sees a plaintext key, and opens no envelope.
* Every change is one transaction: it happens whole or not at all, and is on the disk when the
  method returns.
* Optimistic locking: a change names the generation that it was made from, and where the record
  was changed since, it is a ``ConflictError`` and nothing happens.
* What is listed streams in bounded memory, in the order of the ids; a record that is added or
  changed meanwhile may or may not be among it, and none is listed twice.
* Times are the store's own clock's. Leases are, too: workers' clocks do not have to agree.
* Errors are those of :mod:`keyhier.errors`: ``CapacityError`` where the disk is full,
  ``UnavailableError`` where the database is locked or away, ``AccessDeniedError`` where it refuses,
  ``IntegrityError`` where what it holds cannot be read. Any method may raise these.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self, runtime_checkable

from keyhier.errors import KeyhierError
from keyhier.identifiers import KeyId
from keyhier.records.jobs import Claim, ItemState, Job, JobItem, Swap
from keyhier.records.record import CensusRow, Query, Record
from keyhier.records.stored import KeyMark, KeyState, StoredSet

__all__ = [
    "Journal",
    "KeyMarks",
    "Records",
    "Sets",
    "SupportsJournal",
    "SupportsKeyMarks",
    "SupportsSets",
]


class Records(Protocol):
    """A store of records; a context manager that closes it."""

    @property
    def url(self) -> str:
        """What it was opened by; holds no password."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def close(self) -> None:
        """Let the store go; doing so twice is harmless."""
        ...

    def now(self) -> datetime:
        """Return the time by the store's clock, in UTC: what its times are compared with."""
        ...

    def add(self, *records: Record) -> list[Record]:
        """Keep new records, all of them or none, and return them as kept (generation 1).

        Raises:
            AlreadyExistsError: an id or a KEK's name is taken.
            InvalidInputError, IntegrityError: as :meth:`Record.checked`.
            InvalidStateError: an envelope needs a key version that is retiring.
        """
        ...

    def load(self, records: Iterable[Record]) -> int:
        """Keep a stream of records from another store, all or none, and say how many.

        Generations and times are kept. An envelope before is not taken over, since its job is not
        here. The stream must not use this store, and what it raises is raised.

        Raises:
            AlreadyExistsError, InvalidInputError, IntegrityError, InvalidStateError:
                as :meth:`add`.
        """
        ...

    def get(self, record_id: str) -> Record:
        """Return a record.

        Raises:
            NotFoundError: there is none with that id.
        """
        ...

    def replace(self, record: Record) -> Record:
        """Change a record that was read before, and return it as kept.

        Id, kind, names and times stay as they are. Where the envelope is another one, the envelope
        before is dropped: it is for a job to keep one, see :meth:`Journal.swap`.

        Raises:
            ConflictError: it was changed or deleted since.
            InvalidInputError, IntegrityError, InvalidStateError: as :meth:`add`.
        """
        ...

    def delete(self, record: Record) -> None:
        """Delete a record that was read before, and its place in jobs.

        Raises:
            ConflictError: it was changed or deleted since.
        """
        ...

    def find(self, query: Query = ..., /) -> Iterator[Record]:
        """Yield the records that match, in the order of their ids."""
        ...

    def count(self, query: Query = ..., /) -> int:
        """Say how many match."""
        ...

    def census(self, key: KeyId | None = None, *, by_vm: bool = True) -> list[CensusRow]:
        """Say how many records need which key version, by set and machine, in one query.

        Args:
            key: only this key version, or without a version all of this key.
            by_vm: whether machines are told apart; else there is a row for each set only.
        """
        ...


class Journal(Protocol):
    """The jobs of a store: written before anything is made, so that anybody can resume."""

    def begin(self, job: Job) -> Job:
        """Write a new job, before anything is made for it, and take its keys.

        Raises:
            ConflictError: another job holds one of the keys, or has the id.
        """
        ...

    def job(self, job_id: str) -> Job:
        """Return a job.

        Raises:
            NotFoundError: there is none with that id.
        """
        ...

    def jobs(self, *, key: str | None = None, ended: bool | None = None) -> list[Job]:
        """Return jobs, oldest first.

        Args:
            key: only those that work or worked on this.
            ended: only those that have ended, or only the others.
        """
        ...

    def update(self, job: Job) -> Job:
        """Note a job's intent, target and options, and return it as kept.

        Raises:
            ConflictError: it was changed since.
        """
        ...

    def settle(self, job_id: str, make: Callable[[], KeyId]) -> Job:
        """Make what an open job's records go under, where it is not noted yet, and note it.

        Nobody else makes it meanwhile: they wait, and get what was noted. Whoever dies while making
        it lets the next one in. Others may have to wait with every change, so ``make`` is quick and
        uses nothing of this store. What it raises is raised, and nothing is noted.

        Raises:
            InvalidStateError: nothing is noted yet, and the job is not open.
            NotFoundError: there is no such job.
        """
        ...

    def plan(self, job_id: str, query: Query) -> int:
        """Make every record that matches an item of the job, and say how many are new.

        Doing so again adds only what came since. A job that was done is open again where something
        is added.

        Raises:
            InvalidStateError: the job is neither open nor done.
        """
        ...

    def counts(self, job_id: str) -> Mapping[ItemState, int]:
        """Say how many items are in each state."""
        ...

    def items(self, job_id: str, state: ItemState | None = None) -> Iterator[JobItem]:
        """Yield a job's items, in the order of the records' ids."""
        ...

    def claim(self, job_id: str, worker: str, limit: int, seconds: float) -> list[Claim]:
        """Lease pending items that nobody holds, or whose lease has ended.

        No two workers get the same item at one time, on whatever machines they are. An empty list
        means that nothing is left to claim now: others may hold leases, see :meth:`counts`.

        Args:
            job_id: the job.
            worker: who claims, for people to read.
            limit: how many at most, 1 to :data:`~keyhier.records.jobs.MAX_CLAIMS`.
            seconds: how long the lease is, by the store's clock.
        """
        ...

    def renew(self, claims: Sequence[Claim], seconds: float) -> list[Claim]:
        """Make leases last from now on so long; return those that are still held."""
        ...

    def release(self, claims: Sequence[Claim]) -> None:
        """Give leases back before they end; those that are lost already are no matter."""
        ...

    def swap(self, swaps: Sequence[Swap]) -> list[Swap]:
        """Put new envelopes in place, in one transaction; return those that were *not* put.

        A swap is one UPDATE that is conditional on the record's generation and on the lease. It
        puts the new envelope, keeps the one before, and marks the item ``swapped``. One whose
        lease was lost, whose record changed, or whose record holds another job's envelope before,
        is returned and changes nothing: whoever claims the item next does it anew. A record that
        holds another job's envelope is refused every time, so :meth:`fail` it.

        Raises:
            InvalidStateError: the job is not open, or an envelope needs a key version that is
                retiring; then nothing is put.
            IntegrityError: an envelope is another record's; then nothing is put.
        """
        ...

    def fail(self, claim: Claim, error: KeyhierError) -> bool:
        """Mark an item failed, with the error's class and text; False where the lease was lost."""
        ...

    def leave(self, claim: Claim, reason: str) -> bool:
        """Mark an item as one that needs nothing done; False where the lease was lost."""
        ...

    def retry(self, job_id: str) -> int:
        """Make failed items pending again, and say how many."""
        ...

    def finish(self, job_id: str) -> Job:
        """Mark an open job done if no item is pending or failed, and return it as it is then."""
        ...

    def finalize(self, job_id: str) -> Job:
        """Drop the envelopes before, let the keys go, and mark the job finalised.

        Doing so again is harmless.

        Raises:
            InvalidStateError: the job is not done.
        """
        ...

    def roll_back(self, job_id: str) -> Job:
        """Begin to roll a job back: from here on nothing of it is claimed or swapped.

        Then :meth:`restore` every record that ``Query(job=…)`` finds, and :meth:`end_roll_back`.

        Raises:
            InvalidStateError: the job is finalised.
        """
        ...

    def restore(self, record: Record) -> Record:
        """Bring the envelope before back, and mark the item ``left``.

        Raises:
            ConflictError: the record was changed since it was read.
            InvalidStateError: it holds no envelope before, or its job is not being rolled back.
        """
        ...

    def end_roll_back(self, job_id: str) -> Job:
        """Let the keys go and mark the job rolled back; doing so again is harmless.

        Raises:
            InvalidStateError: it is not being rolled back, or records still hold its envelopes.
        """
        ...

    def forget(self, job_id: str) -> None:
        """Delete a job that has ended, and its items.

        Raises:
            InvalidStateError: it has not ended.
        """
        ...


class KeyMarks(Protocol):
    """What is noted of key versions, so that no new use is made of one that is to go."""

    def mark(self, key: KeyId, state: KeyState, details: Mapping[str, Any] = ...) -> KeyMark:
        """Note a version's state. When this returns, no record gets an envelope under it.

        Changes that began before are waited for, so a census that is taken next is complete.
        """
        ...

    def unmark(self, key: KeyId) -> None:
        """Note nothing of a version any more; it is in use again."""
        ...

    def get(self, key: KeyId) -> KeyMark | None:
        """Return what is noted of a version, or None."""
        ...

    def all(self) -> list[KeyMark]:
        """Return what is noted of any version."""
        ...


class Sets(Protocol):
    """The encryption sets of a store; which records are in one is the records' own matter."""

    def add(self, stored: StoredSet) -> StoredSet:
        """Keep a new set and return it as kept.

        Raises:
            AlreadyExistsError: the name is taken.
        """
        ...

    def get(self, name: str) -> StoredSet:
        """Return a set.

        Raises:
            NotFoundError: there is none of that name.
        """
        ...

    def replace(self, stored: StoredSet) -> StoredSet:
        """Change a set that was read before, and return it as kept.

        Raises:
            ConflictError: it was changed or deleted since.
        """
        ...

    def delete(self, stored: StoredSet) -> None:
        """Delete a set that was read before.

        Raises:
            ConflictError: it was changed or deleted since.
            InvalidStateError: there are records in it.
        """
        ...

    def all(self, key: KeyId | None = None) -> list[StoredSet]:
        """Return the sets by name: all, or those that refer to this key, in any version of it."""
        ...


@runtime_checkable
class SupportsJournal(Protocol):
    """A store that keeps jobs."""

    @property
    def journal(self) -> Journal:
        """Its jobs."""
        ...


@runtime_checkable
class SupportsKeyMarks(Protocol):
    """A store that keeps states of key versions."""

    @property
    def key_marks(self) -> KeyMarks:
        """Its notes."""
        ...


@runtime_checkable
class SupportsSets(Protocol):
    """A store that keeps encryption sets."""

    @property
    def sets(self) -> Sets:
        """Its sets."""
        ...
