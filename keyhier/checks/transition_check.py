"""Checks whether what is asked of a machine may follow on what it has.

What it has is told by the documents of what is there: its disks, its instance view, and the
extension that ran last. What is asked stands in extensions that are yet to be deployed. Where the
documents leave open what a machine has, every state that it may be in is tried.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any, Final

import attrs

from keyhier.azure_disk.disk_model import DiskCollection
from keyhier.azure_disk.settings import ExtensionSettings, Generation, Operation
from keyhier.azure_disk.transitions import Current, check_transition
from keyhier.checks.statements import TRANSITION
from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.placement.arm_id import ArmId
from keyhier.placement.machines import is_new
from keyhier.placement.model import Disk, Origin, Resource, VirtualMachine, Volumes
from keyhier.placement.node import Node, printable
from keyhier.placement.report import Comparison, NotChecked, Violation
from keyhier.placement.resources import Document, machine_keys, machine_of, properties_in
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, any_of, or_unknown

__all__ = ["check_transitions"]

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
_MACHINE: Final = "microsoft.compute/virtualmachines"
_DISK: Final = "microsoft.compute/disks"
_ANY_GENERATION: Final[frozenset[Generation | None]] = frozenset({None, *Generation})
_ENABLING: Final = frozenset({Operation.ENABLE, Operation.ENABLE_FORMAT_ALL})


@attrs.frozen
class _Extension:
    """An extension of Azure Disk Encryption whose settings could be read.

    Attributes:
        machine: the id or the name of its machine, as far as it is known.
        settings: the settings.
        ran: whether it is one that is there, and not one that is yet to be deployed.
        origin: where it was read.
    """

    machine: Maybe[ArmId | str]
    settings: ExtensionSettings
    ran: bool
    origin: Origin | None


def check_transitions(
    documents: Iterable[Document], resources: Iterable[Resource]
) -> Iterator[Violation | NotChecked]:
    """Yield what may not follow on what machines have, and what nobody can tell.

    Args:
        documents: such as :func:`keyhier.placement.resources.read_resources` has read.
        resources: what it read.
    """
    listed = [(content, origin) for content, origin in documents if isinstance(content, dict)]
    extensions = list(_extensions(listed))
    wanted = [each for each in extensions if not each.ran]
    if not wanted:
        return
    states = _States(listed, resources, (each for each in extensions if each.ran))
    for each in wanted:
        yield from _judged(each, states)


def _extensions(documents: Iterable[tuple[dict[str, Any], Origin | None]]) -> Iterator[_Extension]:
    for content, origin in documents:
        node, kind = Node(content), _kind(content)
        if kind.endswith("/extensions"):
            settings = _settings(node)
            if settings is not None:
                yield _Extension(_key(machine_of(node)), settings, _ran(node), origin)
        elif kind == _MACHINE and not node.at("resources").absent:
            embedded = node.at("resources").items()
            for each in () if isinstance(embedded, Unknown) else embedded:
                settings = _settings(each)
                if settings is not None:
                    yield _Extension(_key(node.at("id").arm_id()), settings, _ran(each), origin)


def _kind(content: Mapping[str, Any]) -> str:
    return str(content.get("type")).casefold()


def _settings(extension: Node) -> ExtensionSettings | None:
    try:
        return ExtensionSettings.parse(extension.value)
    except InvalidInputError:
        # Another's extension, or one whose settings are told to be wrong or unknown elsewhere.
        return None


def _ran(extension: Node) -> bool:
    return not properties_in(extension).at("provisioningState").absent


def _key(machine: Maybe[ArmId | str | None]) -> Maybe[ArmId | str]:
    return machine.casefold() if isinstance(machine, str) else or_unknown(machine)


@attrs.frozen
class _State:
    """What a machine may have: each of the volumes with each of the generations."""

    volumes: frozenset[Volumes | None]
    generations: frozenset[Generation | None]
    sequence_version: str | None

    def each(self) -> Iterator[Current]:
        for volumes, generation in product(self.volumes, self.generations):
            # Other methods of encryption are the matter of placement rules.
            if volumes is None or generation is not None:
                yield Current(volumes, generation, self.sequence_version)


class _States:
    """What the machines of some documents have."""

    def __init__(
        self,
        documents: Iterable[tuple[dict[str, Any], Origin | None]],
        resources: Iterable[Resource],
        ran: Iterable[_Extension],
    ) -> None:
        self._machines: dict[Maybe[ArmId | str], VirtualMachine] = {}
        self._disks: dict[ArmId, Disk] = {}
        for resource in resources:
            if isinstance(resource, VirtualMachine):
                self._machines |= dict.fromkeys(machine_keys(resource), resource)
            elif isinstance(resource, Disk) and isinstance(resource.id, ArmId):
                self._disks[resource.id] = resource
        self._ran: dict[Maybe[ArmId | str], list[ExtensionSettings]] = defaultdict(list)
        for each in ran:
            self._ran[each.machine].append(each.settings)
        self._new: set[Maybe[ArmId | str]] = set()
        self._generations: dict[ArmId, Generation] = {}
        for content, _ in documents:
            self._note(Node(content), _kind(content))

    def _note(self, node: Node, kind: str) -> None:
        """Note of a document what resources do not hold."""
        if kind not in {_MACHINE, _DISK}:
            return
        identity = node.at("id").arm_id()
        if not isinstance(identity, ArmId):
            return
        if kind == _MACHINE and is_new(properties_in(node)):
            self._new.add(identity)
        elif kind == _DISK:
            collection = properties_in(node).at("encryptionSettingsCollection")
            if not collection.absent:
                try:
                    self._generations[identity] = DiskCollection.parse(collection.value).generation
                except InvalidInputError:
                    return  # It is told elsewhere what is wrong with it.

    def of(self, key: Maybe[ArmId | str]) -> _State:
        """Return what a machine may have."""
        if key in self._new:
            return _State(frozenset({None}), frozenset({None}), None)
        machine = self._machines.get(key)
        # Of several, nobody can tell which ran last.
        found = () if key is UNKNOWN else self._ran[key]
        ran = found[0] if len(found) == 1 else None
        volumes = self._volumes(machine)
        if ran and ran.operation in _ENABLING and ran.volumes in volumes:
            volumes = frozenset({ran.volumes})
        known = {ran.generation} if ran else self._of_disks(machine)
        generations = frozenset(known) if known else _ANY_GENERATION
        return _State(volumes, generations, ran.sequence_version if ran else None)

    def _volumes(self, machine: VirtualMachine | None) -> frozenset[Volumes | None]:
        os_disk, data_disks = self._encrypted(machine, is_os=True), self._encrypted(machine)
        pairs = product(_may_be(os_disk), _may_be(data_disks))
        return frozenset().union(*(_VOLUMES[pair] for pair in pairs))

    def _encrypted(self, machine: VirtualMachine | None, *, is_os: bool = False) -> Maybe[bool]:
        """Whether the OS disk, or any of the data disks, is encrypted."""
        if machine is None or isinstance(machine.disks, Unknown):
            return UNKNOWN
        found: list[Maybe[bool]] = []
        for attached in machine.disks:
            if attached.is_os is is_os:
                disk = self._disks.get(attached.id) if isinstance(attached.id, ArmId) else None
                told = attached.ade or (disk.ade if disk else None)
                found.append(told.enabled if told else UNKNOWN)
        return any_of(*found)

    def _of_disks(self, machine: VirtualMachine | None) -> set[Generation]:
        if machine is None or isinstance(machine.disks, Unknown):
            return set()
        ids = [each.id for each in machine.disks if isinstance(each.id, ArmId)]
        return {self._generations[each] for each in ids if each in self._generations}


def _may_be(truth: Maybe[bool]) -> tuple[bool, ...]:
    return (False, True) if isinstance(truth, Unknown) else (truth,)


def _judged(wanted: _Extension, states: _States) -> Iterator[Violation | NotChecked]:
    state = states.of(wanted.machine)
    errors = [_error(each, wanted.settings) for each in state.each()]
    told = dict.fromkeys(each.message for each in errors if each is not None)
    name = wanted.machine.name if isinstance(wanted.machine, ArmId) else str(wanted.machine)
    subject = f"extension of VM {printable(name)}"
    if None not in errors:
        compared = tuple(Comparison(subject, "problem", each) for each in told)
        yield Violation(TRANSITION, subject, compared, wanted.origin)
    elif told:
        yield NotChecked(
            TRANSITION, subject, tuple(_missing(state, printable(name))), wanted.origin
        )


def _error(current: Current, wanted: ExtensionSettings) -> InvalidStateError | None:
    try:
        check_transition(current, wanted)
    except InvalidStateError as error:
        return error
    return None


def _missing(state: _State, machine: str) -> Iterator[str]:
    if len(state.volumes) > 1:
        yield f"what is encrypted of VM {machine}"
    if len(state.generations) > 1:
        yield f"with which generation VM {machine} was encrypted"
