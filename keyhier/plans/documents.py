"""Documents: the resources that a plan is about, as ARM or ``az … show`` prints them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeVar

import attrs

from keyhier.azure_disk.settings import ExtensionSettings
from keyhier.errors import AmbiguousError, InvalidInputError, NotFoundError
from keyhier.placement.ade_model import is_disk_encryption
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import Resource
from keyhier.placement.node import Node
from keyhier.placement.resources import read_resources

__all__ = ["Documents"]

Kind = TypeVar("Kind", bound=Resource)
_ADD: Final = "add its document, as `az … show` prints it"
_EXTENSION: Final = "microsoft.compute/virtualmachines/extensions"


def _typed(documents: Iterable[Mapping[str, Any]]) -> tuple[Mapping[str, Any], ...]:
    found = tuple(documents)
    if not all(isinstance(each, Mapping) for each in found):
        raise InvalidInputError("a resource's document is a JSON object")
    return found


@attrs.frozen
class Documents:
    """Documents and what they tell.

    Attributes:
        contents: the documents.
    """

    contents: tuple[Mapping[str, Any], ...] = attrs.field(converter=_typed)

    def resources(self) -> list[Resource]:
        """Return what the documents describe.

        Raises:
            InvalidInputError: one is malformed; the message names the place.
        """
        return read_resources((each, None) for each in self.contents)

    def pick(self, kind: type[Kind], name: str | None = None) -> Kind:
        """Return the one resource of a kind, or that of a name or id.

        Raises:
            NotFoundError: there is none.
            AmbiguousError: there are several.
            InvalidInputError: a document is malformed.
        """
        found = [each for each in self.resources() if isinstance(each, kind)]
        if name is not None:
            found = [each for each in found if _is_called(each, name)]
        if not found:
            called = "" if name is None else f" called {name!r:.200}"
            raise NotFoundError(
                f"no {kind.KIND}{called} is among the documents",
                remedy=_ADD,
            )
        if len(found) > 1:
            raise AmbiguousError(
                f"{len(found)} documents describe a {kind.KIND}",
                candidates=[each.label for each in found],
                remedy="say by its name or id which one is meant",
            )
        return found[0]

    def document(self, identity: ArmId) -> Mapping[str, Any]:
        """Return the document of a resource.

        Raises:
            NotFoundError: there is none.
        """
        for each in self.contents:
            if _id_of(each) == identity:
                return each
        raise NotFoundError(
            f"the document of {identity} is missing",
            remedy=_ADD,
        )

    def extension(self, machine: ArmId) -> ExtensionSettings | None:
        """Return the settings of a machine's disk encryption extension, or None if it has none.

        Raises:
            InvalidInputError: they are malformed.
        """
        own = [each for each in self.contents if _is_extension_of(each, machine)]
        for each in self.contents:
            embedded = each.get("resources") if _id_of(each) == machine else None
            own += [item for item in embedded or () if isinstance(item, Mapping)]
        for each in own:
            if is_disk_encryption(Node(each)) is True:
                return ExtensionSettings.parse(each)
        return None

    def with_extension(self, machine: ArmId, resource: Mapping[str, Any]) -> Documents:
        """Return the documents with this disk encryption extension in place of the machine's."""
        kept = (
            each
            for each in self.contents
            if not (_is_extension_of(each, machine) and is_disk_encryption(Node(each)) is True)
        )
        name = str(resource["name"]).rpartition("/")[2]
        return Documents((*kept, {"id": f"{machine}/extensions/{name}", **resource}))

    def with_resource(self, identity: ArmId, resource: Mapping[str, Any]) -> Documents:
        """Return the documents with this resource, in place of one that has the id."""
        kept = (each for each in self.contents if _id_of(each) != identity)
        return Documents((*kept, {"id": str(identity), **resource}))

    def with_properties(self, identity: ArmId, properties: Mapping[str, Any]) -> Documents:
        """Return the documents with more properties of one resource.

        Raises:
            NotFoundError: the resource has no document.
        """
        found = self.document(identity)
        if isinstance(found.get("properties"), Mapping):
            changed = {**found, "properties": {**found["properties"], **properties}}
        else:
            # `az` prints most resources without that level.
            changed = {**found, **properties}
        return Documents(tuple(changed if each is found else each for each in self.contents))


def _is_called(resource: Resource, name: str) -> bool:
    if isinstance(resource.id, ArmId) and name.startswith("/"):
        return ArmId.parse(name) == resource.id
    known = resource.id.name if isinstance(resource.id, ArmId) else resource.name
    return isinstance(known, str) and known.casefold() == name.casefold()


def _id_of(document: Mapping[str, Any]) -> ArmId | None:
    text = document.get("id")
    return ArmId.parse(text) if isinstance(text, str) and text.startswith("/") else None


def _is_extension_of(document: Mapping[str, Any], machine: ArmId) -> bool:
    if str(document.get("type", "")).casefold() != _EXTENSION:
        return False
    identity = _id_of(document)
    if identity is not None:
        return str(identity).casefold().startswith(f"{machine}/extensions/".casefold())
    return str(document.get("name", "")).casefold().startswith(f"{machine.name}/".casefold())
