"""PlannedSets: Azure's encryption sets into a hierarchy's records, when a plan is applied."""

from __future__ import annotations

from datetime import UTC, datetime

import attrs

from keyhier.azure_disk.set_resource import SetResource
from keyhier.errors import AlreadyExistsError, NotFoundError
from keyhier.hierarchy.encryption_set import EncryptionSet
from keyhier.hierarchy.encryption_sets import EncryptionSets
from keyhier.hierarchy.set_arm import from_resource

__all__ = ["PlannedSets"]


@attrs.frozen
class PlannedSets:
    """What :func:`keyhier.plans.apply_set` keeps sets with.

    Attributes:
        sets: those of the hierarchy, whose vault is the plan's.
    """

    sets: EncryptionSets

    def require_allowed(self, planned: SetResource, before: SetResource | None) -> None:
        """Raise what stands in the way of keeping a set, before its key is made.

        Args:
            planned: the set as it will be.
            before: the set as it is now, or None where it is made.

        Raises:
            AlreadyExistsError: the records have another set of that name.
            PlacementError: its key would be where the hierarchy's policy does not allow it.
            CapacityError: Azure allows no more sets in its region and subscription.
        """
        wanted = from_resource(planned)
        known = self._known(wanted)
        if known is not None:
            expected = {each.key.versionless for each in (planned, before) if each is not None}
            same = known.id == wanted.id and known.encryption_type is wanted.encryption_type
            if not same or known.active.versionless not in expected:
                raise AlreadyExistsError(
                    f"the records have another encryption set {known.name!r}:"
                    f" {known.id or 'without an id'}, with the key {known.active}",
                    remedy="name other records, or give the set another name",
                )
        self.sets.require_allowed(wanted)

    def keep(self, planned: SetResource, before: SetResource | None) -> None:
        """Keep a set as it is planned, whose key is there now; a set that is kept is changed.

        Raises:
            As :meth:`require_allowed`, and what :meth:`EncryptionSets.add` raises.
        """
        wanted = from_resource(planned)
        if self._known(wanted) is not None:
            self.sets.refer(wanted.name, wanted.reference, vault_id=wanted.vault_id)
            return
        if before is not None and before.key != planned.key:
            # Until the rotation is done, Azure needs both versions.
            wanted = attrs.evolve(wanted, previous=(before.key,), last_rotation=datetime.now(UTC))
        self.sets.add(wanted)

    def _known(self, wanted: EncryptionSet) -> EncryptionSet | None:
        try:
            return self.sets.get(wanted.name)
        except NotFoundError:
            return None
