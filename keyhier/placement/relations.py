"""Relations: which resources belong together, and what is known of each such pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final, TypeVar
from weakref import WeakKeyDictionary

import attrs

from keyhier.placement.arm_id import ArmId
from keyhier.placement.inventory import DiskView, Inventory
from keyhier.placement.model import (
    Ade,
    Disk,
    EncryptionSetResource,
    Origin,
    Snapshot,
    VaultReference,
    VaultResource,
    VirtualMachine,
    Volumes,
)
from keyhier.placement.node import printable
from keyhier.placement.place import NOWHERE, Placement
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, all_of, any_of, negated, same
from keyhier.placement.vocabulary import Fact, Relation

__all__ = ["Pair", "Side", "pairs"]


@attrs.frozen
class Side:
    """One of the two that are compared.

    Attributes:
        label: what a report calls it.
        place: where it is.
        sets: the encryption sets that it is encrypted under.
    """

    label: str
    place: Placement = NOWHERE
    sets: Maybe[frozenset[ArmId]] = UNKNOWN


@attrs.frozen
class Pair:
    """What one rule is asked about once.

    Attributes:
        subject: whom a finding is about.
        object: what it is compared with; None where the rule is about one resource.
        applies: whether the two belong together at all.
        facts: what holds of the pair; what is not there is unknown.
        origin: where the subject was read.
    """

    subject: Side
    object: Side | None = None
    applies: Maybe[bool] = True
    facts: Mapping[Fact, Maybe[bool]] = MappingProxyType({})
    origin: Origin | None = None


def pairs(inventory: Inventory) -> Iterator[tuple[Relation, Pair]]:
    """Yield all pairs of all relations among the resources."""
    for relation, find in _FINDERS.items():
        for pair in find(inventory):
            yield relation, pair


Told = TypeVar("Told")


def _remembered(function: Callable[[DiskView], Told]) -> Callable[[DiskView], Told]:
    """Let several relations ask the same of a disk, which is found out once while it is there."""
    known: WeakKeyDictionary[DiskView, Told] = WeakKeyDictionary()

    def remember(view: DiskView) -> Told:
        if view not in known:
            known[view] = function(view)
        return known[view]

    return remember


# What is known of Azure Disk Encryption and encryption sets


def _of_kind(ade: Ade, view: DiskView) -> Maybe[bool]:
    """Whether a disk is among the volumes that a machine's Azure Disk Encryption is for."""
    is_os = view.attached.is_os if view.attached else UNKNOWN
    return any_of(
        same(ade.volumes, Volumes.ALL),
        all_of(same(ade.volumes, Volumes.OS), is_os),
        all_of(same(ade.volumes, Volumes.DATA), negated(is_os)),
    )


def _of_machine(machine: VirtualMachine, view: DiskView) -> Ade:
    """What a machine's Azure Disk Encryption says of one of its disks."""
    of_kind = _of_kind(machine.ade, view)
    # Volumes that it is not for today may have been encrypted before.
    ever = all_of(machine.ade.was_ever, any_of(of_kind, UNKNOWN))
    return Ade(enabled=all_of(machine.ade.enabled, of_kind), ever=ever)


def _speakers(view: DiskView) -> Iterator[Ade]:
    """Yield what each who describes a disk says of Azure Disk Encryption on it."""
    if view.machine:
        yield _of_machine(view.machine, view)
    yield from _of_disk(view)


def _of_disk(view: DiskView) -> Iterator[Ade]:
    if view.attached and view.attached.ade:
        yield view.attached.ade
    if view.disk:
        yield view.disk.ade
    elif _is_missing(view):
        yield Ade()


def _is_missing(view: DiskView) -> bool:
    """Whether a disk is a resource of its own that is not among those to check."""
    return view.disk is None and view.attached is not None and view.attached.id is not None


def _once(enabled: Maybe[bool], ever: Maybe[bool]) -> Maybe[bool]:
    return all_of(ever, negated(enabled))


def _named_sets(view: DiskView) -> Iterator[Maybe[ArmId | None]]:
    if view.attached:
        yield view.attached.set_id
    if view.disk:
        yield view.disk.set_id
    elif _is_missing(view):
        yield UNKNOWN


def _is_set(named: Maybe[ArmId | None]) -> Maybe[bool]:
    return UNKNOWN if isinstance(named, Unknown) else named is not None


def _machine_ade(machine: VirtualMachine, views: Iterable[DiskView]) -> Ade:
    """Azure Disk Encryption of a machine: its own, or that of any of its disks."""
    spoken = [machine.ade, *(ade for view in views for ade in _of_disk(view))]
    if isinstance(machine.disks, Unknown):
        spoken.append(Ade())
    return Ade(
        enabled=any_of(*(ade.enabled for ade in spoken)),
        ever=any_of(*(ade.was_ever for ade in spoken)),
    )


# Sides


@_remembered
def _disk_side(view: DiskView) -> Side:
    sets = list(_named_sets(view))
    known = frozenset(each for each in sets if isinstance(each, ArmId))
    place = view.disk.place if view.disk else NOWHERE
    if view.disk is None and view.attached is not None and isinstance(view.attached.id, ArmId):
        place = NOWHERE.of(view.attached.id)
    elif view.disk is None and view.machine is not None:
        # A disk that only a machine's model describes is made where the machine is.
        place = view.machine.place
    label = view.disk.label if view.disk else (view.attached.label if view.attached else "disk")
    if view.machine:
        label = f"{label} of {view.machine.label}"
    return Side(label, place, known if known or UNKNOWN not in sets else UNKNOWN)


def _side(resource: VirtualMachine | Snapshot | EncryptionSetResource | VaultResource) -> Side:
    return Side(resource.label, resource.place)


def _set_sides(inventory: Inventory, identity: ArmId) -> list[Side]:
    found = [_side(each) for each in inventory.sets_at(identity)]
    return found or [Side(f"encryption set {printable(identity.name)}", NOWHERE.of(identity))]


def _vault_sides(
    inventory: Inventory, reference: VaultReference
) -> Iterator[tuple[Side, VaultResource | None]]:
    found = inventory.vaults_at(reference)
    for vault in found:
        yield _side(vault), vault
    if not found:
        place = NOWHERE if isinstance(reference.id, Unknown) else NOWHERE.of(reference.id)
        yield Side(str(reference), place), None


# Finders


def _machines(inventory: Inventory) -> Iterator[Pair]:
    for machine, views in inventory.views_by_machine:
        ade = _machine_ade(machine, views)
        facts = {
            Fact.ADE: ade.enabled,
            Fact.ADE_ONCE: _once(ade.enabled, ade.was_ever),
            Fact.HOST_ENCRYPTION: machine.host_encryption,
        }
        yield Pair(_side(machine), facts=facts, origin=machine.origin)


@_remembered
def _disk_facts(view: DiskView) -> Mapping[Fact, Maybe[bool]]:
    spoken = list(_speakers(view))
    enabled = any_of(*(ade.enabled for ade in spoken))
    ever = any_of(*(ade.was_ever for ade in spoken))
    cmk = any_of(*map(_is_set, _named_sets(view)))
    return {Fact.ADE: enabled, Fact.ADE_ONCE: _once(enabled, ever), Fact.CMK: cmk}


def _origin(view: DiskView) -> Origin | None:
    if view.disk and view.disk.origin:
        return view.disk.origin
    return view.machine.origin if view.machine else None


def _unknown_disks(inventory: Inventory) -> Iterator[tuple[VirtualMachine, Side]]:
    for machine in inventory.machines:
        if isinstance(machine.disks, Unknown):
            yield machine, Side(f"the disks of {machine.label}")


def _disks(inventory: Inventory) -> Iterator[Pair]:
    for machine, disks in _unknown_disks(inventory):
        yield Pair(disks, applies=UNKNOWN, origin=machine.origin)
    for view in inventory.disk_views:
        yield Pair(_disk_side(view), facts=_disk_facts(view), origin=_origin(view))


def _snapshots(inventory: Inventory) -> Iterator[Pair]:
    for snapshot in inventory.snapshots:
        enabled = snapshot.ade.enabled
        facts = {
            Fact.ADE: enabled,
            Fact.ADE_ONCE: _once(enabled, snapshot.ade.was_ever),
            Fact.CMK: _is_set(snapshot.set_id),
        }
        yield Pair(_side(snapshot), facts=facts, origin=snapshot.origin)


def _machine_disks(inventory: Inventory) -> Iterator[Pair]:
    for machine, disks in _unknown_disks(inventory):
        facts = {Fact.HOST_ENCRYPTION: machine.host_encryption}
        yield Pair(_side(machine), disks, facts=facts, origin=machine.origin)
    for machine, views in inventory.views_by_machine:
        for view in views:
            facts = {**_disk_facts(view), Fact.HOST_ENCRYPTION: machine.host_encryption}
            yield Pair(_side(machine), _disk_side(view), facts=facts, origin=machine.origin)


def _users_of_ade(inventory: Inventory) -> Iterator[tuple[Side, Origin | None, Ade]]:
    """Yield each that names a vault for Azure Disk Encryption, and what it names."""
    for machine in inventory.machines:
        yield _side(machine), machine.origin, machine.ade
    for machine, disks in _unknown_disks(inventory):
        yield disks, machine.origin, Ade()
    for view in inventory.disk_views:
        side = _side(view.machine) if view.machine else _disk_side(view)
        for ade in _of_disk(view):
            yield side, _origin(view), ade


def _ade_vaults(inventory: Inventory) -> Iterator[Pair]:
    for side, origin, ade in _users_of_ade(inventory):
        # What is encrypted has a vault, whether or not it is named.
        if ade.enabled is True or (ade.enabled is UNKNOWN and ade.vault is not None):
            reference = ade.vault if isinstance(ade.vault, VaultReference) else VaultReference()
            yield from _with_vault(
                inventory, Pair(side, None, ade.enabled, origin=origin), reference
            )


def _kek_vaults(inventory: Inventory) -> Iterator[Pair]:
    for side, origin, ade in _users_of_ade(inventory):
        if ade.kek is not None and ade.enabled is not False:
            unknown = isinstance(ade.kek, Unknown)
            reference = VaultReference() if isinstance(ade.kek, Unknown) else ade.kek.vault
            applies = UNKNOWN if unknown else ade.enabled
            yield from _with_vault(inventory, Pair(side, None, applies, origin=origin), reference)


def _with_vault(inventory: Inventory, pair: Pair, reference: VaultReference) -> Iterator[Pair]:
    for side, vault in _vault_sides(inventory, reference):
        of_vault: Mapping[Fact, Maybe[bool]] = {}
        if vault:
            of_vault = {
                Fact.PURGE_PROTECTION: vault.purge_protection,
                Fact.DISK_ENCRYPTION_ALLOWED: vault.for_disk_encryption,
            }
        yield attrs.evolve(pair, object=side, facts={**pair.facts, **of_vault})


def _cmk_vaults(inventory: Inventory) -> Iterator[Pair]:
    for each in inventory.sets:
        reference = VaultReference() if isinstance(each.key, Unknown) else each.key.vault
        facts = {
            Fact.USER_ASSIGNED_IDENTITY: each.user_assigned,
            Fact.FEDERATED_CLIENT: each.federated_client,
        }
        yield from _with_vault(
            inventory, Pair(_side(each), facts=facts, origin=each.origin), reference
        )


def _machine_sets(inventory: Inventory) -> Iterator[Pair]:
    for machine, _ in _unknown_disks(inventory):
        yield from _with_set(inventory, _side(machine), machine.origin, UNKNOWN)
    for machine, views in inventory.views_by_machine:
        named = [each for view in views for each in _named_sets(view)]
        for each in dict.fromkeys(named):
            yield from _with_set(inventory, _side(machine), machine.origin, each)


def _disk_sets(inventory: Inventory) -> Iterator[Pair]:
    for machine, disks in _unknown_disks(inventory):
        yield from _with_set(inventory, disks, machine.origin, UNKNOWN)
    for view in inventory.disk_views:
        for each in dict.fromkeys(_named_sets(view)):
            yield from _with_set(inventory, _disk_side(view), _origin(view), each)


def _snapshot_sets(inventory: Inventory) -> Iterator[Pair]:
    for snapshot in inventory.snapshots:
        yield from _with_set(inventory, _side(snapshot), snapshot.origin, snapshot.set_id)


def _with_set(
    inventory: Inventory, side: Side, origin: Origin | None, named: Maybe[ArmId | None]
) -> Iterator[Pair]:
    if isinstance(named, Unknown):
        yield Pair(side, Side("its encryption set"), UNKNOWN, origin=origin)
    elif named is not None:
        for set_side in _set_sides(inventory, named):
            yield Pair(side, set_side, origin=origin)


def _snapshot_sources(inventory: Inventory) -> Iterator[Pair]:
    for snapshot in inventory.snapshots:
        if snapshot.incremental is False or snapshot.source_id is None:
            continue
        subject = Side(snapshot.label, snapshot.place, _sets_of(snapshot))
        for source in _source_sides(inventory, snapshot.source_id):
            applies = UNKNOWN if snapshot.source_id is UNKNOWN else snapshot.incremental
            yield Pair(subject, source, applies, origin=snapshot.origin)


def _source_sides(inventory: Inventory, source: Maybe[ArmId]) -> list[Side]:
    if isinstance(source, Unknown):
        return [Side("the disk it was taken of")]
    found = [Side(disk.label, disk.place, _sets_of(disk)) for disk in inventory.disks_at(source)]
    return found or [Side(f"disk {printable(source.name)}", NOWHERE.of(source))]


def _sets_of(resource: Disk | Snapshot) -> Maybe[frozenset[ArmId]]:
    if isinstance(resource.set_id, Unknown):
        return UNKNOWN
    return frozenset() if resource.set_id is None else frozenset({resource.set_id})


_FINDERS: Final[Mapping[Relation, Callable[[Inventory], Iterable[Pair]]]] = MappingProxyType(
    {
        Relation.VM: _machines,
        Relation.DISK: _disks,
        Relation.SNAPSHOT: _snapshots,
        Relation.VM_DISK: _machine_disks,
        Relation.ADE_VAULT: _ade_vaults,
        Relation.KEK_VAULT: _kek_vaults,
        Relation.CMK_VAULT: _cmk_vaults,
        Relation.VM_SET: _machine_sets,
        Relation.DISK_SET: _disk_sets,
        Relation.SNAPSHOT_SET: _snapshot_sets,
        Relation.SNAPSHOT_SOURCE: _snapshot_sources,
    }
)
