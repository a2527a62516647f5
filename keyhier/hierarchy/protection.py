"""Protecting volumes and recovering their keys."""

from __future__ import annotations

from typing import Final

import attrs

from keyhier.errors import (
    AlreadyExistsError,
    AmbiguousError,
    IntegrityError,
    NotFoundError,
)
from keyhier.hierarchy.context import context_for, context_of
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.hierarchy.set_document import from_stored
from keyhier.hierarchy.volume import Volume
from keyhier.hierarchy.volume_placement import judge_volume, judge_volume_in_set
from keyhier.identifiers import KeyId
from keyhier.records.record import Query, Record, RecordKind, RecordState, new_record_id
from keyhier.secret import Secret, SecretBytes, Wrappable, lent

__all__ = ["WARNINGS", "Protection"]

WARNINGS: Final = "warnings"
"""The name in a record's details of what is noted of its placement, where that is allowed."""


@attrs.frozen
class Protection:
    """Wraps volume keys into records, and opens records."""

    _core: Core

    def protect(
        self,
        volume: Volume,
        volume_key: Secret,
        under: KeyId,
        *,
        replace: bool = False,
        check: bool = True,
    ) -> Record:
        """Keep a volume's key; see :meth:`Hierarchy.protect`."""
        before = self._active(volume)
        if before and not replace:
            raise AlreadyExistsError(
                f"there is a key for {volume} already, in the record {before[0].id}",
                remedy="ask for it to be replaced; the key before is kept, marked as retired",
            )
        policy = self._core.policy
        # Before the vault is asked for the KEK.
        warnings = self._judged(volume, under)
        keyring = self._core.keyring
        kek = keyring.use(under) if under.version else keyring.latest(under)
        context = context_for(new_record_id(), vm=volume.vm, volume=volume.name)
        kind = volume_key.content_type if isinstance(volume_key, Wrappable) else None
        recovery_key = policy.recovery_key
        with _copy(volume_key) as secret:
            wrapped = kek.wrap(secret, context=context, content_type=kind)
            if check:
                with kek.unwrap(wrapped, context=context) as opened:
                    if opened != secret:
                        raise IntegrityError(f"what {kek.id} wrapped opens as something else")
            recovery = None
            if recovery_key is not None:
                kind = wrapped.content_type
                recovery = str(recovery_key.wrap(secret, context=context, content_type=kind))
        record = Record.of(
            wrapped,
            vm=volume.vm,
            volume=volume.name,
            set=volume.set,
            labels=dict(volume.labels),
            details={WARNINGS: list(warnings)} if warnings else {},
            recovery=recovery,
        )
        kept = self._core.records.add(record)[0]
        # The new one is on the disk before the old one is put aside.
        for each in before:
            self._core.records.replace(attrs.evolve(each, state=RecordState.RETIRED))
        return kept

    def _judged(self, volume: Volume, under: KeyId) -> tuple[str, ...]:
        """Return what is to be noted of where a volume's machine is; nothing without a policy."""
        placement = self._core.policy.placement
        if placement is None:
            return ()
        if volume.set is None:
            return judge_volume(placement, volume, self._roots(under))
        joined = from_stored(self._core.sets.get(volume.set))
        keys = [*self._roots(joined.active), *self._roots(under)]
        return judge_volume_in_set(placement, volume, joined, keys)

    def _roots(self, under: KeyId) -> list[KeyId]:
        """Return the ids that the vault's key may have which a KEK is or lies under.

        Only records are read for it.
        """
        keyring = self._core.keyring
        if under.scheme == IN_RECORDS:
            under = keyring.chain(under if under.version else keyring.latest(under).id)[-1]
        return keyring.vaults.ids_of(under)

    def find(self, volume: Volume | str) -> Record:
        """Return the record of a volume's key, or the one that has an id.

        Raises:
            NotFoundError: there is none.
            AmbiguousError: the volume has several, none of them retired.
        """
        if isinstance(volume, str):
            return self._core.records.get(volume)
        found = self._active(volume)
        if not found:
            raise NotFoundError(
                f"there is no key for {volume} in the records", remedy="list the records there are"
            )
        if len(found) > 1:
            raise AmbiguousError(
                f"there are several keys for {volume}",
                candidates=[record.id for record in found],
                remedy="recover by the record's id",
            )
        return found[0]

    def open(self, record: Record) -> SecretBytes:
        """Open a record.

        Raises:
            IntegrityError: it is not the record of a volume key, or contradicts itself.
            UnwrapError: it does not open.
        """
        if record.kind is not RecordKind.VOLUME_KEY:
            raise IntegrityError(f"the record {record.id} holds no volume's key")
        kek = self._core.keyring.use(record.key)
        return kek.unwrap(record.wrapped, context=context_of(record))

    def _active(self, volume: Volume) -> list[Record]:
        query = Query(
            kind=RecordKind.VOLUME_KEY,
            vm=volume.vm,
            volume=volume.name,
            state=RecordState.ACTIVE,
        )
        return list(self._core.records.find(query))


def _copy(secret: Secret) -> SecretBytes:
    return SecretBytes(secret.view()) if isinstance(secret, SecretBytes) else lent(secret)
