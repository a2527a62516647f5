"""The encryption sets of a hierarchy: made, changed, observed; disks that join and leave."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import attrs

from keyhier.algorithms import KeyType
from keyhier.azure_disk.set_resource import EncryptionType
from keyhier.errors import (
    CapacityError,
    ConflictError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
)
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.encryption_set import EncryptionSet, RotationError, Sighting
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.hierarchy.reference import KeyReference
from keyhier.hierarchy.set_document import from_stored, to_stored
from keyhier.hierarchy.set_placement import judge_set
from keyhier.hierarchy.work import JobReport
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.placement.arm_id import ArmId
from keyhier.placement.place import NOWHERE, Placement
from keyhier.records.record import Query, Record, RecordKind

__all__ = ["EncryptionSets", "Observation"]

MAX_SETS: Final = 5_000
"""Sets in one region and subscription
(https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits).
"""

_MAX_SIGHTINGS: Final = 32
_ATTEMPTS: Final = 5


@attrs.frozen
class Observation:
    """What came of looking at a set's key.

    Attributes:
        set: the set as it is now.
        moved_from: the version before, where the latest is another one now; else None.
        settled_at: when everything that follows the key has the active version, in UTC; None where
            it never changed.
        rotation: the job that wraps the set's records anew where the version changed, or None.
    """

    set: EncryptionSet
    moved_from: KeyId | None
    settled_at: datetime | None
    rotation: JobReport | None = None


@attrs.frozen
class EncryptionSets:
    """The sets that a hierarchy's store keeps; a hierarchy's ``sets``."""

    _core: Core

    def create(
        self,
        name: str,
        reference: KeyReference,
        *,
        encryption_type: EncryptionType = EncryptionType.CUSTOMER_KEY,
        placement: Placement = NOWHERE,
    ) -> EncryptionSet:
        """Make a set, after its key was looked at.

        Raises:
            InvalidInputError: the name is malformed, or the key is not RSA or not in a vault.
            InvalidStateError: the key is disabled, or not valid now.
            NotFoundError: there is no such key.
            PlacementError: the key is where the set may not have one; no key was used.
            AlreadyExistsError: there is a set of that name.
        """
        return self.add(
            EncryptionSet(
                name=name,
                reference=reference,
                active=reference.key,
                encryption_type=encryption_type,
                placement=placement,
            )
        )

    def add(self, wanted: EncryptionSet) -> EncryptionSet:
        """Keep a set as it was described elsewhere, such as in ARM's JSON.

        Raises:
            CapacityError: Azure allows no more sets in its region and subscription.
            InvalidInputError, InvalidStateError, NotFoundError, PlacementError,
            AlreadyExistsError: as :meth:`create`.
        """
        self._require_room(wanted)
        checked = self._with_key(wanted, wanted.reference)
        return from_stored(self._core.sets.add(to_stored(attrs.evolve(checked, generation=0))))

    def require_allowed(self, wanted: EncryptionSet) -> None:
        """Raise unless a set may be as it is described, before a vault is asked for its key.

        A set that is kept already takes no more room.

        Raises:
            CapacityError, InvalidInputError, PlacementError: as :meth:`add`.
        """
        if all(each.name != wanted.name for each in self.all()):
            self._require_room(wanted)
        for key in (wanted.reference.key, wanted.active):
            self._judged(wanted, key)

    def _require_room(self, wanted: EncryptionSet) -> None:
        place = (wanted.placement.region, wanted.placement.subscription)
        if wanted.id is None:
            return
        neighbours = sum(
            (each.placement.region, each.placement.subscription) == place for each in self.all()
        )
        if neighbours >= MAX_SETS:
            raise CapacityError(
                f"there are {neighbours} sets in this region and subscription, the most of Azure's"
            )

    def get(self, name: str) -> EncryptionSet:
        """Return a set.

        Raises:
            NotFoundError: there is none of that name.
            IntegrityError: what is kept cannot be read.
        """
        return from_stored(self._core.sets.get(name))

    def judged(self, name: str, version: KeyId | None = None) -> EncryptionSet:
        """Return a set whose key is about to be used, once its placement was looked at again.

        Vaults, aliases and rules may be others than when the set was made. What is broken and
        allowed is noted in the set.

        Args:
            name: the set's name.
            version: the version of its key that is to be used; by default its active one.

        Raises:
            NotFoundError, IntegrityError: as :meth:`get`.
            PlacementError: its key is where it may not have one; no vault was asked.
        """
        found = self.get(name)
        if self._core.policy.placement is None:
            return found
        if self._judged(found, version or found.active) == found.warnings:
            return found
        return self._change(
            name,
            lambda now: attrs.evolve(now, warnings=self._judged(now, version or now.active)),
        ).set

    def all(self, key: KeyId | None = None) -> list[EncryptionSet]:
        """Return the sets by name: all, or those that refer to a key in any version."""
        return [from_stored(stored) for stored in self._core.sets.all(key)]

    def refer(
        self, name: str, reference: KeyReference, *, vault_id: ArmId | None = None
    ) -> Observation:
        """Let a set refer to another version, another key, or the latest version.

        Args:
            name: the set's name.
            reference: what it is to refer to.
            vault_id: the ARM id of the key's vault, where that is another one than before and in
                the set's subscription.

        Raises:
            InvalidInputError, InvalidStateError, NotFoundError, PlacementError: as
                :meth:`create`; then the set is as it was.
        """
        return self._change(
            name, lambda found: self._moved(_in_vault(found, reference.key, vault_id), reference)
        )

    def delete(self, name: str) -> None:
        """Delete a set that no disk is in.

        Raises:
            NotFoundError: there is none of that name.
            InvalidStateError: there are disks in it.
        """
        self._core.sets.delete(self._core.sets.get(name))

    # ------------------------------------------------------------------ disks

    def join(self, name: str, record: Record) -> Record:
        """Take a disk into a set.

        Args:
            name: the set's name.
            record: the disk's, see :meth:`Hierarchy.find`.

        Raises:
            NotFoundError: there is no such set.
            InvalidInputError: the record is not of a disk.
            InvalidStateError: the disk is in another set, or its key is not under the set's.
            ConflictError: the record was changed since it was read.
        """
        joined = self.get(name)
        if record.kind is not RecordKind.VOLUME_KEY:
            raise InvalidInputError(f"the record {record.id} is not of a disk")
        if record.set == name:
            return record
        if record.set is not None:
            raise InvalidStateError(
                f"the disk of record {record.id} is in the set {record.set!r}",
                remedy="a disk is in one set; let it leave that one first",
            )
        self.require_under(record.key, joined)
        return self._core.records.replace(attrs.evolve(record, set=name))

    def leave(self, record: Record) -> Record:
        """Take a disk out of its set; its key stays where it is.

        Raises:
            ConflictError: the record was changed since it was read.
        """
        if record.set is None:
            return record
        return self._core.records.replace(attrs.evolve(record, set=None))

    def require_under(self, key: KeyId, joined: EncryptionSet) -> KeyId:
        """Return the version of a set's key that a KEK is or lies under.

        Raises:
            InvalidStateError: it is not under the set's key in any version.
        """
        root = self._core.keyring.chain(key)[-1]
        if root.versionless != joined.active.versionless:
            raise InvalidStateError(
                f"{key} is not under the key of the set {joined.name}, {joined.active.versionless}",
                remedy="wrap it again under the set's key first",
            )
        return root

    # ------------------------------------------------------------------ the key

    def observe(self, name: str) -> Observation:
        """Resolve a set's reference, and note the version that it means and when it was seen.

        Where the latest version is another one than before, the set uses it from now on, and keeps
        the one before among its previous keys until no record needs that any more. Where it cannot
        be used, the set stays as it is and says why in its ``rotation_error``.

        Raises:
            NotFoundError: there is no such set.
        """
        return self._change(name, self._observed)

    def _change(self, name: str, change: Callable[[EncryptionSet], EncryptionSet]) -> Observation:
        """Change a set, again where somebody else was first."""
        for _ in range(_ATTEMPTS):
            before = self.get(name)
            after = change(before)
            try:
                kept = from_stored(self._core.sets.replace(to_stored(after)))
            except ConflictError:
                continue
            window = self._core.policy.window(kept.active)
            moved = before.active if kept.active != before.active else None
            return Observation(kept, moved, kept.settled_at(window))
        raise ConflictError(f"the encryption set {name!r} is changed all the time")

    def _observed(self, found: EncryptionSet) -> EncryptionSet:
        found = self._settled(found)
        try:
            return self._moved(found, found.reference)
        except KeyhierError as error:
            # As Azure does: the set stays with the version that it has, and says why.
            failure = RotationError(type(error).__name__.removesuffix("Error"), error.message)
            return attrs.evolve(found, rotation_error=failure)

    def _settled(self, found: EncryptionSet) -> EncryptionSet:
        """Return the set without the previous keys that no record needs any more."""
        needed = tuple(
            key
            for key in found.previous
            if self._core.records.count(Query(key=key))
            or self._core.records.count(Query(kept_under=key))
        )
        return attrs.evolve(found, previous=needed)

    def _moved(self, found: EncryptionSet, reference: KeyReference) -> EncryptionSet:
        checked = self._with_key(found, reference)
        if checked.active == found.active:
            return checked
        previous = (*(key for key in found.previous if key != checked.active), found.active)
        return attrs.evolve(checked, previous=previous, last_rotation=self._core.records.now())

    def _with_key(self, wanted: EncryptionSet, reference: KeyReference) -> EncryptionSet:
        """Return the set with the version that a reference means today, if it may use that."""
        wanted = attrs.evolve(wanted, reference=reference)
        # Before the vault is asked for anything.
        self._judged(wanted, reference.key)
        key = self._core.keyring.vaults.key(reference.key)
        # An alias is of an exact version, so the latest may have one that leads elsewhere.
        warnings = self._judged(wanted, key.id)
        _require_fit(key)
        now = self._core.records.now()
        seen = {each.key: each for each in wanted.sightings}
        first = seen[key.id].first if key.id in seen else now
        seen[key.id] = Sighting(key.id, first, now)
        return attrs.evolve(
            wanted,
            active=key.id,
            rotation_error=None,
            warnings=warnings,
            vault_id=wanted.vault_id if _same_vault(key.id, reference.key) else None,
            sightings=tuple(seen.values())[-_MAX_SIGHTINGS:],
        )

    def _judged(self, wanted: EncryptionSet, key: KeyId) -> tuple[str, ...]:
        """Return what is to be noted of a set and a key, wherever that may be by now."""
        if key.scheme == IN_RECORDS:
            raise InvalidInputError(
                "the key of a set is one of a vault, and not one in a record",
                remedy="refer to the key at the root; disks may be under a KEK below it",
            )
        keys = self._core.keyring.vaults.ids_of(key)
        return judge_set(self._core.policy.placement, wanted, keys)


def _in_vault(found: EncryptionSet, key: KeyId, vault_id: ArmId | None) -> EncryptionSet:
    """Return a set with the id of its key's vault; that of a vault before is none of this one."""
    if vault_id is None and _same_vault(key, found.reference.key):
        return found
    return attrs.evolve(found, vault_id=vault_id)


def _same_vault(key: KeyId, other: KeyId) -> bool:
    return (key.scheme, key.vault) == (other.scheme, other.vault)


def _require_fit(key: Key) -> None:
    """Refuse what no set can use; Azure's take RSA of 2048, 3072 and 4096 bits and nothing else."""
    if key.spec.key_type is not KeyType.RSA:
        raise InvalidInputError(
            f"{key.id} is {key.spec}, and the key of a set is RSA",
            remedy="refer to an RSA key of 2048, 3072 or 4096 bits",
        )
    if not key.enabled:
        raise InvalidStateError(f"{key.id} is disabled", remedy="enable it, or use another")
    now = datetime.now(UTC)
    if (key.expires and now >= key.expires) or (key.not_before and now < key.not_before):
        raise InvalidStateError(f"{key.id} is not valid now", remedy="rotate the key")
