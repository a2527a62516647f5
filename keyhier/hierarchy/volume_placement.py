"""Whether a volume may have its KEK or set where that is, asked before a key is used."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

import attrs

from keyhier.azure_disk.set_resource import SET_TYPE
from keyhier.hierarchy.encryption_set import EncryptionSet
from keyhier.hierarchy.set_placement import host_of, judge_set
from keyhier.hierarchy.volume import Volume
from keyhier.identifiers import KeyId
from keyhier.placement.arm_id import ArmId, own_group, own_subscription
from keyhier.placement.model import (
    Ade,
    AttachedDisk,
    EncryptionSetResource,
    KeyUse,
    VaultReference,
    VirtualMachine,
)
from keyhier.placement.place import Placement
from keyhier.placement.policy import PlacementPolicy
from keyhier.placement.vocabulary import Relation

__all__ = ["judge_volume", "judge_volume_in_set"]


def judge_volume(
    policy: PlacementPolicy, volume: Volume, roots: Iterable[KeyId]
) -> tuple[str, ...]:
    """Return what is to be noted of a volume outside of sets.

    The vault of its KEK is to be where the rules want that of a machine's KEK.

    Args:
        policy: where vaults and machines are.
        volume: the disk.
        roots: the key of a vault that the volume's key will be under, by each id that it may have.

    Raises:
        PlacementError: a rule is broken, and that is not allowed; all of them are named.
    """
    hosts = {host_of(root): root for root in roots}
    machines = [
        VirtualMachine(name=volume.vm, placement=place, disks=(), ade=Ade(enabled=True, kek=use))
        for place in policy.places_of(volume.vm, volume.placement)
        for use in (KeyUse(str(root), VaultReference(host=host)) for host, root in hosts.items())
    ]
    return policy.judge([*machines, *map(policy.vault, hosts)], about=Relation.KEK_VAULT)


def judge_volume_in_set(
    policy: PlacementPolicy, volume: Volume, encryption_set: EncryptionSet, keys: Iterable[KeyId]
) -> tuple[str, ...]:
    """Return what is to be noted of a volume and the set that its disk is in.

    The machine is to be where the rules want that of the sets of its disks. Where the set's key may
    be was asked of the set; what was not known of its place then is known of its machine's.

    Args:
        policy: where vaults and machines are.
        volume: the disk.
        encryption_set: its set.
        keys: the set's key and that which the volume's key will be under, by each id that they may
            have.

    Raises:
        PlacementError: a rule is broken, and that is not allowed; all of them are named.
    """
    name = encryption_set.name
    # A set that is none of Azure's is known by what stands for an id.
    stand_in = ArmId(own_subscription(name), own_group(name), SET_TYPE, (name,))
    identity = encryption_set.id or stand_in
    disk = AttachedDisk(id=None, name=volume.name, set_id=identity)
    places = policy.places_of(volume.vm, volume.placement)
    machines = [VirtualMachine(name=volume.vm, placement=each, disks=(disk,)) for each in places]
    placed = EncryptionSetResource(id=identity, name=name, placement=encryption_set.placement)
    noted = policy.judge([*machines, placed], about=Relation.VM_SET)
    return (*noted, *_noted_of_key(policy, encryption_set, places, list(keys)))


def _noted_of_key(
    policy: PlacementPolicy,
    encryption_set: EncryptionSet,
    places: Iterable[Placement],
    keys: list[KeyId],
) -> tuple[str, ...]:
    """Return what is to be noted of a set's key if the set is where its machine may be."""
    identity = encryption_set.id
    place = encryption_set.placement
    place = place if identity is None else place.of(identity)
    # What is noted of the set itself is not the volume's matter.
    of_set = judge_set(policy, encryption_set, keys)
    noted = (
        judge_set(policy, attrs.evolve(encryption_set, placement=filled), keys)
        for filled in map(place.filled_by, places)
        if filled != place
    )
    return tuple(each for each in dict.fromkeys(chain(*noted)) if each not in of_set)
