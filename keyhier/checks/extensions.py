"""Finds the extensions of Azure Disk Encryption, also within what describes a machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from keyhier.placement.ade_model import is_disk_encryption, is_extension
from keyhier.placement.arm_id import ArmId
from keyhier.placement.machines import is_new
from keyhier.placement.model import Origin
from keyhier.placement.node import Node, properties_in
from keyhier.placement.resources import Document, machine_of
from keyhier.placement.unknown import Maybe, Unknown, or_unknown

__all__ = ["IN_DOUBT", "Extension", "extensions_in", "shown_name"]

IN_DOUBT: Final = "whether it is an extension of Azure Disk Encryption"
"""What would have to be known of an extension whose type and settings nobody knows."""

_MACHINES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "microsoft.compute/virtualmachines": "VM",
        "microsoft.compute/virtualmachinescalesets": "scale set",
        "microsoft.compute/virtualmachinescalesets/virtualmachines": "VM",
    }
)


@attrs.frozen
class Extension:
    """An extension that is of Azure Disk Encryption, or may be.

    Attributes:
        document: the extension.
        label: what a report calls it.
        is_sure: whether it is of Azure Disk Encryption; else nobody knows what it is.
        machine: the id of its machine or scale set, or the name in lower case.
        ran: whether it is one that is there, and not one that is yet to be deployed.
        origin: where it was read.
    """

    document: dict[str, Any]
    label: str
    is_sure: bool
    machine: Maybe[ArmId | str]
    ran: bool
    origin: Origin | None


def extensions_in(documents: Iterable[Document]) -> list[Extension]:
    """Return the extensions that resources' documents are or have.

    The documents are such as :func:`keyhier.placement.resources.read_resources` has read.
    """
    found: list[Extension] = []
    for content, origin in documents:
        kind = str(content.get("type")).casefold() if isinstance(content, dict) else ""
        if is_extension(kind):
            found += _alone(Node(content), origin)
        elif kind in _MACHINES:
            found += _embedded(Node(content), _MACHINES[kind], origin)
    return found


def _alone(extension: Node, origin: Origin | None) -> Iterator[Extension]:
    ran = _was_deployed(extension)
    sure = _is_ours(extension, may_be_listed=ran)
    if isinstance(extension.value, dict) and sure is not False:
        label = f"extension {shown_name(extension)}"
        key = _key(machine_of(extension))
        yield Extension(extension.value, label, sure is True, key, ran, origin)


def _embedded(machine: Node, word: str, origin: Origin | None) -> Iterator[Extension]:
    properties = properties_in(machine)
    found = [(each, _was_deployed(each)) for each in _items(machine.at("resources"))]
    profile = properties.at("virtualMachineProfile")
    if not profile.absent:
        # A scale set's model says of its extensions what they are to be, and is there in whole.
        in_model = _items(profile.at("extensionProfile", "extensions"))
        found += [(each, not is_new(properties)) for each in in_model]
    for each, ran in found:
        sure = _is_ours(each)
        if isinstance(each.value, dict) and sure is not False:
            identity = machine.at("id").arm_id()
            key = _key(machine.at("name").text() if identity is None else identity)
            label = f"extension of {word} {shown_name(machine)}"
            yield Extension(each.value, label, sure is True, key, ran, origin)


def _items(node: Node) -> list[Node]:
    items = node.items()
    return [] if isinstance(items, Unknown) else items


def _is_ours(extension: Node, *, may_be_listed: bool = True) -> Maybe[bool]:
    # What only lists an extension, as a machine's document does, tells no settings.
    if may_be_listed and properties_in(extension).at("settings").absent:
        return False
    return is_disk_encryption(extension)


def _was_deployed(extension: Node) -> bool:
    return not properties_in(extension).at("provisioningState").absent


def _key(machine: Maybe[ArmId | str | None]) -> Maybe[ArmId | str]:
    return machine.casefold() if isinstance(machine, str) else or_unknown(machine)


def shown_name(resource: Node) -> str:
    """Return what a report calls a resource, which may have a name that nobody knows."""
    name = resource.at("name").value
    return name if isinstance(name, str) else "without a known name"
