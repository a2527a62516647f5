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
from functools import partial
from typing import Final

import attrs

from keyhier.batch import stream
from keyhier.errors import (
    ConflictError,
    IntegrityError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
)
from keyhier.hierarchy.context import context_of
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.job_targets import (
    TAG,
    Check,
    Prepare,
    Targets,
    latest_of,
    require_ahead,
    rotation_targets,
    sources_of,
)
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.hierarchy.left_behind import LeftBehind, look_behind
from keyhier.hierarchy.rewrapping import Rewrapping
from keyhier.hierarchy.work import JobReport, Work
from keyhier.identifiers import KeyId
from keyhier.records.jobs import ItemState, Job, JobState
from keyhier.records.protocol import Journal
from keyhier.records.record import CensusRow, Query, Record
from keyhier.vault import Vault

__all__ = ["Preview", "RewrapJobs", "RollBack", "finalize"]

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

    def __init__(
        self,
        core: Core,
        beside: Vault | None = None,
        targets: Targets = rotation_targets,
        prepare: Prepare | None = None,
        check: Check | None = None,
    ) -> None:
        """Look after the jobs.

        Args:
            core: the hierarchy.
            beside: one vault more than the hierarchy has.
            targets: says what the records of a job that is gone on with are wrapped under.
            prepare: makes what they are wrapped under, by default a rotation's new version.
            check: compares that with what the vaults say; by default no record goes back to an
                older version than it needs.
        """
        self._core = core
        self._vaults = core.vaults if beside is None else (*core.vaults, beside)
        self._keyring = core.keyring if beside is None else core.keyring.beside(beside)
        self._targets = targets
        self._prepare = self._make_version if prepare is None else prepare
        self._check = partial(require_ahead, self._keyring) if check is None else check
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

    def left_behind(self, job: Job) -> LeftBehind:
        """Say what a job that is done leaves as it was, for somebody to see to.

        Raises:
            InvalidStateError, IntegrityError: as :meth:`resume`.
            KeyhierError: a vault is away or refuses.
        """
        return look_behind(self._core, self._keyring, self._targets(job))

    # ------------------------------------------------------------------ working

    def resume(self, job_id: str, work: Work = _NO_WORK) -> JobReport:
        """Go on with a job, wherever it was left, alone or beside others.

        What failed before is tried again. Where the job is done, the vault is asked for nothing.

        Raises:
            NotFoundError: there is no such job.
            InvalidStateError: it is of another kind.
            IntegrityError: the journal would put records under a key that nobody asked for.
            KeyhierError: as :meth:`Rewrapping.run`.
        """
        job = self.journal.job(job_id)
        if work.started is not None:
            work.started(job)
        if job.state not in (JobState.OPEN, JobState.DONE):
            return self.report(job_id)
        was_done = job.state is JobState.DONE
        job = self._prepare(job)
        targets = self._targets(job)
        if self.journal.counts(job_id)[ItemState.FAILED] and job.state is JobState.OPEN:
            self.journal.retry(job_id)
        while plan(self.journal, job) or self.journal.counts(job_id)[ItemState.PENDING]:
            was_done = False
            self._check(job, targets)
            how = attrs.evolve(work, threads=self._threads(work))
            Rewrapping(self.journal, self._keyring, job_id, targets, how).run()
            if self.journal.job(job_id).state is not JobState.OPEN:
                # Somebody else has finished it, or rolls it back.
                break
        self.journal.finish(job_id)
        return attrs.evolve(self.report(job_id), was_done=was_done)

    def _threads(self, work: Work) -> int | None:
        if work.threads is not None:
            return work.threads
        return max(vault.at_once or 0 for vault in self._vaults) or None

    def _make_version(self, job: Job) -> Job:
        """Make the new version where the job is to make one and does not know it yet."""
        if job.target is not None or TAG not in job.intent:
            return job
        key = latest_of(job)
        make = partial(self._keyring.new_version, key, tag=job.intent[TAG])
        if key.scheme == IN_RECORDS:
            # It is kept in the same store, which keeps only one of its id.
            return self._note_target(job, make())
        # Two that make one at the same moment make two, and SoftHSM shows neither the other's.
        job = self.journal.settle(job.id, make)
        self._keyring.forget(key.versionless)
        return job

    def _note_target(self, job: Job, target: KeyId) -> Job:
        while job.target is None:
            try:
                job = self.journal.update(attrs.evolve(job, target=target))
            except ConflictError:
                # Somebody else works on the same job, and was faster.
                job = self.journal.job(job.id)
        return job

    # ------------------------------------------------------------------ ends

    def abandon(self, job_id: str) -> None:
        """Let a job go that could not even make its version; one that has a target stays."""
        job = self.journal.job(job_id)
        if job.target is None and TAG in job.intent and job.state is JobState.OPEN:
            self.journal.roll_back(job_id)
            self.journal.end_roll_back(job_id)
            self.journal.forget(job_id)

    def finalize(self, job_id: str) -> Job:
        """Drop the envelopes before; see :func:`finalize`."""
        return finalize(self.journal, job_id)

    def roll_back(self, job_id: str, work: Work = _NO_WORK) -> RollBack:
        """Bring every envelope before back that opens, in a job that is not finalised.

        A record whose envelope before does not open keeps the new one and is named; the job stays
        to be rolled back, so that it can be tried again. The key version that was made stays.

        The vaults whose keys the envelopes before need have to be open; that of a migration to
        which the records went need not.

        Raises:
            InvalidStateError: the job is finalised.
            NotFoundError: there is no such job, or a vault that it needs is not open; nothing was
                changed.
        """
        self._require_home(self.journal.job(job_id))
        job = self.journal.roll_back(job_id)
        restored, failed = 0, []
        records = self._core.records.find(Query(job=job_id))
        for outcome in stream(self._restore, records, workers=self._threads(work)):
            record_id, error = outcome.result()
            if error is None:
                restored += 1
            else:
                failed.append((record_id, error))
        if not failed:
            job = self.journal.end_roll_back(job_id)
        return RollBack(job, restored, tuple(failed))

    def _require_home(self, job: Job) -> None:
        """Refuse to roll back where every envelope before would fail to open."""
        try:
            sources = sources_of(job)
        except IntegrityError:
            # Nothing tells which vaults it takes; every envelope is opened before it is back.
            return
        away = sorted(
            str(key)
            for key in {each.versionless for each in sources}
            if key.scheme != IN_RECORDS
            and not any(_is_home(vault, job, key) for vault in self._vaults)
        )
        if away and self._core.records.count(Query(job=job.id)):
            raise NotFoundError(
                f"to roll job {job.id} back takes the vault of {', '.join(away)}, which is not "
                "open",
                remedy="name the vault that the records came from by --vault URI",
            )

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
        if job is not None and rows:
            self._check(job, {old: new for old, new in pairs if new is not None})
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
                f"since job {job_id} was done, records have come under the old versions: {late}",
                remedy="go on with the job, and then finalise it",
            )
    return journal.finalize(job_id)


def plan(journal: Journal, job: Job) -> int:
    """Make an item of every record that is to be wrapped anew, and say how many are new."""
    return sum(journal.plan(job.id, Query(key=version)) for version in sources_of(job))


def _is_home(vault: Vault, job: Job, key: KeyId) -> bool:
    """Whether a vault has a key, or an alias for one of the versions that a job is about."""
    return vault.is_home_of(key) or any(
        each.versionless == key and each in vault.aliases for each in sources_of(job)
    )
