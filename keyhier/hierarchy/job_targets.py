"""What a job's intent says: from which key versions its records go, and to which.

The journal is in the database, and whoever can write that must not be able to send records to a key
of their own. So what stands there is compared with what somebody outside of the database asked for:
a rotation with its key, a migration with the vault that was opened and the key map.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from keyhier.errors import IntegrityError, InvalidStateError
from keyhier.identifiers import KeyId
from keyhier.records.jobs import Job

__all__ = [
    "FROM",
    "MIGRATE",
    "MOVE",
    "ROTATE",
    "TAG",
    "TO",
    "Prepare",
    "Targets",
    "mistrusted",
    "require_kind",
    "rotation_targets",
    "sources_of",
]

ROTATE: Final = "rotate"
"""The kind of jobs that rotate a key."""

MIGRATE: Final = "migrate"
"""The kind of jobs that move records to another vault."""

TAG: Final = "tag"
"""In a job's intent: what the new version is made for."""

FROM: Final = "from"
"""In a job's intent: the exact versions whose records are wrapped anew."""

TO: Final = "to"
"""In a migration's intent: the versions they are to need, in the same order."""

MOVE: Final = "move"
"""In a migration's intent, where it is true: the keys themselves go to the other vault."""

Prepare = Callable[[Job], Job]
"""Makes what a job needs and does not have yet, notes it in the journal, and returns the job."""

Targets = Callable[[Job], Mapping[KeyId, KeyId]]
"""Returns by exact version what a job's records are to be wrapped under, once that was checked."""

_GO_ON: Final = {
    ROTATE: "`keyhier rotate --join JOB` goes on with it",
    MIGRATE: "`keyhier migrate --to URI --join JOB` goes on with it",
}


def sources_of(job: Job) -> tuple[KeyId, ...]:
    """Return the exact versions whose records a job wraps anew."""
    return tuple(KeyId.parse(text) for text in job.intent[FROM])


def require_kind(job: Job, kind: str) -> None:
    """Refuse to take a job for one of another kind.

    Raises:
        InvalidStateError: it is one.
    """
    if job.kind != kind:
        raise InvalidStateError(f"job {job.id} is no {kind} job", remedy=_GO_ON.get(job.kind))


def rotation_targets(job: Job) -> Mapping[KeyId, KeyId]:
    """Return by exact version what a rotation's records are to be wrapped under.

    Raises:
        InvalidStateError: it is no rotation, or does not know its new version yet.
        IntegrityError: it would put records under another key.
    """
    require_kind(job, ROTATE)
    if job.target is None:
        raise InvalidStateError(f"job {job.id} does not know its new version yet")
    sources = sources_of(job)
    keys = {each.versionless for each in (*sources, job.target)}
    if TO in job.intent or {str(each) for each in keys} != set(job.keys):
        raise mistrusted(job, f"records under {job.target}, which is another key")
    return dict.fromkeys(sources, job.target)


def mistrusted(job: Job, what: str, first: str | None = None) -> IntegrityError:
    """Return the error for a journal that says something that nobody asked for.

    Args:
        job: the job.
        what: what would be put where.
        first: what to try first, where it may be a mistake of whoever asked.
    """
    otherwise = "find out who changed the journal, and roll the job back"
    return IntegrityError(
        f"job {job.id} would put {what}",
        remedy=otherwise if first is None else f"{first}; if you did, {otherwise}",
    )
