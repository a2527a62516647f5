"""Reads resources from JSON: as ARM stores them, as ``az … show`` prints them, or from a template.

ARM puts what a resource is like under ``properties``; ``az`` prints most of it without that.
Both are read. Resources of other types are none of ours and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from keyhier.placement.ade_model import read_ade, read_extension
from keyhier.placement.arm_id import ArmId
from keyhier.placement.machines import read_machine
from keyhier.placement.model import (
    Ade,
    Disk,
    EncryptionSetResource,
    KeyUse,
    Origin,
    Resource,
    Snapshot,
    VaultReference,
    VaultResource,
    VirtualMachine,
)
from keyhier.placement.node import Node
from keyhier.placement.place import Placement
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, in_whole, or_unknown

__all__ = ["Document", "read_resources"]

Document: TypeAlias = tuple[object, Origin | None]
"""A resource's JSON and where it was read, if that is known."""

_EXTENSIONS: Final = ("/virtualmachines/extensions", "/virtualmachinescalesets/extensions")
_RBAC_BY_DEFAULT: Final = "2026-02-01"


def read_resources(documents: Iterable[Document]) -> list[Resource]:
    """Read resources, and let machines know of their disk encryption extensions.

    Raises:
        InvalidInputError: a document is no resource; the message names the place in it.
    """
    resources: list[Resource] = []
    extensions: dict[str, Ade] = {}
    for content, origin in documents:
        node = Node(content)
        kind = node.at("type").text()
        if not isinstance(kind, str):
            raise node.wrong("a resource has a type")
        if kind.casefold().endswith(_EXTENSIONS):
            ade = read_extension(_properties(node))
            if ade is not None:
                extensions[_machine_key(node)] = ade
        elif kind.casefold() in _READERS:
            resources.append(_READERS[kind.casefold()](node, origin))
    return [_joined(resource, extensions) for resource in resources]


def _machine_key(extension: Node) -> str:
    """Return what an extension and its machine have in common: the id, or the name."""
    identity = extension.at("id").arm_id()
    if isinstance(identity, ArmId):
        return str(identity).rpartition("/extensions/")[0].casefold()
    name = extension.at("name").text()
    return name.partition("/")[0].casefold() if isinstance(name, str) else ""


def _joined(resource: Resource, extensions: Mapping[str, Ade]) -> Resource:
    if not isinstance(resource, VirtualMachine):
        return resource
    keys = [str(key).casefold() for key in (resource.id, resource.name) if key is not UNKNOWN]
    found = next((extensions[key] for key in keys if key in extensions), None)
    return resource if found is None else attrs.evolve(resource, ade=found)


def _properties(node: Node) -> Node:
    properties = node.at("properties")
    return node if properties.absent else properties


def _placement(node: Node, tenant: Maybe[str | None] = UNKNOWN) -> Placement:
    return Placement(
        or_unknown(node.at("location").text()),
        tenant=or_unknown(tenant),
    )


def _machine(node: Node, origin: Origin | None) -> Resource:
    properties = _properties(node)
    scaled = properties.at("virtualMachineProfile")
    machine = read_machine(
        properties if scaled.absent else scaled,
        sku=node.at("sku", "name"),
        scale_set=not scaled.absent,
    )
    embedded = _embedded(node, scaled)
    return attrs.evolve(
        machine,
        id=or_unknown(node.at("id").arm_id()),
        name=or_unknown(node.at("name").text()),
        placement=_placement(node, node.at("identity", "tenantId").text()),
        origin=origin,
        ade=machine.ade if embedded is None else embedded,
    )


def _embedded(node: Node, scaled: Node) -> Ade | None:
    """Return what an extension that stands within its machine's document says."""
    lists = (node.at("resources"), scaled.at("extensionProfile", "extensions"))
    for each in lists:
        items = each.items()
        for item in () if isinstance(items, Unknown) else items:
            found = read_extension(_properties(item))
            if found is not None:
                return found
    return None


def _disk_ade(properties: Node) -> Ade:
    """Read Azure Disk Encryption of a disk or snapshot.

    The collection stays when encryption is disabled, so what has none, and was made here from
    nothing that could have been encrypted, was never encrypted.
    """
    settings = properties.at("encryptionSettingsCollection")
    if settings.absent:
        settings = properties.at("encryptionSettings")
    if not settings.absent:
        return read_ade(settings)
    if properties.at("creationData").absent:
        return Ade()
    option = properties.at("creationData", "createOption").text()
    is_new = properties.at("timeCreated").absent and option in {"Empty", "FromImage", "Upload"}
    return Ade(enabled=False, ever=False if is_new else UNKNOWN, vault=None, kek=None)


def _set_id(properties: Node) -> Maybe[ArmId | None]:
    named = properties.at("encryption", "diskEncryptionSetId").arm_id()
    if named is None:
        named = properties.at("securityProfile", "secureVMDiskEncryptionSetId").arm_id()
    if named is None and properties.at("creationData").absent:
        return UNKNOWN
    return named


def _disk(node: Node, origin: Origin | None) -> Resource:
    properties = _properties(node)
    return Disk(
        id=or_unknown(node.at("id").arm_id()),
        name=or_unknown(node.at("name").text()),
        placement=_placement(node),
        origin=origin,
        set_id=_set_id(properties),
        storage_type=or_unknown(node.at("sku", "name").text()),
        ade=_disk_ade(properties),
    )


def _snapshot(node: Node, origin: Origin | None) -> Resource:
    properties = _properties(node)
    whole = not properties.at("creationData").absent
    source: Maybe[ArmId | None] = UNKNOWN
    if whole:
        source = properties.at("creationData", "sourceResourceId").arm_id()
    return Snapshot(
        id=or_unknown(node.at("id").arm_id()),
        name=or_unknown(node.at("name").text()),
        placement=_placement(node),
        origin=origin,
        set_id=_set_id(properties),
        source_id=source,
        incremental=in_whole(properties.at("incremental").flag(), default=False, whole=whole),
        ade=_disk_ade(properties),
    )


def _encryption_set(node: Node, origin: Origin | None) -> Resource:
    properties = _properties(node)
    kind = node.at("identity", "type").text()
    client = properties.at("federatedClientId").text()
    key = properties.at("activeKey")
    url = key.at("keyUrl").text()
    vault = VaultReference(or_unknown(key.at("sourceVault", "id").arm_id()), or_unknown(url))
    return EncryptionSetResource(
        id=or_unknown(node.at("id").arm_id()),
        name=or_unknown(node.at("name").text()),
        placement=_placement(node, node.at("identity", "tenantId").text()),
        origin=origin,
        key=UNKNOWN if key.absent else KeyUse(or_unknown(url), vault),
        user_assigned="userassigned" in kind.casefold() if isinstance(kind, str) else UNKNOWN,
        # The word None clears the property, says the API.
        federated_client=client if isinstance(client, Unknown) else client not in {None, "None"},
    )


def _vault(node: Node, origin: Origin | None) -> Resource:
    properties = _properties(node)
    whole = not properties.at("tenantId").absent
    url = properties.at("vaultUri").text()
    roles = properties.at("enableRbacAuthorization").flag()
    version = node.at("apiVersion").text()
    if roles is None and isinstance(version, str):
        roles = version >= _RBAC_BY_DEFAULT

    def flag(name: str) -> Maybe[bool]:
        return in_whole(properties.at(name).flag(), default=False, whole=whole)

    return VaultResource(
        id=or_unknown(node.at("id").arm_id()),
        name=or_unknown(node.at("name").text()),
        placement=_placement(node, properties.at("tenantId").text()),
        origin=origin,
        host=or_unknown(url if url is not None else properties.at("hsmUri").text()),
        for_disk_encryption=flag("enabledForDiskEncryption"),
        for_deployment=flag("enabledForDeployment"),
        for_template_deployment=flag("enabledForTemplateDeployment"),
        purge_protection=flag("enablePurgeProtection"),
        rbac=or_unknown(roles),
    )


_READERS: Final[Mapping[str, Callable[[Node, Origin | None], Resource]]] = MappingProxyType(
    {
        "microsoft.compute/virtualmachines": _machine,
        "microsoft.compute/virtualmachinescalesets": _machine,
        "microsoft.compute/disks": _disk,
        "microsoft.compute/snapshots": _snapshot,
        "microsoft.compute/diskencryptionsets": _encryption_set,
        "microsoft.keyvault/vaults": _vault,
        "microsoft.keyvault/managedhsms": _vault,
    }
)
