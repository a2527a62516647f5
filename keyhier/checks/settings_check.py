"""Checks the settings in documents: of extensions, disks, machines' models, encryption sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from keyhier.azure_disk.disk_model import DiskCollection, VolumeSettings
from keyhier.azure_disk.open_settings import OpenSettings
from keyhier.azure_disk.open_volumes import check_open_collection, check_open_volume
from keyhier.azure_disk.reading import properties_of
from keyhier.azure_disk.set_resource import SetResource
from keyhier.azure_disk.settings import ExtensionSettings
from keyhier.checks.extensions import IN_DOUBT, Extension, shown_name
from keyhier.checks.statements import SET_SETTINGS, SETTINGS
from keyhier.checks.unknowns import unknowns
from keyhier.errors import InvalidInputError
from keyhier.placement.model import Origin
from keyhier.placement.node import Node
from keyhier.placement.report import Comparison, NotChecked, Violation
from keyhier.placement.resources import Document
from keyhier.placement.rules import Statement

__all__ = ["check_settings"]

_MOST_TOLD: Final = 5
_MATTERS: Final = frozenset({"properties", "settings", "protectedSettings"})
_SET_MATTERS: Final = frozenset({"id", "identity", "activeKey", "encryptionType", "location"})
# Stands for what is not known of a set, and nothing is wrong with it.
_SOUND: Final = {"location": "unknown", "identity": {"type": "SystemAssigned"}}


def check_settings(
    documents: Iterable[Document], extensions: Iterable[Extension]
) -> Iterator[Violation | NotChecked]:
    """Yield what is wrong with settings, and what nobody can tell of them.

    Args:
        documents: such as :func:`keyhier.placement.resources.read_resources` has read.
        extensions: those that the documents have.
    """
    for each in extensions:
        if not each.is_sure:
            yield NotChecked(SETTINGS, each.label, (IN_DOUBT,), each.origin)
            continue
        yield from _judged(each.document, each.label, _EXTENSION, each.origin)
    for content, origin in documents:
        kind = str(content.get("type")).casefold() if isinstance(content, dict) else ""
        if isinstance(content, dict) and kind in _READINGS:
            word, reading = _READINGS[kind]
            label = f"{word} {shown_name(Node(content))}"
            yield from _judged(content, label, reading, origin)


def _judged(
    part: dict[str, Any], label: str, reading: _Reading, origin: Origin | None
) -> Iterator[Violation | NotChecked]:
    error = _error(reading.parse, part)
    if error is None:
        return
    if part.get("properties", part) is None:
        # `az resource list` says nothing of what a resource is made of.
        yield NotChecked(reading.rule, label, ("/properties",), origin)
        return
    relevant = reading.relevant(part)
    missing = list(unknowns(relevant.value, relevant.pointer))
    if missing:
        yield NotChecked(reading.rule, label, tuple(missing[:_MOST_TOLD]), origin)
        error = reading.certain(part)
    if error is not None:
        yield Violation(reading.rule, label, (Comparison(label, "problem", error.message),), origin)


Parse = Callable[[object], object]


@attrs.frozen
class _Reading:
    """How a part of a document is read.

    Attributes:
        parse: reads it, where all of it is known.
        certain: returns what is wrong with it whatever the unknown part of it is, or None.
        relevant: returns what of it is read, with its place.
        rule: what says how it should be.
    """

    parse: Parse
    certain: Callable[[dict[str, Any]], InvalidInputError | None]
    relevant: Callable[[dict[str, Any]], Node]
    rule: Statement = SETTINGS


def _collection(disk: object) -> Node:
    return properties_of(disk).at("encryptionSettingsCollection")


def _of_os_disk(machine: object) -> Node:
    return properties_of(machine).at("storageProfile", "osDisk", "encryptionSettings")


def _of_part(find: Callable[[object], Node], parse: Parse, check: Parse) -> _Reading:
    """Return how settings are read that are a part of what a resource is like, if they are there.

    Args:
        find: returns the settings of a resource.
        parse: reads them, where all of them is known.
        check: raises what is wrong with them whatever the unknown part of them is.
    """

    def within(read: Parse) -> Parse:
        return lambda resource: None if find(resource).absent else read(find(resource).value)

    return _Reading(within(parse), lambda part: _error(within(check), part), find)


def _error(parse: Parse, part: object) -> InvalidInputError | None:
    try:
        parse(part)
    except InvalidInputError as error:
        return error
    return None


def _relevant(part: Mapping[str, Any]) -> Node:
    kind = str(part.get("type")).casefold()
    names = _MATTERS | _SET_MATTERS if kind.endswith("/diskencryptionsets") else _MATTERS
    return Node({name: each for name, each in part.items() if name in names})


def _wrong_extension(part: dict[str, Any]) -> InvalidInputError | None:
    return _error(OpenSettings.parse, part)


def _wrong_set(part: dict[str, Any]) -> InvalidInputError | None:
    """Return what is wrong with a set in whatever subscription and region it and its vault are."""
    properties = part.get("properties")
    key = properties.get("activeKey") if isinstance(properties, dict) else None
    if not isinstance(key, dict) or not isinstance(part.get("id"), str):
        return None
    # Only the vault's id is compared with that of the set.
    without = {name: each for name, each in key.items() if name != "sourceVault"}
    known = {name: each for name, each in part["properties"].items() if not _is_open(each)}
    sound = {name: each for name, each in _SOUND.items() if _is_open(part.get(name))}
    if "identity" in sound or _is_open(part["properties"].get("federatedClientId")):
        # Whether they go together nobody can tell.
        sound["identity"] = _SOUND["identity"]
        known.pop("federatedClientId", None)
    bare = {**part, **sound, "properties": {**known, "activeKey": without}}
    open_still = set(unknowns(_relevant(bare).value)) - {"/id"}
    return None if open_still else _error(SetResource.parse, bare)


def _is_open(value: object) -> bool:
    return next(unknowns(value), None) is not None


_EXTENSION: Final = _Reading(ExtensionSettings.parse, _wrong_extension, _relevant)
_DISK: Final = _of_part(_collection, DiskCollection.parse, check_open_collection)
_READINGS: Final[Mapping[str, tuple[str, _Reading]]] = MappingProxyType(
    {
        "microsoft.compute/disks": ("disk", _DISK),
        "microsoft.compute/snapshots": ("snapshot", _DISK),
        "microsoft.compute/virtualmachines": (
            "VM",
            _of_part(_of_os_disk, VolumeSettings.parse, check_open_volume),
        ),
        "microsoft.compute/diskencryptionsets": (
            "encryption set",
            _Reading(SetResource.parse, _wrong_set, _relevant, SET_SETTINGS),
        ),
    }
)
