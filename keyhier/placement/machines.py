"""Reads a virtual machine's properties from ARM's JSON."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypedDict

from keyhier.placement.ade_model import read_ade
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import (
    NO_ADE,
    NO_ADE_NOW,
    Ade,
    AttachedDisk,
    Origin,
    System,
    VaultReference,
    VirtualMachine,
)
from keyhier.placement.node import Node
from keyhier.placement.place import Placement
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, in_whole, or_unknown, same

__all__ = ["Whose", "is_new", "read_machine"]

ENCRYPTED: Final = "EncryptionState/encrypted"
NOT_ENCRYPTED: Final = "EncryptionState/notEncrypted"
_OF_WHAT_IS_THERE: Final = (
    "vmId",
    "uniqueId",
    "provisioningState",
    "timeCreated",
    "instanceView",
)


class Whose(TypedDict):
    """What every resource has: what it is called, where it is, and where it was read."""

    id: Maybe[ArmId]
    name: Maybe[str]
    placement: Placement
    origin: Origin | None


def read_machine(
    properties: Node,
    whose: Whose,
    *,
    sku: Node,
    extension: Ade | None,
    instance: bool = False,
) -> VirtualMachine:
    """Read what a machine is like.

    Args:
        properties: the properties of a machine, or of a scale set.
        whose: what it is called, and where it is.
        sku: the name of a scale set's SKU, which is the size of its machines.
        extension: what a disk encryption extension within its document says, if there is one.
        instance: whether it is one of a scale set's machines.

    Raises:
        InvalidInputError: something is malformed.
    """
    made = is_new(properties)
    latest = properties.at("latestModelApplied").flag()
    scaled = properties.at("virtualMachineProfile")
    scale_set = not scaled.absent
    properties = scaled if scale_set else properties
    storage = properties.at("storageProfile")
    # Updates name only what they change, and what they do not name stays unknown.
    whole = scale_set or not (
        properties.at("hardwareProfile").absent and properties.at("osProfile").absent
    )
    size = sku.text() if scale_set or instance else None
    if size is None:
        size = properties.at("hardwareProfile", "vmSize").text()
    security = properties.at("securityProfile", "securityType").text()
    if extension is None:
        # Where the machine is described and no extension stands beside it, there is none. Those of
        # a scale set's machines stand in its model.
        extension = (NO_ADE if made else NO_ADE_NOW) if whole and not instance else Ade()
    return VirtualMachine(
        **whose,
        system=_system(properties),
        size=or_unknown(size),
        generation=_generation(properties, security),
        image=_image(storage, whole=whole),
        security_type=in_whole(security, "Standard", whole=whole),
        scale_set=scale_set or instance,
        host_encryption=in_whole(
            properties.at("securityProfile", "encryptionAtHost").flag(), default=False, whole=whole
        ),
        disks=_disks(properties, whole=whole),
        ade=extension,
        secret_vaults=_secret_vaults(properties, whole=whole, made=made),
        is_new=made,
        has_latest_model=or_unknown(latest),
    )


def is_new(properties: Node) -> bool:
    """Whether the document makes the machine; one that is there may have a past that it hides."""
    return all(properties.at(name).absent for name in _OF_WHAT_IS_THERE)


def _system(properties: Node) -> Maybe[System]:
    named = properties.at("storageProfile", "osDisk", "osType").text()
    if isinstance(named, str) and named.casefold() in list(System):
        return System(named.casefold())
    for system in System:
        if not properties.at("osProfile", f"{system}Configuration").absent:
            return system
    return UNKNOWN


def _generation(properties: Node, security: Maybe[str | None]) -> Maybe[int]:
    named = properties.at("instanceView", "hyperVGeneration").text()
    if named in {"V1", "V2"}:
        return int(str(named)[1])
    # https://learn.microsoft.com/azure/virtual-machines/trusted-launch: both need Generation 2.
    return 2 if security in {"TrustedLaunch", "ConfidentialVM"} else UNKNOWN


def _secret_vaults(
    properties: Node, *, whole: bool, made: bool
) -> Maybe[tuple[VaultReference, ...]]:
    """Return the vaults whose secrets the machine is given when it is deployed."""
    certificates = properties.at("osProfile", "secrets")
    listed = certificates.items()
    if isinstance(listed, Unknown) or (certificates.absent and not whole):
        return UNKNOWN
    vaults = [VaultReference(or_unknown(each.at("sourceVault", "id").arm_id())) for each in listed]
    settings = properties.at("storageProfile", "osDisk", "encryptionSettings")
    if not settings.absent and made:
        # The disk is encrypted already, so the host fetches its key before it starts the machine.
        ade = read_ade(settings)
        if ade.enabled is not False and isinstance(ade.vault, VaultReference):
            vaults.append(ade.vault)
    return tuple(vaults)


def _image(storage: Node, *, whole: bool) -> Maybe[tuple[str, str, str] | None]:
    image = storage.at("imageReference")
    if image.absent:
        return None if whole else UNKNOWN
    parts = [image.at(name).text() for name in ("publisher", "offer", "sku")]
    if UNKNOWN in parts or isinstance(image.known, Unknown):
        return UNKNOWN
    known = [part for part in parts if isinstance(part, str)]
    return (known[0], known[1], known[2]) if len(known) == len(parts) else None


def _disks(properties: Node, *, whole: bool) -> Maybe[tuple[AttachedDisk, ...]]:
    storage = properties.at("storageProfile")
    data = storage.at("dataDisks").items()
    if not whole and storage.at("dataDisks").absent:
        data = UNKNOWN
    if isinstance(data, Unknown) or isinstance(storage.at("osDisk").known, Unknown):
        return UNKNOWN
    views = _instance_views(properties)
    found = [] if storage.at("osDisk").absent else [_disk(storage.at("osDisk"), views, is_os=True)]
    return (*found, *(_disk(each, views, is_os=False) for each in data))


def _disk(node: Node, views: Mapping[str, Ade], *, is_os: bool) -> AttachedDisk:
    managed = node.at("managedDisk")
    identity: Maybe[ArmId | None] = managed.at("id").arm_id()
    if identity is None and node.at("createOption").text() == "Attach" and node.at("vhd").absent:
        identity = UNKNOWN
    set_id = managed.at("diskEncryptionSet", "id").arm_id()
    if set_id is None:
        set_id = managed.at("securityProfile", "diskEncryptionSet", "id").arm_id()
    name = node.at("name").text()
    settings = node.at("encryptionSettings")
    return AttachedDisk(
        id=identity,
        name=or_unknown(name),
        is_os=is_os,
        set_id=set_id,
        managed=node.at("vhd").absent,
        ephemeral=same(node.at("diffDiskSettings", "option").text(), "Local"),
        storage_type=or_unknown(managed.at("storageAccountType").text()),
        write_accelerator=in_whole(
            node.at("writeAcceleratorEnabled").flag(), default=False, whole=True
        ),
        ade=views.get(str(name)) if settings.absent else read_ade(settings),
    )


def _instance_views(properties: Node) -> Mapping[str, Ade]:
    """Return what an instance view tells of each disk's encryption, by the disk's name."""
    found: dict[str, Ade] = {}
    listed = properties.at("instanceView", "disks").items()
    for each in () if isinstance(listed, Unknown) else listed:
        codes = each.at("statuses").items()
        texts = [] if isinstance(codes, Unknown) else [code.at("code").text() for code in codes]
        settings = each.at("encryptionSettings").items()
        if isinstance(settings, Unknown):
            continue
        if settings:
            ade = read_ade(settings[0])
        elif ENCRYPTED in texts:
            ade = Ade(enabled=True, ever=True)
        elif NOT_ENCRYPTED in texts:
            ade = NO_ADE_NOW
        else:
            continue
        found[str(each.at("name").text())] = ade
    return MappingProxyType(found)
