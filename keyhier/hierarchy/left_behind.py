"""What a job leaves as it was and somebody has to see to: sets, and KEKs that wrap no more.

A set is not moved along with its records: where it stands for one in Azure, that one still has its
key, and only its owner can change it. And a KEK in a record that goes from a symmetric key to a
public one is no longer proved by where it lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import attrs

from keyhier.hierarchy.chain_keyring import ChainKeyring
from keyhier.hierarchy.context import context_of
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.encryption_sets import EncryptionSets
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.hierarchy.middle_kek import thumbprint
from keyhier.hierarchy.reference import KeyReference
from keyhier.identifiers import KeyId
from keyhier.records.protocol import SupportsSets
from keyhier.records.record import Query, Record, RecordKind, RecordState

__all__ = ["LeftBehind", "look_behind"]


@attrs.frozen
class LeftBehind:
    """What a job leaves as it was.

    Attributes:
        sets: by the name of a set that refers to a key of old, what it may refer to instead.
        unobserved: the sets that follow a key, and use the version before until they are observed.
        pins: by the id of a KEK that wraps no more, the thumbprint to be pinned so that it does.
    """

    sets: Mapping[str, KeyReference] = attrs.field(factory=dict)
    unobserved: tuple[str, ...] = ()
    pins: Mapping[KeyId, str] = attrs.field(factory=dict)


def look_behind(core: Core, keyring: ChainKeyring, targets: Mapping[KeyId, KeyId]) -> LeftBehind:
    """Say what a job that is done leaves as it was.

    Args:
        core: the hierarchy.
        keyring: finds the keys of both vaults.
        targets: by exact version what its records were wrapped under.

    Raises:
        KeyhierError: a vault is away or refuses; it is asked where KEKs in records moved.
    """
    sets: dict[str, KeyReference] = {}
    unobserved: tuple[str, ...] = ()
    if isinstance(core.records, SupportsSets):
        sets = dict(_sets(core, targets))
        unobserved = tuple(_unobserved(core, targets))
    return LeftBehind(sets, unobserved, dict(_pins(core, keyring, set(targets.values()))))


def _sets(core: Core, targets: Mapping[KeyId, KeyId]) -> Iterator[tuple[str, KeyReference]]:
    for source, target in targets.items():
        for found in EncryptionSets(core).all(source.versionless):
            if found.reference.follows:
                reference = KeyReference.following(target)
            else:
                reference = KeyReference.pinned(target)
            if found.reference.key in (source, source.versionless) and found.reference != reference:
                yield found.name, reference


def _unobserved(core: Core, targets: Mapping[KeyId, KeyId]) -> Iterator[str]:
    for found in EncryptionSets(core).all():
        target = targets.get(found.active)
        if target not in (None, found.active) and found.reference == KeyReference.following(target):
            yield found.name


def _pins(core: Core, keyring: ChainKeyring, targets: set[KeyId]) -> Iterator[tuple[KeyId, str]]:
    for target in targets:
        if target.scheme == IN_RECORDS:
            continue
        query = Query(key=target, kind=RecordKind.KEK, state=RecordState.ACTIVE)
        for record in core.records.find(query):
            if record.names is None or record.previous is None or record.names in core.policy.pins:
                continue
            before = record.with_envelope(record.previous.envelope)
            proved = keyring.vaults.authenticates(before.key)
            if proved and not keyring.vaults.authenticates(target):
                yield record.names, _thumbprint(keyring, record.names, before)


def _thumbprint(keyring: ChainKeyring, names: KeyId, before: Record) -> str:
    """Return the thumbprint of a KEK as it lay where nobody could plant one."""
    with keyring.use(before.key).unwrap(before.wrapped, context=context_of(before)) as material:
        return thumbprint(names, material)
