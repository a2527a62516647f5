"""Rotation: a new version of a key, and every record that needs an older one wrapped under it."""

from __future__ import annotations

from typing import Final

from keyhier.errors import InvalidStateError
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.rewrap_jobs import FROM, TAG, Preview, RewrapJobs
from keyhier.hierarchy.work import JobReport, Work
from keyhier.identifiers import KeyId
from keyhier.records.jobs import Job, new_job_id

__all__ = ["ROTATE", "preview_rotation", "rotate"]

ROTATE: Final = "rotate"
"""The kind of these jobs."""


def rotate(core: Core, key: KeyId, work: Work) -> JobReport:
    """Make a new version and wrap everything under it that needs an older one.

    A rotation of the key that has not ended is gone on with; so two at once make one new version.

    Args:
        core: the hierarchy.
        key: the key; with a version, that one is what everything is wrapped under, and none is
            made.
        work: how.
    """
    jobs = RewrapJobs(core)
    job = jobs.open_job(ROTATE, key)
    if job is None:
        job = jobs.begin(_new_job(core, key))
    _require_same(job, key)
    return jobs.resume(job.id, work)


def preview_rotation(core: Core, key: KeyId) -> Preview:
    """Say what :func:`rotate` would do, and change nothing."""
    jobs = RewrapJobs(core)
    job = jobs.open_job(ROTATE, key)
    if job is not None:
        _require_same(job, key)
    planned = job or _new_job(core, key)
    return jobs.preview(((KeyId.parse(old), planned.target) for old in planned.intent[FROM]), job)


def _new_job(core: Core, key: KeyId) -> Job:
    """Return the job, with everything in its intent that has to be the same for whoever resumes."""
    newest = core.keyring.use(key) if key.version else core.keyring.latest(key)
    needed = {row.key for row in core.records.census(key.versionless, by_vm=False) if not row.kept}
    keys = (str(key.versionless),)
    if key.version:
        old = sorted(map(str, needed - {newest.id}))
        return Job(kind=ROTATE, keys=keys, intent={FROM: old}, target=newest.id)
    job_id = new_job_id()
    old = sorted(map(str, needed | {newest.id}))
    return Job(id=job_id, kind=ROTATE, keys=keys, intent={FROM: old, TAG: job_id})


def _require_same(job: Job, key: KeyId) -> None:
    """Refuse to go on with a job that is not the one that was asked for."""
    if key.version and job.target != key:
        raise InvalidStateError(
            f"job {job.id} rotates {key.versionless} to another version",
            remedy="finalise it or roll it back first",
        )
