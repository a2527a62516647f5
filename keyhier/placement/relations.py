"""Relations: which resources belong together, and what is known of each such pair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

import attrs

from keyhier.placement.arm_id import ArmId
from keyhier.placement.described import Described, Side, is_set, once
from keyhier.placement.inventory import Inventory
from keyhier.placement.model import (
    Ade,
    Disk,
    EncryptionSetResource,
    Origin,
    Snapshot,
    TemplateDeployment,
    VaultReference,
    VirtualMachine,
)
from keyhier.placement.node import printable
from keyhier.placement.place import NOWHERE
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown
from keyhier.placement.vocabulary import Fact, Relation

__all__ = ["Pair", "pairs"]

_SNAPSHOT: Final = "Microsoft.Compute/snapshots"


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
    described = Described(inventory)
    for relation, find in _FINDERS.items():
        for pair in find(described):
            yield relation, pair


# Sides


def _side(
    resource: Snapshot | EncryptionSetResource | TemplateDeployment,
) -> Side:
    return Side(resource.label, resource.place)


def _vault_sides(
    inventory: Inventory, reference: VaultReference
) -> Iterator[tuple[Side, Mapping[Fact, Maybe[bool]]]]:
    found = inventory.vaults_at(reference)
    for vault in found:
        # The one that names it may know the subscription that its own document does not tell.
        place = vault.place if isinstance(reference.id, Unknown) else vault.place.of(reference.id)
        yield (
            Side(vault.label, place),
            {
                Fact.PURGE_PROTECTION: vault.purge_protection,
                Fact.DISK_ENCRYPTION_ALLOWED: vault.for_disk_encryption,
                Fact.DEPLOYMENT_ALLOWED: vault.for_deployment,
                Fact.TEMPLATE_DEPLOYMENT_ALLOWED: vault.for_template_deployment,
            },
        )
    if not found:
        place = NOWHERE if isinstance(reference.id, Unknown) else NOWHERE.of(reference.id)
        yield Side(str(reference), place), {}


# Finders


def _machines(described: Described) -> Iterator[Pair]:
    for each in described.machines:
        yield Pair(each.side, facts=each.facts, origin=each.machine.origin)


def _unknown_disks(described: Described) -> Iterator[tuple[VirtualMachine, Side]]:
    for machine in described.inventory.machines:
        if isinstance(machine.disks, Unknown):
            yield machine, Side(f"the disks of {machine.label}")


def _disks(described: Described) -> Iterator[Pair]:
    for machine, disks in _unknown_disks(described):
        yield Pair(disks, applies=UNKNOWN, origin=machine.origin)
    for disk in described.disks:
        yield Pair(disk.side, facts=disk.facts, origin=disk.origin)


def _snapshots(described: Described) -> Iterator[Pair]:
    for snapshot in described.inventory.snapshots:
        enabled = snapshot.ade.enabled
        facts = {
            Fact.ADE: enabled,
            Fact.ADE_ONCE: once(enabled, snapshot.ade.was_ever),
            Fact.CMK: is_set(snapshot.set_id),
        }
        yield Pair(_side(snapshot), facts=facts, origin=snapshot.origin)


def _machine_disks(described: Described) -> Iterator[Pair]:
    for each in described.machines:
        machine, host = each.machine, {Fact.HOST_ENCRYPTION: each.machine.host_encryption}
        if isinstance(machine.disks, Unknown):
            disks = Side(f"the disks of {machine.label}")
            yield Pair(each.side, disks, facts=host, origin=machine.origin)
        for disk in each.disks:
            yield Pair(each.side, disk.side, facts={**disk.facts, **host}, origin=machine.origin)


def _users_of_ade(described: Described) -> Iterator[tuple[Side, Origin | None, Ade]]:
    """Yield each that names a vault for Azure Disk Encryption, and what it names."""
    for each in described.machines:
        yield each.side, each.machine.origin, each.machine.ade
        for disk in each.disks:
            for ade in disk.ade:
                yield each.side, disk.origin, ade
    for machine, disks in _unknown_disks(described):
        yield disks, machine.origin, Ade()
    for disk in described.unattached:
        for ade in disk.ade:
            yield disk.side, disk.origin, ade


def _ade_vaults(described: Described) -> Iterator[Pair]:
    for side, origin, ade in _users_of_ade(described):
        # What is encrypted has a vault, whether or not it is named.
        if ade.enabled is True or (ade.enabled is UNKNOWN and ade.vault is not None):
            reference = ade.vault if isinstance(ade.vault, VaultReference) else VaultReference()
            yield from _with_vault(
                described, Pair(side, None, ade.enabled, origin=origin), reference
            )


def _kek_vaults(described: Described) -> Iterator[Pair]:
    for side, origin, ade in _users_of_ade(described):
        if ade.kek is not None and ade.enabled is not False:
            unknown = isinstance(ade.kek, Unknown)
            reference = VaultReference() if isinstance(ade.kek, Unknown) else ade.kek.vault
            applies = UNKNOWN if unknown else ade.enabled
            yield from _with_vault(described, Pair(side, None, applies, origin=origin), reference)


def _with_vault(described: Described, pair: Pair, reference: VaultReference) -> Iterator[Pair]:
    for side, of_vault in _vault_sides(described.inventory, reference):
        yield attrs.evolve(pair, object=side, facts={**pair.facts, **of_vault})


def _cmk_vaults(described: Described) -> Iterator[Pair]:
    for each in described.inventory.sets:
        reference = VaultReference() if isinstance(each.key, Unknown) else each.key.vault
        facts = {
            Fact.USER_ASSIGNED_IDENTITY: each.user_assigned,
            Fact.FEDERATED_CLIENT: each.federated_client,
        }
        yield from _with_vault(
            described, Pair(_side(each), facts=facts, origin=each.origin), reference
        )


def _secret_vaults(described: Described) -> Iterator[Pair]:
    for each in described.machines:
        pair = Pair(each.side, origin=each.machine.origin)
        yield from _with_vaults(described, pair, each.machine.secret_vaults)


def _template_vaults(described: Described) -> Iterator[Pair]:
    for each in described.inventory.deployments:
        pair = Pair(_side(each), origin=each.origin)
        yield from _with_vaults(described, pair, each.secret_vaults)


def _with_vaults(
    described: Described, pair: Pair, vaults: Maybe[tuple[VaultReference, ...]]
) -> Iterator[Pair]:
    if isinstance(vaults, Unknown):
        yield attrs.evolve(pair, object=Side("a vault for its secrets"), applies=UNKNOWN)
        return
    for reference in dict.fromkeys(vaults):
        yield from _with_vault(described, pair, reference)


def _machine_sets(described: Described) -> Iterator[Pair]:
    for each in described.machines:
        if isinstance(each.machine.disks, Unknown):
            yield from _with_set(described, each.side, each.machine.origin, (UNKNOWN,))
        named = [one for disk in each.disks for one in disk.sets]
        yield from _with_set(described, each.side, each.machine.origin, named)


def _disk_sets(described: Described) -> Iterator[Pair]:
    for machine, disks in _unknown_disks(described):
        yield from _with_set(described, disks, machine.origin, (UNKNOWN,))
    for disk in described.disks:
        yield from _with_set(described, disk.side, disk.origin, disk.sets)


def _snapshot_sets(described: Described) -> Iterator[Pair]:
    for snapshot in described.inventory.snapshots:
        yield from _with_set(described, _side(snapshot), snapshot.origin, (snapshot.set_id,))


def _with_set(
    described: Described,
    side: Side,
    origin: Origin | None,
    named: Iterable[Maybe[ArmId | None]],
) -> Iterator[Pair]:
    """Yield a resource with each set that is named for it, once for all who name it."""
    for each in dict.fromkeys(named):
        if isinstance(each, Unknown):
            yield Pair(side, Side("its encryption set"), UNKNOWN, origin=origin)
        elif each is not None:
            for set_side in described.sets_at(each):
                yield Pair(side, set_side, origin=origin)


def _snapshot_sources(described: Described) -> Iterator[Pair]:
    for snapshot in described.inventory.snapshots:
        if snapshot.incremental is False or snapshot.source_id is None:
            continue
        subject = Side(snapshot.label, snapshot.place, _sets_of(snapshot))
        for source in _source_sides(described.inventory, snapshot.source_id):
            applies = UNKNOWN if snapshot.source_id is UNKNOWN else snapshot.incremental
            yield Pair(subject, source, applies, origin=snapshot.origin)


def _source_sides(inventory: Inventory, source: Maybe[ArmId]) -> list[Side]:
    if isinstance(source, Unknown):
        return [Side("the disk it was taken of")]
    found = [Side(disk.label, disk.place, _sets_of(disk)) for disk in inventory.disks_at(source)]
    # What it was copied from may be another snapshot, of which disk nobody can tell.
    kind = Snapshot.KIND if source.is_a(_SNAPSHOT) else Disk.KIND
    return found or [Side(f"{kind} {printable(source.name)}", NOWHERE.of(source))]


def _sets_of(resource: Disk | Snapshot) -> Maybe[frozenset[ArmId]]:
    if isinstance(resource.set_id, Unknown):
        return UNKNOWN
    return frozenset() if resource.set_id is None else frozenset({resource.set_id})


_FINDERS: Final[Mapping[Relation, Callable[[Described], Iterable[Pair]]]] = MappingProxyType(
    {
        Relation.VM: _machines,
        Relation.DISK: _disks,
        Relation.SNAPSHOT: _snapshots,
        Relation.VM_DISK: _machine_disks,
        Relation.ADE_VAULT: _ade_vaults,
        Relation.KEK_VAULT: _kek_vaults,
        Relation.CMK_VAULT: _cmk_vaults,
        Relation.SECRET_VAULT: _secret_vaults,
        Relation.TEMPLATE_VAULT: _template_vaults,
        Relation.VM_SET: _machine_sets,
        Relation.DISK_SET: _disk_sets,
        Relation.SNAPSHOT_SET: _snapshot_sets,
        Relation.SNAPSHOT_SOURCE: _snapshot_sources,
    }
)
