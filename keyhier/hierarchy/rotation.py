"""Rotation: a new version of a key, and every record that needs an older one wrapped under it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from keyhier.errors import InvalidInputError, InvalidStateError, UnsupportedError
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.job_targets import FROM, LATEST, ROTATE, TAG, mistrusted, sources_of
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.hierarchy.rewrap_jobs import Preview, RewrapJobs
from keyhier.hierarchy.work import JobReport, Work
from keyhier.identifiers import KeyId
from keyhier.records.jobs import Job, new_job_id

__all__ = ["key_to_rotate", "preview_rotation", "rotate"]


def key_to_rotate(core: Core, key: str | KeyId) -> KeyId:
    """Return the id that a key's name or id means; raises as :meth:`Core.find_key`.

    A key whose rotation has not ended is found in the journal, so that one that is done needs no
    vault.
    """
    if isinstance(key, str) and ":" not in key:
        candidates = [vault.id_of(key) for vault in core.vaults]
        with suppress(InvalidInputError):
            candidates.append(core.in_records(key))
        jobs = RewrapJobs(core)
        working = {each for each in candidates if jobs.open_job(ROTATE, each)}
        if len(working) == 1:
            return working.pop()
    return core.find_key(key)


def rotate(core: Core, key: KeyId, work: Work) -> JobReport:
    """Make a new version and wrap everything under it that needs an older one.

    A rotation of the key that has not ended is gone on with; so two at once make one new version.

    Args:
        core: the hierarchy.
        key: the key; with a version, that one is what everything is wrapped under, and none is
            made.
        work: how.
    """
    jobs = _jobs(core, key)
    job = jobs.open_job(ROTATE, key)
    if job is None:
        return _begin(jobs, key, _new_job(core, key), work)
    _require_same(job, key)
    return jobs.resume(job.id, work)


def _begin(jobs: RewrapJobs, key: KeyId, wanted: Job, work: Work) -> JobReport:
    """Begin a job and do it; where the vault makes no version of the key, leave no job behind."""
    job = jobs.begin(wanted)
    _require_same(job, key)
    try:
        return jobs.resume(job.id, work)
    except (InvalidStateError, UnsupportedError):
        # The key is one that cannot be rotated, such as one that was made elsewhere.
        jobs.abandon(job.id)
        raise


def _jobs(core: Core, key: KeyId) -> RewrapJobs:
    """Return the jobs, where it may be an older version that was asked for by its id."""
    return RewrapJobs(core, check=_asked_for if key.version else None)


def _asked_for(job: Job, targets: Mapping[KeyId, KeyId]) -> None:
    """Let records go under what was named: :func:`_require_same` has compared it."""


def preview_rotation(core: Core, key: KeyId) -> Preview:
    """Say what :func:`rotate` would do, and change nothing."""
    jobs = _jobs(core, key)
    job = jobs.open_job(ROTATE, key)
    if job is not None:
        _require_same(job, key)
    planned = job or _new_job(core, key)
    return jobs.preview(((old, planned.target) for old in sources_of(planned)), job)


def _new_job(core: Core, key: KeyId) -> Job:
    """Return the job, with everything in its intent that has to be the same for whoever resumes."""
    newest = core.keyring.use(key) if key.version else core.keyring.latest(key)
    needed = {row.key for row in core.records.census(key.versionless, by_vm=False) if not row.kept}
    keys = (str(key.versionless),)
    if key.version:
        old = sorted(map(str, needed - {newest.id}))
        return Job(kind=ROTATE, keys=keys, intent={FROM: old}, target=newest.id)
    _require_ability(core, newest.id)
    job_id = new_job_id()
    old = sorted(map(str, needed | {newest.id}))
    intent = {FROM: old, TAG: job_id, LATEST: str(newest.id)}
    return Job(id=job_id, kind=ROTATE, keys=keys, intent=intent)


def _require_ability(core: Core, key: KeyId) -> None:
    """Refuse before anything is begun where the key's vault makes no version for a job."""
    if key.scheme == IN_RECORDS:
        return
    if not core.keyring.vaults.home(key).capabilities.rotates_for_tag:
        raise UnsupportedError(
            f"the vault of {key.versionless} cannot rotate a key for a job",
            remedy="make a version by its own means, and rotate to that: name its id",
        )


def _require_same(job: Job, key: KeyId) -> None:
    """Refuse to go on with a job that is not the one that was asked for."""
    if job.keys != (str(key.versionless),):
        raise mistrusted(job, f"records of {key.versionless} under a key that nobody asked for")
    if key.version and job.target != key:
        raise InvalidStateError(
            f"job {job.id} rotates {key.versionless} to another version",
            remedy="finalise it or roll it back first",
        )
