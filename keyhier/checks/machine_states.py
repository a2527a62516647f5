"""What machines may have of Azure Disk Encryption, as far as documents tell.

Documents that show what is there tell it: disks, instance views, and the extension that ran last.
Where they leave something open, every state that a machine may be in counts.
"""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import Final

import attrs

from keyhier.azure_disk.disk_model import read_generation
from keyhier.azure_disk.open_settings import OpenSettings
from keyhier.azure_disk.settings import Generation, Operation
from keyhier.azure_disk.transitions import Current
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import Ade, AttachedDisk, Disk, Resource, VirtualMachine, Volumes
from keyhier.placement.node import Node, printable, properties_in
from keyhier.placement.resources import Document, machine_keys
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, any_of

__all__ = ["MachineStates", "State"]

# The volumes that may be encrypted, by whether the OS disk is and whether a data disk is: a data
# disk that was attached later is not encrypted yet.
_VOLUMES: Final[Mapping[tuple[bool, bool], frozenset[Volumes | None]]] = MappingProxyType(
    {
        (False, False): frozenset({None}),
        (False, True): frozenset({Volumes.DATA}),
        (True, False): frozenset({Volumes.OS, Volumes.ALL}),
        (True, True): frozenset({Volumes.ALL}),
    }
)
_DISK: Final = "microsoft.compute/disks"
_SCALE_SET: Final = "Microsoft.Compute/virtualMachineScaleSets"
_ANY_GENERATION: Final[frozenset[Generation | None]] = frozenset({None, *Generation})
_SAME: Final = str(uuid.UUID(int=0))
_ENABLING: Final = frozenset({Operation.ENABLE, Operation.ENABLE_FORMAT_ALL})


@attrs.frozen
class State:
    """What a machine may have: each of the volumes with each of the generations.

    Attributes:
        label: what a report calls the machine.
        volumes: what may be encrypted of it; None stands for nothing.
        generations: with which generation; None stands for never.
        sequence_version: that of the extension that ran last; None where none ran, or where it
            has none.
    """

    label: str
    volumes: frozenset[Volumes | None]
    generations: frozenset[Generation | None]
    sequence_version: Maybe[str | None]

    def each(self, wanted: Maybe[str | None]) -> Iterator[tuple[Current, str | None]]:
        """Yield what the machine may have, and the sequence version that may be given next.

        Args:
            wanted: the sequence version that is given next, as far as it is known.
        """
        pairs = list(_sequences(self.sequence_version, wanted))
        for volumes, generation in product(self.volumes, self.generations):
            # Other methods of encryption are the matter of placement rules.
            if volumes is None or generation is not None:
                for last, new in pairs:
                    yield Current(volumes, generation, last), new

    def missing(self, wanted: Maybe[str | None]) -> Iterator[str]:
        """Yield what would have to be known of the machine."""
        if len(self.volumes) > 1:
            yield f"what is encrypted of {self.label}"
        if len(self.generations) > 1:
            yield f"with which generation {self.label} was encrypted"
        if self.sequence_version is UNKNOWN and wanted is not None:
            yield f"the last sequence version of {self.label}"


def _sequences(
    last: Maybe[str | None], new: Maybe[str | None]
) -> Iterator[tuple[str | None, str | None]]:
    """Yield what two sequence versions may be: another one, and the same where that is open."""
    known_last = None if isinstance(last, Unknown) else last
    known_new = None if isinstance(new, Unknown) else new
    yield known_last, known_new
    if isinstance(last, Unknown) and known_new is not None:
        yield known_new, known_new
    elif isinstance(new, Unknown) and known_last is not None:
        yield known_last, known_last
    elif isinstance(last, Unknown) and isinstance(new, Unknown):
        yield _SAME, _SAME


class MachineStates:
    """What the machines and scale sets of some documents may have."""

    def __init__(
        self,
        documents: Iterable[Document],
        resources: Iterable[Resource],
        ran: Iterable[tuple[Maybe[ArmId | str], OpenSettings]],
    ) -> None:
        """Take in what is there.

        Args:
            documents: such as :func:`keyhier.placement.resources.read_resources` has read.
            resources: what it read.
            ran: the extensions that are there, by the machines that they name.
        """
        self._machines: dict[ArmId | str, list[VirtualMachine]] = defaultdict(list)
        self._instances: dict[ArmId, dict[ArmId, None]] = defaultdict(dict)
        self._disks: dict[ArmId, list[Disk]] = defaultdict(list)
        for resource in resources:
            if isinstance(resource, VirtualMachine):
                self._add(resource)
            elif isinstance(resource, Disk) and isinstance(resource.id, ArmId):
                self._disks[resource.id].append(resource)
        self._ran: dict[ArmId | str, list[OpenSettings]] = defaultdict(list)
        for machine, settings in ran:
            if not isinstance(machine, Unknown):
                self._ran[machine].append(settings)
        self._generations: dict[ArmId, set[Generation]] = defaultdict(set)
        for content, _ in documents:
            self._note_generation(Node(content))

    def _add(self, machine: VirtualMachine) -> None:
        for key in machine_keys(machine):
            self._machines[key].append(machine)
        if machine.scale_set_id is not None and isinstance(machine.id, ArmId):
            self._instances[machine.scale_set_id][machine.id] = None

    def _note_generation(self, node: Node) -> None:
        """Note of a disk which generation encrypted it, which its resource does not hold."""
        if str(node.at("type").value).casefold() != _DISK:
            return
        identity = node.at("id").arm_id()
        found = read_generation(properties_in(node).at("encryptionSettingsCollection"))
        if isinstance(identity, ArmId) and not isinstance(found, Unknown):
            self._generations[identity].add(found)

    def of(self, key: Maybe[ArmId | str]) -> list[State]:
        """Return the states of whatever is changed with a machine or scale set.

        Of a scale set that is there these are its own model and each of its instances.

        Args:
            key: its id, or its name in lower case.
        """
        found = [] if isinstance(key, Unknown) else self._machines.get(key, [])
        if isinstance(key, ArmId) and key.is_a(_SCALE_SET):
            return self._of_scale_set(key, found)
        label = f"VM {_shown(key)}"
        if isinstance(key, str):
            # Machines of one name in several groups are several.
            groups: dict[Maybe[ArmId], list[VirtualMachine]] = defaultdict(list)
            for machine in found:
                groups[machine.id].append(machine)
            states = [self._state(label, each, key) for each in groups.values()]
            if len(states) > 1:
                return [_either(states)]
        return [self._state(label, found, key)]

    def _of_scale_set(self, key: ArmId, found: list[VirtualMachine]) -> list[State]:
        label = f"scale set {_shown(key)}"
        model = self._state(label, found, key)
        if found and all(machine.is_new is True for machine in found):
            return [model]
        states = [model]
        for identity in self._instances.get(key, ()):
            machines = self._machines[identity]
            name = f"instance {_shown(identity)} of {label}"
            # What the model says ran on the instances that have it.
            has_model = machines[0].has_latest_model is True
            states.append(self._state(name, machines, identity, key if has_model else None))
        if found and len(states) == 1:
            states.append(_unknown(f"the instances of {label}"))
        return states

    def _state(
        self,
        label: str,
        machines: list[VirtualMachine],
        key: Maybe[ArmId | str],
        model: ArmId | None = None,
    ) -> State:
        """Return what a machine may have that one or more documents describe."""
        there = [machine for machine in machines if machine.is_new is not True]
        if machines and not there:
            return State(label, frozenset({None}), frozenset({None}), None)
        listed = [] if isinstance(key, Unknown) else self._ran[key]
        if not listed and model is not None:
            listed = self._ran[model]
        # Of several, nobody can tell which ran last.
        ran = listed[0] if len(listed) == 1 else None
        volumes = self._volumes(there)
        last: Maybe[str | None] = UNKNOWN
        known = self._of_disks(there)
        if ran is not None:
            volumes = _after(ran, volumes)
            known = {each.generation for each in ran.possible}
            last = ran.sequence_version
        return State(label, volumes, frozenset(known) if known else _ANY_GENERATION, last)

    def _volumes(self, machines: list[VirtualMachine]) -> frozenset[Volumes | None]:
        os_disk, data_disks = self._encrypted(machines, is_os=True), self._encrypted(machines)
        pairs = product(_may_be(os_disk), _may_be(data_disks))
        return frozenset().union(*(_VOLUMES[pair] for pair in pairs))

    def _encrypted(self, machines: list[VirtualMachine], *, is_os: bool = False) -> Maybe[bool]:
        """Whether the OS disk, or any of the data disks, is encrypted."""
        described = [each.disks for each in machines if not isinstance(each.disks, Unknown)]
        if not described:
            return UNKNOWN
        told: dict[object, list[Ade]] = defaultdict(list)
        for disks in described:
            for number, attached in enumerate(disks):
                if attached.is_os is is_os:
                    told[_which(attached, number)] += self._told(attached)
        return any_of(*map(_agreed, told.values()))

    def _told(self, attached: AttachedDisk) -> Iterator[Ade]:
        if attached.ade is not None:
            yield attached.ade
        if isinstance(attached.id, ArmId):
            yield from (disk.ade for disk in self._disks.get(attached.id, ()))

    def _of_disks(self, machines: list[VirtualMachine]) -> set[Generation]:
        found: set[Generation] = set()
        for machine in machines:
            for attached in () if isinstance(machine.disks, Unknown) else machine.disks:
                if isinstance(attached.id, ArmId):
                    found |= self._generations.get(attached.id, set())
        return found


def _unknown(label: str) -> State:
    return State(label, frozenset({None, *Volumes}), _ANY_GENERATION, UNKNOWN)


def _either(states: list[State]) -> State:
    """Return the state of a machine that is one of several."""
    sequences = {state.sequence_version for state in states}
    return State(
        states[0].label,
        frozenset().union(*(state.volumes for state in states)),
        frozenset().union(*(state.generations for state in states)),
        sequences.pop() if len(sequences) == 1 else UNKNOWN,
    )


def _which(attached: AttachedDisk, number: int) -> object:
    """Return what a disk is known by where several documents describe its machine."""
    for known in (attached.id, attached.name):
        if isinstance(known, ArmId | str):
            return known
    return number


def _agreed(told: list[Ade]) -> Maybe[bool]:
    """Whether a disk is encrypted, as all who know it say."""
    # A document that makes a disk anew tells nothing of the one that is there.
    there = [each for each in told if each.ever is not False] or told
    known = {each.enabled for each in there} - {UNKNOWN}
    return known.pop() if len(known) == 1 else UNKNOWN


def _after(ran: OpenSettings, volumes: frozenset[Volumes | None]) -> frozenset[Volumes | None]:
    """Return what is encrypted after an extension ran, of what the disks leave open."""
    found: set[Volumes | None] = set()
    for each in ran.possible:
        told = each.operation in _ENABLING and each.volumes in volumes
        found |= {each.volumes} if told else volumes
    return frozenset(found)


def _may_be(truth: Maybe[bool]) -> tuple[bool, ...]:
    return (False, True) if isinstance(truth, Unknown) else (truth,)


def _shown(key: Maybe[ArmId | str]) -> str:
    return printable(key.name if isinstance(key, ArmId) else str(key))
