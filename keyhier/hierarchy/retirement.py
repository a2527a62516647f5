"""Retiring a key version: never before nothing needs it, and nothing can begin to."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import attrs

from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.hierarchy.census import Census, take_census
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.encryption_set import EncryptionSet
from keyhier.hierarchy.encryption_sets import EncryptionSets
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.identifiers import KeyId
from keyhier.records.protocol import SupportsJournal, SupportsSets
from keyhier.records.record import RecordState
from keyhier.records.stored import KeyMark, KeyState

__all__ = ["Retirement", "Retiring"]


@attrs.frozen
class Retirement:
    """How far a version's retirement has come.

    Attributes:
        key: the version.
        disabled: whether the vault was told not to use it any more.
        census: who needs it, taken after new uses were stopped; None where that was too early.
        blockers: why it is not disabled yet; empty where it is.
        not_before: when to try again, in UTC by the store's clock, where it is only too early; else
            None.
        deleted: whether the whole key was deleted.
    """

    key: KeyId
    census: Census | None
    disabled: bool = False
    blockers: tuple[str, ...] = ()
    not_before: datetime | None = None
    deleted: bool = False

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "key": str(self.key),
            "disabled": self.disabled,
            "deleted": self.deleted,
            "blockers": list(self.blockers),
            "not_before": self.not_before and self.not_before.isoformat(),
            "census": self.census and self.census.as_dict(),
        }


@attrs.frozen
class Retiring:
    """Retires versions. Every time is the store's clock's, which set the marks."""

    _core: Core

    def retire(self, key: KeyId, *, wait: bool) -> Retirement:
        """Stop new uses of a version, and disable it once nothing needs it."""
        if not key.version:
            raise InvalidInputError(
                f"{key} names no version that could be retired", remedy="say which version"
            )
        self._require_id_of_today(key)
        newest = self._core.keyring.latest(key).id
        if newest == key:
            raise InvalidStateError(
                f"{key} is the latest version of its key", remedy="rotate the key first"
            )
        self._core.keyring.use(key)
        # When this returns, no record gets an envelope under the version any more.
        mark = self._core.key_marks.get(key) or self._core.key_marks.mark(key, KeyState.RETIRING)
        not_before = self._not_before(key, mark.since)
        if mark.state is KeyState.RETIRING and self._now() < not_before:
            if not wait:
                return _too_early(key, not_before)
            while (left := (not_before - self._now()).total_seconds()) > 0:
                time.sleep(left)
        census = take_census(self._core, key)
        blockers = tuple(self._blockers(mark, census))
        if blockers:
            return Retirement(key, census=census, blockers=blockers)
        self._disable(key, census)
        return Retirement(key, census=census, disabled=True)

    def _require_id_of_today(self, key: KeyId) -> None:
        """Refuse an id behind which another version stands, which records may know by its own."""
        if key.scheme == IN_RECORDS:
            return
        found = self._core.keyring.vaults.key(key).id
        if key not in (found, found.versionless):
            raise InvalidStateError(
                f"{key} is known today as {found}",
                remedy="say that one, or open the vault in which the id of old is a key's own",
            )

    def _now(self) -> datetime:
        return self._core.records.now()

    def _ids(self, key: KeyId) -> tuple[KeyId, ...]:
        """Return the ids by which a version may be known: its own, and those of old."""
        return (key, *self._core.keyring.vaults.ids_of_old(key))

    def _not_before(self, key: KeyId, since: datetime) -> datetime:
        """Return when caches, here and elsewhere, and the vault's followers have let it go."""
        policy = self._core.policy
        window = policy.window(key)
        times = [since + timedelta(seconds=max(policy.cache.age, window))]
        for each in self._sets():
            settled = each.settled_at(window)
            if settled is not None and any(map(each.had_key_of, self._ids(key))):
                times.append(settled)
        return max(times)

    def _sets(self) -> list[EncryptionSet]:
        if not isinstance(self._core.records, SupportsSets):
            return []
        return EncryptionSets(self._core).all()

    def _blockers(self, mark: KeyMark, census: Census) -> Iterator[str]:
        key = mark.key
        for known in self._ids(key):
            # A tag without a version may mean any.
            named = {*census.of(known).ade, *census.of(known.versionless).ade}
            for reason in attrs.evolve(census.of(known), ade=tuple(named)).reasons():
                yield reason if known == key else f"{reason} by its id of old, {known}"
            for each in self._sets():
                because = each.needs(known, self._core.policy.window(key), self._now())
                if because is not None:
                    yield because
        for source in census.sources:
            if not source.complete:
                yield f"the census is not complete: {source.source}: {source.reason}"
        # A job that began after the version was disabled has none of its records.
        retiring = mark.state is KeyState.RETIRING
        if retiring and isinstance(self._core.records, SupportsJournal):
            # A worker's lease ends with its job.
            names = {str(each.versionless) for each in self._ids(key)}
            for job in self._core.journal.jobs(ended=False):
                if names.intersection(job.keys):
                    yield f"the job {job.id} works on the key and has not ended"

    def _disable(self, key: KeyId, census: Census) -> None:
        if key.scheme == IN_RECORDS:
            record = self._core.keyring.record(key)
            if record.state is not RecordState.RETIRED:
                self._core.records.replace(attrs.evolve(record, state=RecordState.RETIRED))
        else:
            found = self._core.keyring.vaults.key(key)
            if found.enabled:
                found.disable()
        self._core.keyring.forget(key)
        sources = [source.source for source in census.sources]
        self._core.key_marks.mark(key, KeyState.DISABLED, {"census": "zero", "sources": sources})

    def reinstate(self, key: KeyId) -> None:
        """Use a version again that was being retired, or was disabled by that."""
        self._require_id_of_today(key)
        if self._core.key_marks.get(key) is None:
            raise InvalidStateError(f"{key} is not being retired")
        if key.scheme == IN_RECORDS:
            record = self._core.keyring.record(key)
            if record.state is RecordState.RETIRED:
                self._core.records.replace(attrs.evolve(record, state=RecordState.ACTIVE))
        else:
            found = self._core.keyring.vaults.key(key)
            if not found.enabled:
                found.enable()
        self._core.key_marks.unmark(key)

    def delete(self, key: KeyId, *, confirm: str) -> Retirement:
        """Delete a key of a vault with all its versions, none of which anything needs."""
        if confirm != key.name:
            raise InvalidInputError(
                f"to delete {key.versionless} with all its versions, give its name again"
            )
        if key.scheme == IN_RECORDS:
            raise InvalidInputError(
                "KEKs in records are not deleted", remedy="retired ones open nothing any more"
            )
        self._require_id_of_today(key)
        found = self._core.keyring.vaults.latest(key)
        for version in found.versions():
            mark = self._core.key_marks.get(version.id)
            # The latest version can be retired by nothing else than the end of the key.
            if version.id != found.id and (mark is None or mark.state is not KeyState.DISABLED):
                raise InvalidStateError(
                    f"{version.id} was not retired", remedy="retire every version first"
                )
        mark = self._core.key_marks.get(found.id) or self._core.key_marks.mark(
            found.id, KeyState.RETIRING
        )
        not_before = self._not_before(found.id, mark.since)
        if self._now() < not_before:
            return _too_early(found.id, not_before)
        census = take_census(self._core, key.versionless)
        needed = [each.key for each in census.versions if not each.is_zero]
        if needed or not census.complete:
            reasons = [f"{each} is needed" for each in needed]
            reasons += [
                f"{each.source} told not all: {each.reason}"
                for each in census.sources
                if not each.complete
            ]
            raise InvalidStateError(f"{key.versionless} is not deleted: {'; '.join(reasons)}")
        found.delete(confirm=confirm)
        self._core.keyring.forget(key.versionless)
        return Retirement(found.id, census, deleted=True)


def _too_early(key: KeyId, not_before: datetime) -> Retirement:
    text = f"what knows the version may use it until {not_before:%Y-%m-%d %H:%M:%S} UTC"
    return Retirement(key, census=None, blockers=(text,), not_before=not_before)
