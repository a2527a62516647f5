"""Migration: every record under the keys of the hierarchy's vaults goes under another vault's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keyhier.errors import NotFoundError
from keyhier.hierarchy.chain_keyring import IN_RECORDS
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.job_targets import FROM, MIGRATE, TO, mistrusted, require_kind, sources_of
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

    The keys themselves stay where they are, and plaintext is in memory for one record of each
    thread at a time.

    Attributes:
        jobs: the jobs, whose keys may be in either vault.
    """

    def __init__(self, core: Core, to: Vault, key_map: KeyMap | None = None) -> None:
        """Put it together; nothing is asked of a vault yet.

        Args:
            core: the hierarchy.
            to: the other vault.
            key_map: which key goes under which; by default one of the same name.
        """
        self._core = core
        self._to = to
        self._key_map = dict(key_map or {})
        self.jobs = RewrapJobs(core, to, self._targets)

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
        return self.jobs.preview(self._targets(job or self._new_job()).items(), job)

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
        targets = [KeyId.parse(text) for text in job.intent[TO]]
        found = dict(zip(sources_of(job), targets, strict=True))
        for source, target in found.items():
            name = self._name_of(source)
            wanted = self._to.id_of(name)
            if source.scheme == IN_RECORDS or target.versionless != wanted:
                raise mistrusted(
                    job,
                    f"what needs {source.versionless} under {target.versionless}, and it was asked "
                    f"to go under {wanted}",
                    "give the vault and the key map that it was begun with",
                )
        return found

    def _name_of(self, source: KeyId) -> str:
        """Return what a key is called in the other vault."""
        named = self._key_map
        return named.get(str(source.versionless)) or named.get(source.name) or source.name

    def _new_job(self) -> Job:
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
        keys = {str(key.versionless) for key in targets}
        if not keys:
            raise NotFoundError("no record needs a key that is not in the other vault already")
        keys |= {str(key.id.versionless) for key in targets.values()}
        return Job(
            kind=MIGRATE,
            keys=tuple(sorted(keys)),
            intent={
                FROM: [str(source) for source in targets],
                TO: [str(key.id) for key in targets.values()],
            },
            options={_VAULT: self._to.uri},
        )

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
