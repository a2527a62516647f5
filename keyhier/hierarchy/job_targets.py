"""What a job's intent says: from which key versions its records go, and to which.

The journal is in the database, and whoever can write that must not be able to send records to a key
of their own. So what stands there is compared with what somebody outside of the database asked for:
a rotation with its key, a migration with the vault that was opened and the key map. And nobody is
sent back to an older version, which whoever wrote that may have, unless it was asked for by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Final

from keyhier.errors import IntegrityError, InvalidInputError, InvalidStateError
from keyhier.hierarchy.chain_keyring import ChainKeyring, version_for
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.identifiers import KeyId
from keyhier.records.jobs import Job

__all__ = [
    "FROM",
    "LATEST",
    "MIGRATE",
    "MOVE",
    "NOT_NAMED",
    "ROTATE",
    "TAG",
    "TO",
    "Check",
    "Prepare",
    "Targets",
    "going_to",
    "latest_of",
    "mistrusted",
    "require_ahead",
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

LATEST: Final = "latest"
"""In a rotation's intent, where it makes a version: the one after which, and so in which vault."""

FROM: Final = "from"
"""In a job's intent: the exact versions whose records are wrapped anew."""

TO: Final = "to"
"""In a migration's intent: the versions they are to need, in the same order."""

MOVE: Final = "move"
"""In a migration's intent, where it is true: the keys themselves go to the other vault."""

Prepare = Callable[[Job], Job]
"""Makes what a job needs and does not have yet, notes it in the journal, and returns the job."""

Targets = Callable[[Job], Mapping[KeyId, KeyId]]
"""Returns by exact version what a job's records are to be wrapped under; no vault is asked."""

Check = Callable[[Job, Mapping[KeyId, KeyId]], None]
"""Compares the targets with what the vaults say, before anything is wrapped under them."""

NOT_NAMED: Final = "records under keys that it does not name"
"""What a migration would do whose journal does not say where to."""

_NAME_IT: Final = "where that version is meant, rotate the key to it by its id"

_GO_ON: Final = {
    ROTATE: "`keyhier rotate --join JOB` goes on with it",
    MIGRATE: "`keyhier migrate --to URI --join JOB` goes on with it",
}


def sources_of(job: Job) -> tuple[KeyId, ...]:
    """Return the exact versions whose records a job wraps anew.

    Raises:
        IntegrityError: the journal names none.
    """
    return _versions(job, FROM, "records anew of which it says nothing that can be read")


def going_to(job: Job) -> tuple[KeyId, ...]:
    """Return the versions that a migration's records are to need, in the order of their sources.

    Raises:
        IntegrityError: the journal names none.
    """
    return _versions(job, TO, NOT_NAMED)


def _versions(job: Job, member: str, otherwise: str) -> tuple[KeyId, ...]:
    named = job.intent.get(member)
    if not isinstance(named, Sequence) or isinstance(named, str):
        raise mistrusted(job, otherwise)
    return tuple(_version(job, text) for text in named)


def latest_of(job: Job) -> KeyId:
    """Return the version that was the latest when a rotation was begun.

    Raises:
        IntegrityError: it is none of those that the rotation was begun for.
    """
    latest = _version(job, job.intent.get(LATEST))
    if latest not in sources_of(job) or job.keys != (str(latest.versionless),):
        raise mistrusted(
            job, f"records under a version of {latest}, with which it has nothing to do"
        )
    return latest


def _version(job: Job, text: object) -> KeyId:
    try:
        return KeyId.parse(text if isinstance(text, str) else "")
    except InvalidInputError:
        raise mistrusted(job, "records anew by what is no id of a key version") from None


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


def require_ahead(keyring: ChainKeyring, job: Job, targets: Mapping[KeyId, KeyId]) -> None:
    """Refuse to send records back to an older version than they need.

    The vault says which version is older. Of KEKs in records it is the records that say so, hence
    the version has to be the one that the job makes. Two vaults in memory name their keys alike:
    where the job made the version, in the vault of the latest one, it may take those of the other
    along.

    Raises:
        IntegrityError: the rotation would, or may.
        NotFoundError: the vault lacks the version.
    """
    target, makes = job.target, TAG in job.intent
    if target is None:
        return
    if target.scheme == IN_RECORDS:
        if not makes or target != version_for(target, job.id):
            raise mistrusted(job, f"records under {target}, which was not made for it", _NAME_IT)
        return
    versions = [version.id for version in keyring.vaults.key(target).versions()]
    older = set(takewhile(lambda version: version != target, versions))
    known = {latest_of(job), *(targets.keys() & set(versions))} if makes else targets.keys()
    if not known <= older:
        what = f"records under {target}, which is not known to be newer than theirs"
        raise mistrusted(job, what, _NAME_IT)


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
        remedy=otherwise if first is None else f"{first}; if that is not it, {otherwise}",
    )
