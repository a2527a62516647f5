"""Jobs that wrap records anew: found, prepared, worked on and ended by anybody at any point.

Every step is written into the journal before its effect, and can be repeated::

    begin      what is to be done, and the tag of the version to be made
    prepare    the version made for the tag, or found by it; its id is written down
    plan       an item for every record that needs one of the old versions
    rewrap     claim, open, wrap, open again, compare, swap
    finish     nothing is pending and nothing failed
    finalize   the envelopes before are dropped     (or: roll back, they are brought back)
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import attrs

from keyhier.batch import stream
from keyhier.errors import ConflictError, IntegrityError, InvalidStateError, KeyhierError
from keyhier.hierarchy.context import context_of
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.keyring import Keyring
from keyhier.hierarchy.rewrapping import Rewrapping
from keyhier.hierarchy.work import JobReport, Work
from keyhier.identifiers import KeyId
from keyhier.records.jobs import ItemState, Job, JobState
from keyhier.records.protocol import Journal
from keyhier.records.record import CensusRow, Query, Record

__all__ = ["FROM", "TAG", "TO", "Preview", "RewrapJobs", "RollBack", "finalize", "targets_of"]

TAG: Final = "tag"
"""In a job's intent: what the new version is made for."""

FROM: Final = "from"
"""In a job's intent: the exact versions whose records are wrapped anew."""

TO: Final = "to"
"""In a job's intent, where it has no target: the versions they are to need, in the same order."""

_NO_WORK: Final = Work()


@attrs.frozen
class Preview:
    """What a job would do.

    Attributes:
        versions: by exact version what its records would be wrapped under; None is a version that
            is still to be made.
        rows: how many records there are of each version, set and machine.
        broken: the records that would fail, by what is public of them, and why.
        job: the job that would be gone on with, or None for a new one.
    """

    versions: tuple[tuple[KeyId, KeyId | None], ...]
    rows: tuple[CensusRow, ...]
    broken: tuple[tuple[str, KeyhierError], ...]
    job: Job | None

    @property
    def count(self) -> int:
        """How many records would be wrapped anew."""
        return sum(row.count for row in self.rows)


@attrs.frozen
class RollBack:
    """What came of rolling a job back.

    Attributes:
        job: the job as it is now.
        restored: how many records have the envelope before again.
        failed: the ids of the others, and why; they are as they were.
    """

    job: Job
    restored: int
    failed: tuple[tuple[str, KeyhierError], ...]


class RewrapJobs:
    """The jobs of a hierarchy that wrap records anew."""

    def __init__(self, core: Core, keyring: Keyring | None = None) -> None:
        """Look after the jobs.

        Args:
            core: the hierarchy.
            keyring: finds the keys where more vaults are open than the hierarchy has.
        """
        self._core = core
        self._keyring: Keyring = core.keyring if keyring is None else keyring
        self.journal = core.journal

    def open_job(self, kind: str, key: KeyId) -> Job | None:
        """Return the job of a kind that works on a key and has not ended, or None."""
        found = self.journal.jobs(key=str(key.versionless), ended=False)
        return next((job for job in found if job.kind == kind), None)

    def begin(self, job: Job) -> Job:
        """Write a new job, or return the one of its kind that somebody else has just begun.

        Raises:
            ConflictError: a job of another kind works on one of the keys.
        """
        try:
            return self.journal.begin(job)
        except ConflictError:
            for key in job.keys:
                other = self.open_job(job.kind, KeyId.parse(key))
                if other is not None and other.keys == tuple(sorted(job.keys)):
                    return other
            raise

    def report(self, job_id: str) -> JobReport:
        """Say how a job stands."""
        return JobReport(self.journal.job(job_id), self.journal.counts(job_id))

    # ------------------------------------------------------------------ working

    def resume(self, job_id: str, work: Work = _NO_WORK) -> JobReport:
        """Go on with a job, wherever it was left, alone or beside others.

        What failed before is tried again. Where the job is done, the vault is asked for nothing.

        Raises:
            NotFoundError: there is no such job.
            KeyhierError: as :meth:`Rewrapping.run`.
        """
        job = self.journal.job(job_id)
        if job.state not in (JobState.OPEN, JobState.DONE):
            return self.report(job_id)
        job = self._prepare(job)
        if self.journal.counts(job_id)[ItemState.FAILED] and job.state is JobState.OPEN:
            self.journal.retry(job_id)
        while plan(self.journal, job) or self.journal.counts(job_id)[ItemState.PENDING]:
            Rewrapping(self.journal, self._keyring, job_id, targets_of(job), work).run()
            if self.journal.job(job_id).state is not JobState.OPEN:
                # Somebody else has finished it, or rolls it back.
                break
        self.journal.finish(job_id)
        return self.report(job_id)

    def _prepare(self, job: Job) -> Job:
        """Make the new version where the job is to make one and does not know it yet."""
        while job.target is None and TAG in job.intent:
            key = KeyId.parse(job.keys[0])
            made = self._keyring.new_version(key, tag=job.intent[TAG])
            self._keyring.forget(key)
            try:
                job = self.journal.update(attrs.evolve(job, target=made))
            except ConflictError:
                # Somebody else was faster, and theirs is the version that counts.
                job = self.journal.job(job.id)
        return job

    # ------------------------------------------------------------------ ends

    def finalize(self, job_id: str) -> Job:
        """Drop the envelopes before; see :func:`finalize`."""
        return finalize(self.journal, job_id)

    def roll_back(self, job_id: str, work: Work = _NO_WORK) -> RollBack:
        """Bring every envelope before back that opens, in a job that is not finalised.

        A record whose envelope before does not open keeps the new one and is named; the job stays
        to be rolled back, so that it can be tried again. The key version that was made stays.

        Raises:
            InvalidStateError: the job is finalised.
            NotFoundError: there is no such job.
        """
        job = self.journal.roll_back(job_id)
        restored, failed = 0, []
        records = self._core.records.find(Query(job=job_id))
        for outcome in stream(self._restore, records, workers=work.threads):
            record_id, error = outcome.result()
            if error is None:
                restored += 1
            else:
                failed.append((record_id, error))
        if not failed:
            job = self.journal.end_roll_back(job_id)
        return RollBack(job, restored, tuple(failed))

    def _restore(self, record: Record) -> tuple[str, KeyhierError | None]:
        """Bring one envelope back; return the record's id, and why it was left where it was."""
        try:
            if record.previous is not None:
                before = record.with_envelope(record.previous.envelope)
                self._keyring.use(before.key).unwrap(
                    before.wrapped, context=context_of(before)
                ).wipe()
            self.journal.restore(record)
        except KeyhierError as error:
            return record.id, error
        return record.id, None

    # ------------------------------------------------------------------ dry runs

    def preview(
        self, versions: Iterable[tuple[KeyId, KeyId | None]], job: Job | None = None
    ) -> Preview:
        """Say what would be done, from what is public, and change nothing."""
        pairs = tuple(versions)
        records = self._core.records
        rows = [row for version, _ in pairs for row in records.census(version) if not row.kept]
        broken = []
        for version, _ in pairs:
            for record in records.find(Query(key=version)):
                try:
                    context_of(record)
                except KeyhierError as error:
                    broken.append((record.id, error))
        return Preview(pairs, tuple(rows), tuple(broken), job)


def finalize(journal: Journal, job_id: str) -> Job:
    """Drop the envelopes before, which cannot be undone, and let the keys go.

    Raises:
        NotFoundError: there is no such job.
        InvalidStateError: the job is not done, or records have come under the old versions since;
            then it is open again.
    """
    job = journal.job(job_id)
    if job.state is JobState.DONE:
        late = plan(journal, job)
        if late:
            raise InvalidStateError(
                f"{late} records were wrapped under the old versions since job {job_id} was done",
                remedy="run the job again, and then finalise it",
            )
    return journal.finalize(job_id)


def plan(journal: Journal, job: Job) -> int:
    """Make an item of every record that is to be wrapped anew, and say how many are new."""
    return sum(journal.plan(job.id, Query(key=version)) for version in targets_of(job))


def targets_of(job: Job) -> dict[KeyId, KeyId]:
    """Return by exact version what a job's records are to be wrapped under."""
    sources = [KeyId.parse(text) for text in job.intent[FROM]]
    if TO in job.intent:
        return dict(zip(sources, map(KeyId.parse, job.intent[TO]), strict=True))
    if job.target is None:
        raise InvalidStateError(f"job {job.id} does not know its new version yet")
    # Whoever can write the database must not be able to send a key's records to another key.
    if any(each.versionless != job.target.versionless for each in sources) or (
        str(job.target.versionless) not in job.keys
    ):
        raise IntegrityError(
            f"job {job.id} would put records under {job.target}, which is another key",
            remedy="find out who changed the journal, and roll the job back",
        )
    return dict.fromkeys(sources, job.target)
