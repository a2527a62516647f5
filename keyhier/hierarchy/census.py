"""Census: who still needs which version of a key."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from keyhier.errors import InvalidInputError, KeyhierError, UnsupportedError
from keyhier.hierarchy.census_source import SourceResult
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.set_document import from_stored
from keyhier.identifiers import KeyId
from keyhier.records.protocol import SupportsSets
from keyhier.vault import Vault

__all__ = ["Census", "VersionCount", "take_census"]

# The tag of an Azure Disk Encryption secret that names the key which wrapped it.
_ADE_KEK_TAG: Final = "DiskEncryptionKeyEncryptionKeyURL"
_MOST_NAMED: Final = 20


@attrs.frozen
class VersionCount:
    """How much needs one key version.

    Attributes:
        key: the version.
        records: how many records' envelopes need it.
        kept: how many envelopes before, which a job has left, need it.
        by_set: of both, how many by set; None for those in no set.
        by_vm: of both, how many by machine; None for those of none, such as KEKs.
        sets: the sets that use it.
        ade: Azure Disk Encryption's secrets whose tags name it.
    """

    key: KeyId
    records: int = 0
    kept: int = 0
    by_set: Mapping[str | None, int] = attrs.field(factory=dict)
    by_vm: Mapping[str | None, int] = attrs.field(factory=dict)
    sets: tuple[str, ...] = ()
    ade: tuple[str, ...] = ()

    @property
    def is_zero(self) -> bool:
        """Whether nothing needs it."""
        return not (self.records or self.kept or self.sets or self.ade)

    def reasons(self) -> list[str]:
        """Say what needs it, but for the sets, each of which knows why."""
        found = []
        if self.records:
            found.append(f"{_counted(self.records, 'record needs', 'records need')} it")
        if self.kept:
            kept = _counted(self.kept, "envelope before needs", "envelopes before need")
            found.append(f"{kept} it, until the job that kept it is finalised")
        if self.ade:
            secrets = _counted(len(self.ade), "secret", "secrets")
            found.append(f"the tags of {secrets} of Azure Disk Encryption name it")
        return found


def _counted(number: int, one: str, several: str) -> str:
    return f"1 {one}" if number == 1 else f"{number} {several}"


@attrs.frozen
class Census:
    """What needs a key, by its versions.

    Attributes:
        key: the key, or the one version, that was asked for.
        versions: the counts of every version that anything needs, and of the one asked for.
        sources: what was asked.
    """

    key: KeyId
    versions: tuple[VersionCount, ...]
    sources: tuple[SourceResult, ...]

    @property
    def complete(self) -> bool:
        """Whether every source told all it has."""
        return all(source.complete for source in self.sources)

    def of(self, version: KeyId) -> VersionCount:
        """Return the count of one version; nothing needs one that is not among the counts."""
        return next((each for each in self.versions if each.key == version), VersionCount(version))

    @property
    def is_zero(self) -> bool:
        """Whether nothing that was found needs any of it; see :attr:`complete`, too."""
        return all(each.is_zero for each in self.versions)

    def as_dict(self) -> dict[str, Any]:
        """Return the census for JSON."""
        return {
            "key": str(self.key),
            "complete": self.complete,
            "zero": self.is_zero,
            "versions": [
                {
                    "key": str(each.key),
                    "records": each.records,
                    "kept": each.kept,
                    "by_set": {name or "": count for name, count in each.by_set.items()},
                    "by_vm": {name or "": count for name, count in each.by_vm.items()},
                    "sets": list(each.sets),
                    "ade_secrets": list(each.ade),
                }
                for each in self.versions
            ],
            "sources": [
                {"source": each.source, "complete": each.complete, "reason": each.reason}
                for each in self.sources
            ],
        }


def take_census(core: Core, key: KeyId) -> Census:
    """Ask every source who needs a key; see :meth:`Hierarchy.census`."""
    # A key that moved is needed by what knows it by its id of today, or by any id of old.
    vaults = core.keyring.vaults
    today = (key, *vaults.ids_of(key))
    asked = dict.fromkeys((*today, *(old for each in today for old in vaults.ids_of_old(each))))
    rows = tuple(row for each in asked for row in core.records.census(each))
    sources = [SourceResult(core.records.url, rows=rows)]
    for each in asked:
        if each.scheme == "https":
            # Only Azure Disk Encryption names keys outside of the records, and only Key Vault's.
            sources += [_ade_secrets(vault, each) for vault in core.vaults]
        sources += [other(each) for other in core.policy.sources]
    used: dict[KeyId, list[str]] = {}
    for each in asked:
        used |= _used_by_sets(core, each)
    found = {row.key for source in sources for row in source.rows}
    found |= {version for source in sources for version in source.ade} | set(used)
    if key.version:
        found.add(key)
    versions = (_count(version, sources, used.get(version, ())) for version in sorted(found))
    return Census(key, tuple(versions), tuple(sources))


def _count(version: KeyId, sources: Iterable[SourceResult], sets: Iterable[str]) -> VersionCount:
    records = kept = 0
    by_set: Counter[str | None] = Counter()
    by_vm: Counter[str | None] = Counter()
    ade: list[str] = []
    for source in sources:
        ade += source.ade.get(version, ())
        for row in source.rows:
            if row.key != version:
                continue
            records += 0 if row.kept else row.count
            kept += row.count if row.kept else 0
            by_set[row.set] += row.count
            by_vm[row.vm] += row.count
    return VersionCount(version, records, kept, by_set, by_vm, tuple(sets), tuple(ade))


def _used_by_sets(core: Core, key: KeyId) -> dict[KeyId, list[str]]:
    used: dict[KeyId, list[str]] = {}
    if isinstance(core.records, SupportsSets):
        for stored in core.sets.all():
            found = from_stored(stored)
            for version in {found.active, *found.previous}:
                if key in (version, version.versionless):
                    used.setdefault(version, []).append(found.name)
    return used


def _ade_secrets(vault: Vault, key: KeyId) -> SourceResult:
    source = f"secrets of {vault.uri}"
    named: dict[KeyId, list[str]] = {}
    unclear: list[str] = []
    try:
        for secret in vault.secrets.list():
            # Every version may be what a disk was encrypted with.
            for version in vault.secrets.versions(secret.id.name):
                url = version.tags.get(_ADE_KEK_TAG)
                if not url:
                    continue
                try:
                    used = KeyId.parse(url.removesuffix("/"))
                except InvalidInputError:
                    unclear.append(secret.id.name)
                    continue
                same = used == key if key.version else used.versionless == key.versionless
                if same or used == key.versionless:
                    named.setdefault(used, []).append(secret.id.name)
    except UnsupportedError:
        # A vault that keeps no secrets keeps none of Azure Disk Encryption's.
        return SourceResult(source)
    except KeyhierError as error:
        return SourceResult(source, complete=False, reason=error.message)
    reason = None
    if unclear:
        shown = ", ".join(unclear[:_MOST_NAMED])
        reason = f"tags that name no key, of {len(unclear)} versions: {shown}"
    ade = {used: tuple(dict.fromkeys(names)) for used, names in named.items()}
    return SourceResult(source, not unclear, reason, ade=ade)
