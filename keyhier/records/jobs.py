"""Job: a rotation or migration as the journal keeps it, and what its workers hold."""

from __future__ import annotations

import enum
import uuid
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import attrs

from keyhier.identifiers import KeyId
from keyhier.records.checks import check_document
from keyhier.records.record import Record
from keyhier.wrapped import WrappedKey

__all__ = ["MAX_CLAIMS", "Claim", "ItemState", "Job", "JobItem", "JobState", "Swap", "new_job_id"]

MAX_CLAIMS: Final = 1000
"""How many records a worker claims, and swaps, at a time."""


class JobState(enum.StrEnum):
    """Where a job stands.

    ::

        open ──► done ──► finalized
          │        │
          └────────┴────► rolling-back ──► rolled-back

    Only in ``open`` are items planned, claimed and swapped. A job holds its keys until it is
    ``finalized`` or ``rolled-back``.
    """

    OPEN = "open"
    DONE = "done"
    FINALIZED = "finalized"
    ROLLING_BACK = "rolling-back"
    ROLLED_BACK = "rolled-back"

    @property
    def ended(self) -> bool:
        """Whether nothing comes after it."""
        return self in (JobState.FINALIZED, JobState.ROLLED_BACK)


class ItemState(enum.StrEnum):
    """Where a record stands in a job."""

    PENDING = "pending"
    SWAPPED = "swapped"
    FAILED = "failed"
    LEFT = "left"


def new_job_id() -> str:
    """Return a new id; it is random, and may be used as the tag of the key version to be made."""
    return str(uuid.uuid4())


@attrs.frozen(kw_only=True)
class Job:
    """A rotation or migration. Frozen; note changes with :meth:`Journal.update`.

    Attributes:
        id: a UUID.
        kind: what it does: ``rotate``, ``migrate``, ….
        keys: what it works on, which no other job may until it has ended: the ids of keys without
            versions, as text, or whatever else stands for a thing that is worked on.
        intent: what was decided before anything was made, such as the new version's CKA_ID or
            tag, so that whoever resumes adopts it; a JSON object.
        target: the key version that the records are to need, once it is known.
        options: how it is to be done; a JSON object.
        state: where it stands.
        generation: 0 for one that is not in the journal yet; grows with every change.
        created, updated: in UTC by the store's clock.
    """

    id: str = attrs.field(factory=new_job_id)
    kind: str
    keys: tuple[str, ...]
    intent: Mapping[str, Any] = attrs.field(factory=dict, validator=check_document, hash=False)
    target: KeyId | None = None
    options: Mapping[str, Any] = attrs.field(factory=dict, validator=check_document, hash=False)
    state: JobState = attrs.field(default=JobState.OPEN, converter=JobState)
    generation: int = 0
    created: datetime | None = None
    updated: datetime | None = None


@attrs.frozen(kw_only=True)
class JobItem:
    """A record's place in a job.

    Attributes:
        job, record: their ids.
        state: where it stands.
        attempts: how often it was claimed.
        worker: who claimed it last.
        leased_until: until when it is that worker's, in UTC by the store's clock; None where it
            is nobody's.
        error: the class of the error where it failed, or why it was left.
        text: the error's text, without a secret.
        updated: when this changed last.
    """

    job: str
    record: str
    state: ItemState
    attempts: int
    worker: str | None
    leased_until: datetime | None
    error: str | None
    text: str | None
    updated: datetime


@attrs.frozen
class Claim:
    """A record that one worker may work on until its lease ends.

    Attributes:
        job: the job's id.
        record: as it was when it was claimed.
        lease: what proves the claim; another claim of the same record has another.
    """

    job: str
    record: Record
    lease: str


@attrs.frozen
class Swap:
    """A new envelope, opened and compared already, for a record that was claimed."""

    claim: Claim
    envelope: WrappedKey
