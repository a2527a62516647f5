"""Reads resources from JSON: as ARM stores them, as ``az … show`` prints them, or from a template.

ARM puts what a resource is like under ``properties``; ``az`` prints most of it without that.
Both are read. Resources of other types are none of ours and are left out.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, TypeAlias

import attrs

from keyhier.placement.ade_model import in_doubt, is_extension, read_ade, read_extension
from keyhier.placement.arm_id import ArmId
from keyhier.placement.machines import Whose, read_machine
from keyhier.placement.model import (
    NO_ADE,
    NO_ADE_NOW,
    Ade,
    Disk,
    EncryptionSetResource,
    KeyUse,
    Origin,
    Resource,
    Snapshot,
    TemplateDeployment,
    VaultReference,
    VaultResource,
    VirtualMachine,
)
from keyhier.placement.node import MalformedError, Node, properties_in
from keyhier.placement.place import Placement
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, in_whole, or_unknown

__all__ = [
    "Document",
    "Refused",
    "machine_keys",
    "machine_of",
    "read_resources",
]

Document: TypeAlias = tuple[object, Origin | None]
"""A resource's JSON and where it was read, if that is known."""

_INSTANCE: Final = "microsoft.compute/virtualmachinescalesets/virtualmachines"
_RBAC_BY_DEFAULT: Final = "2026-02-01"


@attrs.frozen
class _Extension:
    """A disk encryption extension that stands apart from its machine."""

    machine: ArmId | str | None
    ade: Ade
    placement: Placement
    origin: Origin | None


class _Extensions:
    """The disk encryption extensions that stand apart, by the machine that they name."""

    def __init__(
        self, extensions: Iterable[_Extension], machines: Iterable[VirtualMachine]
    ) -> None:
        self._by_machine: dict[ArmId | str, set[Ade]] = defaultdict(set)
        named = {key for machine in machines for key in machine_keys(machine)}
        self.others: list[_Extension] = []
        self._doubtful = False
        for each in extensions:
            key = each.machine.casefold() if isinstance(each.machine, str) else each.machine
            if key is not None:
                self._by_machine[key].add(each.ade)
            else:
                self._doubtful = True
            if key not in named:
                self.others.append(each)

    def joined(self, resource: Resource) -> Resource:
        """Return a machine with what its extension says, and any other resource as it is."""
        if not isinstance(resource, VirtualMachine):
            return resource
        keys = machine_keys(resource)
        told = {ade for key in keys for ade in self._by_machine.get(key, ())}
        own = told - {Ade()}
        ade = resource.ade
        if own:
            # Two extensions that say different things leave open which of them ran last.
            ade = next(iter(own)) if len(own) == 1 else Ade(ever=True)
        nobodys = not own and (self._doubtful or (self.others and not keys))
        # One of which nobody knows what it is may be of Azure Disk Encryption.
        return attrs.evolve(resource, ade=in_doubt(ade) if nobodys or own != told else ade)


def machine_keys(machine: VirtualMachine) -> list[ArmId | str]:
    """Return what an extension may call a machine."""
    keys: list[ArmId | str] = [machine.id] if isinstance(machine.id, ArmId) else []
    return [*keys, machine.name.casefold()] if isinstance(machine.name, str) else keys


Refused: TypeAlias = Callable[[MalformedError, Document], None]
"""Is told what is wrong with a document that is no resource."""


def read_resources(documents: Iterable[Document], refused: Refused | None = None) -> list[Resource]:
    """Read resources, and let machines know of their disk encryption extensions.

    An extension whose machine is not among the documents stands for a machine of which only that
    is known. Where it cannot be told whose an extension is, it may be any machine's.

    Args:
        documents: the resources.
        refused: is told of those that cannot be read, which are left out; without it, the first
            of them ends it all.

    Raises:
        InvalidInputError: a document is no resource; the message names the place in it.
    """
    resources: list[Resource] = []
    extensions: list[_Extension] = []
    for content, origin in documents:
        try:
            read = _read(Node(content), origin)
        except MalformedError as error:
            if refused is None:
                raise
            refused(error, (content, origin))
            continue
        if isinstance(read, _Extension):
            extensions.append(read)
        elif read is not None:
            resources.append(read)
    if extensions:
        machines = [each for each in resources if isinstance(each, VirtualMachine)]
        apart = _Extensions(extensions, machines)
        resources = [*map(apart.joined, resources), *map(_unknown_machine, apart.others)]
    return _with_models(resources)


def _with_models(resources: list[Resource]) -> list[Resource]:
    """Return resources, and of the instances that follow their scale set's model what that says."""
    machines = {
        number: each for number, each in enumerate(resources) if isinstance(each, VirtualMachine)
    }
    following = {
        number: each.scale_set_id
        for number, each in machines.items()
        if each.has_latest_model is True and each.ade == Ade()
    }
    if not following:
        return resources
    models: dict[ArmId | None, set[Ade]] = defaultdict(set)
    for machine in machines.values():
        # What a template asks for is not yet on any instance.
        if machine.is_new is False and isinstance(machine.id, ArmId):
            models[machine.id].add(machine.ade)
    found = list(resources)
    for number, scale_set in following.items():
        said = models.get(scale_set, set())
        if len(said) == 1:
            found[number] = attrs.evolve(machines[number], ade=next(iter(said)))
    return found


def _read(node: Node, origin: Origin | None) -> Resource | _Extension | None:
    """Read one document; None where it is of a type that is none of ours."""
    kind = node.at("type").text()
    if not isinstance(kind, str):
        raise MalformedError(node.pointer, "a resource has a type")
    if is_extension(kind):
        ade = read_extension(node)
        if ade is None:
            return None
        return _Extension(machine_of(node), ade, _placement(node), origin)
    reader = _READERS.get(kind.casefold())
    return None if reader is None else reader(node, origin)


def machine_of(extension: Node) -> ArmId | str | None:
    """Return the id or the name of an extension's machine, or None where nobody can tell."""
    identity = extension.at("id").arm_id()
    if isinstance(identity, ArmId) and len(identity.names) > 1:
        kind = identity.type.rpartition("/")[0]
        return attrs.evolve(identity, type=kind, names=identity.names[:-1])
    name = extension.at("name").text()
    return name.partition("/")[0] if isinstance(name, str) and "/" in name else None


def _unknown_machine(extension: _Extension) -> VirtualMachine:
    machine = extension.machine
    return VirtualMachine(
        id=machine if isinstance(machine, ArmId) else UNKNOWN,
        name=machine if isinstance(machine, str) else UNKNOWN,
        placement=extension.placement,
        origin=extension.origin,
        ade=extension.ade,
    )


def _whose(node: Node, origin: Origin | None, tenant: Maybe[str | None] = UNKNOWN) -> Whose:
    """Return what every resource has: what it is called, and where it is."""
    return Whose(
        id=or_unknown(node.at("id").arm_id()),
        name=or_unknown(node.at("name").text()),
        placement=_placement(node, tenant),
        origin=origin,
    )


def _placement(node: Node, tenant: Maybe[str | None] = UNKNOWN) -> Placement:
    return _place(or_unknown(node.at("location").text()), or_unknown(tenant))


@lru_cache(maxsize=4096)  # Many resources are in one place.
def _place(region: Maybe[str], tenant: Maybe[str]) -> Placement:
    return Placement(region, tenant=tenant)


def _machine(node: Node, origin: Origin | None) -> Resource:
    properties = properties_in(node)
    return read_machine(
        properties,
        _whose(node, origin, node.at("identity", "tenantId").text()),
        sku=node.at("sku", "name"),
        extension=_embedded(node, properties.at("virtualMachineProfile")),
        instance=str(node.at("type").value).casefold() == _INSTANCE,
    )


def _embedded(node: Node, scaled: Node) -> Ade | None:
    """Return what an extension that stands within its machine's document says."""
    found: list[Ade] = []
    for each in (node.at("resources"), scaled.at("extensionProfile", "extensions")):
        items = each.items()
        read = [Ade()] if isinstance(items, Unknown) else map(read_extension, items)
        found += [one for one in read if one is not None]
    # One that is known to be of Azure Disk Encryption is the only one of a machine.
    return next((one for one in found if one != Ade()), found[0] if found else None)


_FROM_NOTHING: Final = frozenset({"Empty", "FromImage", "Upload"})


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
    is_new = option in _FROM_NOTHING and properties.at("timeCreated").absent
    return NO_ADE if is_new else NO_ADE_NOW


def _set_id(properties: Node) -> Maybe[ArmId | None]:
    named = properties.at("encryption", "diskEncryptionSetId").arm_id()
    if named is None:
        named = properties.at("securityProfile", "secureVMDiskEncryptionSetId").arm_id()
    if named is None and properties.at("creationData").absent:
        return UNKNOWN
    return named


def _disk(node: Node, origin: Origin | None) -> Resource:
    properties = properties_in(node)
    return Disk(
        **_whose(node, origin),
        set_id=_set_id(properties),
        storage_type=or_unknown(node.at("sku", "name").text()),
        ade=_disk_ade(properties),
    )


def _snapshot(node: Node, origin: Origin | None) -> Resource:
    properties = properties_in(node)
    whole = not properties.at("creationData").absent
    source: Maybe[ArmId | None] = UNKNOWN
    if whole:
        source = properties.at("creationData", "sourceResourceId").arm_id()
    return Snapshot(
        **_whose(node, origin),
        set_id=_set_id(properties),
        source_id=source,
        incremental=in_whole(properties.at("incremental").flag(), default=False, whole=whole),
        ade=_disk_ade(properties),
    )


def _encryption_set(node: Node, origin: Origin | None) -> Resource:
    properties = properties_in(node)
    kind = node.at("identity", "type").text()
    client = properties.at("federatedClientId").text()
    key = properties.at("activeKey")
    url = key.at("keyUrl").text()
    vault = VaultReference(or_unknown(key.at("sourceVault", "id").arm_id()), or_unknown(url))
    return EncryptionSetResource(
        **_whose(node, origin, node.at("identity", "tenantId").text()),
        key=UNKNOWN if key.absent else KeyUse(or_unknown(url), vault),
        user_assigned="userassigned" in kind.casefold() if isinstance(kind, str) else UNKNOWN,
        # The word None clears the property, says the API.
        federated_client=client if isinstance(client, Unknown) else client not in {None, "None"},
    )


def _deployment(node: Node, origin: Origin | None) -> Resource:
    """Read a deployment, or a parameter file, of which only what it takes from vaults counts."""
    parameters = properties_in(node).at("parameters")
    vaults: list[VaultReference] = []
    for name in parameters.value if isinstance(parameters.value, Mapping) else ():
        vault = parameters.at(name, "reference", "keyVault")
        if not vault.absent:
            vaults.append(VaultReference(or_unknown(vault.at("id").arm_id())))
    return TemplateDeployment(
        **_whose(node, origin),
        secret_vaults=UNKNOWN if isinstance(parameters.known, Unknown) else tuple(vaults),
    )


def _vault(node: Node, origin: Origin | None) -> Resource:
    properties = properties_in(node)
    whole = not properties.at("tenantId").absent
    url = properties.at("vaultUri").text()
    roles = properties.at("enableRbacAuthorization").flag()
    version = node.at("apiVersion").text()
    if roles is None and isinstance(version, str):
        roles = version >= _RBAC_BY_DEFAULT

    def flag(name: str) -> Maybe[bool]:
        return in_whole(properties.at(name).flag(), default=False, whole=whole)

    return VaultResource(
        **_whose(node, origin, properties.at("tenantId").text()),
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
        _INSTANCE: _machine,
        "microsoft.compute/disks": _disk,
        "microsoft.compute/snapshots": _snapshot,
        "microsoft.compute/diskencryptionsets": _encryption_set,
        "microsoft.keyvault/vaults": _vault,
        "microsoft.keyvault/managedhsms": _vault,
        "microsoft.resources/deployments": _deployment,
    }
)
