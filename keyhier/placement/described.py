"""What is known of disks and machines, taken together from all who describe them.

A disk is described by itself, by the machine that it is attached to, and by what that machine's
Azure Disk Encryption is for. It is found out once, for all rules that ask.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from keyhier.placement.arm_id import ArmId
from keyhier.placement.inventory import DiskView, Inventory
from keyhier.placement.model import Ade, Origin, VirtualMachine, Volumes
from keyhier.placement.node import printable
from keyhier.placement.place import NOWHERE, Placement
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, all_of, any_of, negated, same
from keyhier.placement.vocabulary import Fact

__all__ = ["Described", "DescribedDisk", "DescribedMachine", "Side", "is_set", "once"]


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


@attrs.frozen(eq=False)
class DescribedDisk:
    """A disk.

    Attributes:
        side: what it is called, and where it is.
        machine: the machine that it is attached to, or None.
        sets: the encryption set that each who describes it names.
        ade: what each of them says of Azure Disk Encryption, its machine's extension apart.
        facts: what holds of it.
        origin: where it was read.
    """

    side: Side
    machine: VirtualMachine | None
    sets: tuple[Maybe[ArmId | None], ...]
    ade: tuple[Ade, ...]
    facts: Mapping[Fact, Maybe[bool]]
    origin: Origin | None


@attrs.frozen(eq=False)
class DescribedMachine:
    """A machine.

    Attributes:
        machine: the machine.
        side: what it is called, and where it is.
        disks: its disks.
        facts: what holds of it.
    """

    machine: VirtualMachine
    side: Side
    disks: tuple[DescribedDisk, ...]
    facts: Mapping[Fact, Maybe[bool]]


class Described:
    """The machines and disks of an inventory.

    Attributes:
        inventory: where all other resources are found.
        machines: the machines.
        unattached: the disks that no machine names.
        disks: those, and the machines' disks.
    """

    def __init__(self, inventory: Inventory) -> None:
        self.inventory = inventory
        self.machines = [
            _machine(machine, tuple(map(_disk, views)))
            for machine, views in inventory.views_by_machine
        ]
        self.unattached = list(map(_disk, inventory.unattached))
        self.disks = [disk for machine in self.machines for disk in machine.disks]
        self.disks += self.unattached
        self._sets: dict[ArmId, list[Side]] = {}

    def sets_at(self, identity: ArmId) -> list[Side]:
        """Return the encryption sets of that id; one of which only the id is known if need be."""
        found = self._sets.get(identity)
        if found is None:
            found = [Side(each.label, each.place) for each in self.inventory.sets_at(identity)]
            unknown = Side(f"encryption set {printable(identity.name)}", NOWHERE.of(identity))
            self._sets[identity] = found = found or [unknown]
        return found


def once(enabled: Maybe[bool], ever: Maybe[bool]) -> Maybe[bool]:
    """Whether something was on, and is not."""
    return all_of(ever, negated(enabled))


def is_set(named: Maybe[ArmId | None]) -> Maybe[bool]:
    """Whether an encryption set is named."""
    return UNKNOWN if isinstance(named, Unknown) else named is not None


def _machine(machine: VirtualMachine, disks: tuple[DescribedDisk, ...]) -> DescribedMachine:
    # It is under Azure Disk Encryption where it says so, or any of its disks.
    spoken = [machine.ade, *(ade for disk in disks for ade in disk.ade)]
    if isinstance(machine.disks, Unknown):
        spoken.append(Ade())
    enabled = any_of(*(ade.enabled for ade in spoken))
    facts = {
        Fact.ADE: enabled,
        Fact.ADE_ONCE: once(enabled, any_of(*(ade.was_ever for ade in spoken))),
        Fact.HOST_ENCRYPTION: machine.host_encryption,
    }
    return DescribedMachine(machine, Side(machine.label, machine.place), disks, facts)


def _disk(view: DiskView) -> DescribedDisk:
    sets, ade = tuple(_named_sets(view)), tuple(_own_ade(view))
    return DescribedDisk(
        _side(view, sets), view.machine, sets, ade, _facts(view, sets, ade), _origin(view)
    )


def _is_missing(view: DiskView) -> bool:
    """Whether a disk is a resource of its own that is not among those to check."""
    return view.disk is None and view.attached is not None and view.attached.id is not None


def _named_sets(view: DiskView) -> Iterator[Maybe[ArmId | None]]:
    if view.attached:
        yield view.attached.set_id
    if view.disk:
        yield view.disk.set_id
    elif _is_missing(view):
        yield UNKNOWN


def _own_ade(view: DiskView) -> Iterator[Ade]:
    if view.attached and view.attached.ade:
        yield view.attached.ade
    if view.disk:
        yield view.disk.ade
    elif _is_missing(view):
        yield Ade()


def _side(view: DiskView, sets: tuple[Maybe[ArmId | None], ...]) -> Side:
    label = view.disk.label if view.disk else (view.attached.label if view.attached else "disk")
    if view.machine:
        label = f"{label} of {view.machine.label}"
    known = frozenset(each for each in sets if isinstance(each, ArmId))
    return Side(label, _place(view), known if known or UNKNOWN not in sets else UNKNOWN)


def _place(view: DiskView) -> Placement:
    if view.disk:
        return view.disk.place
    if view.attached is not None and isinstance(view.attached.id, ArmId):
        return NOWHERE.of(view.attached.id)
    # A disk that only a machine's model describes is made where the machine is.
    return view.machine.place if view.machine else NOWHERE


def _origin(view: DiskView) -> Origin | None:
    if view.disk and view.disk.origin:
        return view.disk.origin
    return view.machine.origin if view.machine else None


def _facts(
    view: DiskView, sets: tuple[Maybe[ArmId | None], ...], own: Iterable[Ade]
) -> Mapping[Fact, Maybe[bool]]:
    told = [(ade.enabled, ade.was_ever) for ade in own]
    if view.machine:
        told.append(_by_machine(view.machine.ade, view))
    enabled = any_of(*(on for on, _ in told))
    return {
        Fact.ADE: enabled,
        Fact.ADE_ONCE: once(enabled, any_of(*(ever for _, ever in told))),
        Fact.CMK: any_of(*map(is_set, sets)),
    }


def _by_machine(ade: Ade, view: DiskView) -> tuple[Maybe[bool], Maybe[bool]]:
    """Whether a machine's Azure Disk Encryption is on for one of its disks, and ever was."""
    is_os = view.attached.is_os if view.attached else UNKNOWN
    of_kind = any_of(
        same(ade.volumes, Volumes.ALL),
        all_of(same(ade.volumes, Volumes.OS), is_os),
        all_of(same(ade.volumes, Volumes.DATA), negated(is_os)),
    )
    # Volumes that it is not for today may have been encrypted before.
    return all_of(ade.enabled, of_kind), all_of(ade.was_ever, any_of(of_kind, UNKNOWN))
