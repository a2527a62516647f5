"""Migration: every record under the keys of the hierarchy's vaults goes under another vault's."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any, Final

import attrs

from keyhier.errors import (
    ConflictError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnsupportedError,
)
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.job_targets import (
    FROM,
    MIGRATE,
    MOVE,
    NOT_NAMED,
    TO,
    going_to,
    mistrusted,
    require_kind,
    sources_of,
)
from keyhier.hierarchy.key_move import move_key, require_movable
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.hierarchy.rewrap_jobs import Preview, RewrapJobs
from keyhier.hierarchy.work import JobReport, Work
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.records.jobs import Job
from keyhier.vault import Vault

__all__ = ["KeyMap", "Migration"]

_VAULT: Final = "vault"
_LISTED: Final = 5

KeyMap = Mapping[str, str]
"""By the name or id of a key what it is called in the other vault."""


class Migration:
    """Moves the records of a hierarchy to the keys of another vault, which is open beside its own.

    The keys themselves stay where they are unless they are to be moved, and plaintext is in memory
    for one record of each thread, or for one key, at a time.

    Attributes:
        jobs: the jobs, whose keys may be in either vault.
    """

    def __init__(
        self, core: Core, to: Vault, key_map: KeyMap | None = None, *, move_keys: bool = False
    ) -> None:
        """Put it together; nothing is asked of a vault yet.

        Args:
            core: the hierarchy.
            to: the other vault.
            key_map: which key goes under which; by default one of the same name.
            move_keys: whether the keys themselves go there, too.
        """
        self._core = core
        self._to = to
        self._key_map = dict(key_map or {})
        self._move_keys = move_keys
        self.jobs = RewrapJobs(core, to, self._targets, self._move, self._require_newest)

    def run(self, work: Work) -> JobReport:
        """Migrate, or go on with the migration to this vault that has not ended.

        Raises:
            NotFoundError: a key has no counterpart in the other vault; nothing was begun.
            ConflictError: another job works on one of the keys.
            IntegrityError: the migration that has not ended is another one than this.
        """
        job = self._open_job() or self.jobs.begin(self._new_job())
        return self.jobs.resume(job.id, work)

    def preview(self) -> Preview:
        """Say what :meth:`run` would do, and change nothing."""
        job = self._open_job()
        planned = job or self._new_job()
        if self._move_keys and TO not in planned.intent:
            return self.jobs.preview(((source, None) for source in sources_of(planned)), job)
        return self.jobs.preview(self._targets(planned).items(), job)

    def _open_job(self) -> Job | None:
        for job in self.jobs.journal.jobs(ended=False):
            if job.kind == MIGRATE and job.options.get(_VAULT) == self._to.uri:
                return job
        return None

    def _targets(self, job: Job) -> Mapping[KeyId, KeyId]:
        """Return what a job's records go under, where that is what the key map says.

        No vault is asked, so that a migration that is done needs none.
        """
        require_kind(job, MIGRATE)
        sources, targets = sources_of(job), going_to(job)
        if len(targets) != len(sources):
            raise mistrusted(job, NOT_NAMED)
        found = dict(zip(sources, targets, strict=True))
        for source, target in found.items():
            wanted = self._version_there(source) or self._id_there(source)
            going = target if wanted.version else target.versionless
            if source.scheme == IN_RECORDS or going != wanted:
                raise mistrusted(
                    job,
                    f"what needs {source.versionless} under {going}, and it was asked "
                    f"to go under {wanted}",
                    "give the vault and the key map that it was begun with",
                )
        return found

    def _name_of(self, source: KeyId) -> str:
        """Return what a key is called in the other vault."""
        named = self._key_map
        return named.get(str(source.versionless)) or named.get(source.name) or source.name

    def _id_there(self, source: KeyId) -> KeyId:
        """Return what is asked for in place of a key, without a version; no vault is asked."""
        return self._to.id_of(self._name_of(source))

    def _version_there(self, source: KeyId) -> KeyId | None:
        """Return the exact version that is asked for in place of a key, where it is one."""
        name = self._name_of(source)
        found = KeyId.parse(name) if ":" in name else None
        return found if found is not None and found.version else None

    def _require_newest(self, job: Job, targets: Mapping[KeyId, KeyId]) -> None:
        """Refuse to put records under an older version of the right key, unless it is named."""
        for source, target in targets.items():
            if (
                self._version_there(source) is None
                and self._to.key(target.versionless).id != target
            ):
                raise mistrusted(
                    job,
                    f"what needs {source.versionless} under {target}, which is not the newest "
                    "version in the vault that was given",
                    "give the vault that it was begun with, or name that version in the key map",
                )

    # ------------------------------------------------------------------ new jobs

    def _new_job(self) -> Job:
        if self._move_keys:
            return self._new_move()
        targets: dict[KeyId, Key] = {}
        missing: list[str] = []
        for source in sorted(self._sources()):
            name = self._name_of(source)
            try:
                targets[source] = self._to.key(name)
            except NotFoundError:
                missing.append(f"{name} for {source.versionless}")
        if missing:
            more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
            raise NotFoundError(
                f"the other vault lacks {', '.join(sorted(set(missing))[:_LISTED])}{more}",
                remedy="make the keys there first, or name others in the key map",
            )
        there = [target.id for target in targets.values()]
        return self._job(list(targets), there, {TO: [str(target) for target in there]})

    def _new_move(self) -> Job:
        sources = sorted(self._sources())
        for source, following in pairwise(sources):
            if source.versionless == following.versionless:
                raise UnsupportedError(
                    f"one version of a key can be moved, and records need or may need several of "
                    f"{source.versionless}",
                    remedy="rotate the key first, and finalise that job",
                )
        for source in sources:
            if self._version_there(source) is not None:
                raise InvalidInputError(
                    f"{source.versionless} gets a version of its own where it is moved to",
                    remedy="map it to a name",
                )
            require_movable(self._key(source), self._to, self._id_there(source))
        return self._job(sources, [self._id_there(source) for source in sources], {MOVE: True})

    def _job(self, sources: list[KeyId], there: list[KeyId], intent: dict[str, Any]) -> Job:
        if not sources:
            raise NotFoundError("no record needs a key that is not in the other vault already")
        return Job(
            kind=MIGRATE,
            keys=tuple(sorted({str(key.versionless) for key in (*sources, *there)})),
            intent={FROM: [str(source) for source in sources], **intent},
            options={_VAULT: self._to.uri},
        )

    def _move(self, job: Job) -> Job:
        """Move the keys of a job that is to, unless that is noted as done."""
        moves = job.kind == MIGRATE and bool(job.intent.get(MOVE))
        if moves and not self._move_keys:
            raise InvalidStateError(
                f"job {job.id} moves the keys themselves", remedy="say that they are to be moved"
            )
        while moves and TO not in job.intent:
            moved = [
                move_key(self._key(source), self._to, self._id_there(source)).id
                for source in sources_of(job)
            ]
            intent = {**job.intent, TO: [str(target) for target in moved]}
            try:
                job = self.jobs.journal.update(attrs.evolve(job, intent=intent))
            except ConflictError:
                # Somebody else works on the same job, and was first.
                job = self.jobs.journal.job(job.id)
        return job

    def _key(self, source: KeyId) -> Key:
        return self._core.keyring.vaults.key(source)

    def _sources(self) -> set[KeyId]:
        """Return the exact versions that records need, or may get while the work goes on.

        Two vaults in memory name their keys alike, so only a version tells whose a key is.
        """
        needed = {row.key for row in self._core.records.census(by_vm=False) if not row.kept}
        found: set[KeyId] = set()
        for version in needed:
            if version.scheme == IN_RECORDS or self._is_there(version):
                continue
            found.add(version)
            try:
                found.add(self._core.keyring.latest(version).id)
            except NotFoundError:
                # Its records will be named, each as one whose key is gone.
                continue
        return found

    def _is_there(self, key: KeyId) -> bool:
        try:
            self._to.key(key)
        except NotFoundError:
            return False
        return True
