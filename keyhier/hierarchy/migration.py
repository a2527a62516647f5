"""Migration: every record under the keys of the hierarchy's vaults goes under another vault's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from keyhier.errors import NotFoundError
from keyhier.hierarchy.chain_keyring import IN_RECORDS
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.rewrap_jobs import FROM, TO, Preview, RewrapJobs, targets_of
from keyhier.hierarchy.work import JobReport, Work
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.records.jobs import Job
from keyhier.vault import Vault

__all__ = ["MIGRATE", "KeyMap", "Migration"]

MIGRATE: Final = "migrate"
"""The kind of these jobs."""

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

    def __init__(self, core: Core, to: Vault) -> None:
        """Put it together; nothing is asked of a vault yet."""
        self._core = core
        self._to = to
        self.jobs = RewrapJobs(core, core.keyring.beside(to))

    def run(self, key_map: KeyMap | None, work: Work) -> JobReport:
        """Migrate, or go on with the migration to this vault that has not ended.

        Args:
            key_map: which key goes under which; by default one of the same name.
            work: how.

        Raises:
            NotFoundError: a key has no counterpart in the other vault; nothing was begun.
            ConflictError: another job works on one of the keys.
        """
        job = self._open_job() or self.jobs.begin(self._new_job(key_map))
        return self.jobs.resume(job.id, work)

    def preview(self, key_map: KeyMap | None) -> Preview:
        """Say what :meth:`run` would do, and change nothing."""
        job = self._open_job()
        return self.jobs.preview(targets_of(job or self._new_job(key_map)).items(), job)

    def _open_job(self) -> Job | None:
        for job in self.jobs.journal.jobs(ended=False):
            if job.kind == MIGRATE and job.options.get(_VAULT) == self._to.uri:
                return job
        return None

    def _new_job(self, key_map: KeyMap | None) -> Job:
        named = dict(key_map or {})
        targets: dict[KeyId, Key] = {}
        missing: list[str] = []
        for source in sorted(self._sources()):
            name = named.get(str(source.versionless)) or named.get(source.name) or source.name
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
