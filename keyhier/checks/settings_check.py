"""Checks the settings in documents: extensions, the collections of disks, encryption sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from keyhier.azure_disk.disk_model import DiskCollection
from keyhier.azure_disk.set_resource import SetResource
from keyhier.azure_disk.settings import ExtensionSettings
from keyhier.checks.statements import SETTINGS
from keyhier.checks.unknowns import unknowns
from keyhier.errors import InvalidInputError
from keyhier.placement.ade_model import read_extension
from keyhier.placement.node import Node
from keyhier.placement.report import Comparison, NotChecked, Violation
from keyhier.placement.resources import Document

__all__ = ["check_settings"]

_MOST_TOLD: Final = 5
_MATTERS: Final = frozenset({"properties", "settings", "protectedSettings"})
_SET_MATTERS: Final = frozenset({"id", "identity", "activeKey", "encryptionType", "location"})


def check_settings(documents: Iterable[Document]) -> Iterator[Violation | NotChecked]:
    """Yield what is wrong with settings, and what nobody can tell of them.

    The documents are such as :func:`keyhier.placement.resources.read_resources` has read.
    """
    for content, origin in documents:
        if not isinstance(content, dict):
            continue
        for parse, part, label in _parsed(content):
            error = _error(parse, part)
            if error is None:
                continue
            missing = list(unknowns(_relevant(part)))
            if missing and not _is_certain(parse, part):
                told = tuple(missing[:_MOST_TOLD])
                yield NotChecked(SETTINGS, label, told, origin)
            else:
                compared = (Comparison(label, "problem", error.message),)
                yield Violation(SETTINGS, label, compared, origin)


Parse = Callable[[object], object]


def _parsed(content: Mapping[str, Any]) -> Iterator[tuple[Parse, dict[str, Any], str]]:
    """Yield how each part of a document is read, and what it is called."""
    kind = str(content.get("type")).casefold()
    if kind.endswith("/extensions"):
        if _is_ours(content):
            yield ExtensionSettings.parse, dict(content), f"extension {_name(content)}"
    elif kind in _PARSERS:
        parse, word = _PARSERS[kind]
        yield parse, dict(content), f"{word} {_name(content)}"
    elif kind == "microsoft.compute/virtualmachines":
        embedded = content.get("resources")
        for each in embedded if isinstance(embedded, list) else ():
            if isinstance(each, dict) and _is_ours(each):
                yield ExtensionSettings.parse, each, f"extension of VM {_name(content)}"


def _is_ours(extension: Mapping[str, Any]) -> bool:
    node = Node(extension)
    properties = node.at("properties")
    try:
        found = read_extension(node if properties.absent else properties)
    except InvalidInputError:
        # It is ours, for of others nothing is read.
        return True
    # What only lists an extension, as a machine's document does, tells no settings.
    flat = node if properties.absent else properties
    return found is not None and not flat.at("settings").absent


def _disk(content: object) -> object:
    node = Node(content)
    properties = node.at("properties")
    flat = node if properties.absent else properties
    collection = flat.at("encryptionSettingsCollection")
    return None if collection.absent else DiskCollection.parse(collection.value)


_PARSERS: Final[Mapping[str, tuple[Parse, str]]] = MappingProxyType(
    {
        "microsoft.compute/disks": (_disk, "disk"),
        "microsoft.compute/snapshots": (_disk, "snapshot"),
        "microsoft.compute/diskencryptionsets": (SetResource.parse, "encryption set"),
    }
)


def _name(content: Mapping[str, Any]) -> str:
    name = content.get("name")
    return name if isinstance(name, str) else "without a known name"


def _error(parse: Parse, part: object) -> InvalidInputError | None:
    try:
        parse(part)
    except InvalidInputError as error:
        return error
    return None


def _relevant(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = str(part.get("type")).casefold()
    names = _MATTERS | _SET_MATTERS if kind.endswith("/diskencryptionsets") else _MATTERS
    return {name: each for name, each in part.items() if name in names}


def _is_certain(parse: Parse, part: Mapping[str, Any]) -> bool:
    """Whether an encryption set is wrong in whatever subscription it and its vault are."""
    properties = part.get("properties")
    key = properties.get("activeKey") if isinstance(properties, dict) else None
    if not isinstance(key, dict) or not isinstance(part.get("id"), str):
        return False
    # Only the vault's id is compared with that of the set.
    without = {name: each for name, each in key.items() if name != "sourceVault"}
    bare = {**part, "properties": {**part["properties"], "activeKey": without}}
    open_still = set(unknowns(_relevant(bare))) - {"/id"}
    return not open_still and _error(parse, bare) is not None
