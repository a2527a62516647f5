"""What rules are about: machines, disks, snapshots, sets and vaults, as far as they are known.

Every field may be UNKNOWN. None, where a field allows it, says that the thing is known not to be
there. The values come from wherever there is knowledge: settings, plans, templates, answers of
Azure, or a declaration, so a vault may as well be a PKCS#11 token.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final, TypeAlias

import attrs

from keyhier.placement.arm_id import ArmId
from keyhier.placement.node import printable
from keyhier.placement.place import NOWHERE, Placement
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = [
    "NO_ADE",
    "NO_ADE_NOW",
    "Ade",
    "AttachedDisk",
    "Disk",
    "EncryptionSetResource",
    "KeyUse",
    "Origin",
    "Resource",
    "Snapshot",
    "System",
    "TemplateDeployment",
    "VaultReference",
    "VaultResource",
    "VirtualMachine",
    "Volumes",
]


_INSTANCE: Final = "Microsoft.Compute/virtualMachineScaleSets/virtualMachines"


class System(StrEnum):
    """The operating system of a machine."""

    WINDOWS = "windows"
    LINUX = "linux"


class Volumes(StrEnum):
    """Which volumes of a machine; the values are those of Azure Disk Encryption's VolumeType."""

    OS = "OS"
    DATA = "Data"
    ALL = "All"


@attrs.frozen
class Origin:
    """Where a resource was read.

    Attributes:
        file: the path or address, as it was given.
        line: counted from 1, or None.
        column: counted from 1, or None.
        pointer: the place in the document (RFC 6901).
    """

    file: str
    line: int | None = None
    column: int | None = None
    pointer: str = ""

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line, self.column) if part)
        return f"{place}#{self.pointer}" if self.pointer else place


def _host(text: Maybe[str]) -> Maybe[str]:
    if isinstance(text, Unknown):
        return text
    bare = text.strip().casefold().partition("://")[2] or text.strip().casefold()
    return bare.partition("/")[0].removesuffix(":443")


@attrs.frozen
class VaultReference:
    """How a resource names a vault: by the ARM id, by the host of its URL, or both.

    Attributes:
        id: the vault's ARM id.
        host: the host of its data plane; a URL is taken too.
    """

    id: Maybe[ArmId] = UNKNOWN
    host: Maybe[str] = attrs.field(default=UNKNOWN, converter=_host)

    def __str__(self) -> str:
        known = self.host if isinstance(self.id, Unknown) else self.id.name
        if isinstance(known, Unknown):
            return "a vault that is not known"
        return f"vault {printable(known)}"


@attrs.frozen
class KeyUse:
    """A key that a resource uses.

    Attributes:
        url: the key's URL, as it was written.
        vault: the vault that it lies in.
    """

    url: Maybe[str] = UNKNOWN
    vault: VaultReference = VaultReference()


@attrs.frozen
class Ade:
    """What is known of Azure Disk Encryption on a machine or a disk.

    Attributes:
        enabled: whether it is on now.
        ever: whether it was ever on; what is on now was on.
        volumes: which volumes it encrypts.
        vault: the vault that holds the secrets; None where no secret is named.
        kek: the key that wraps them; None where there is none.
    """

    enabled: Maybe[bool] = UNKNOWN
    ever: Maybe[bool] = UNKNOWN
    volumes: Maybe[Volumes] = UNKNOWN
    vault: Maybe[VaultReference | None] = UNKNOWN
    kek: Maybe[KeyUse | None] = UNKNOWN

    @property
    def was_ever(self) -> Maybe[bool]:
        """Whether it is or was on."""
        return True if self.enabled is True else self.ever


NO_ADE: Final = Ade(enabled=False, ever=False, volumes=UNKNOWN, vault=None, kek=None)
"""A resource that Azure Disk Encryption was never used on."""

NO_ADE_NOW: Final = attrs.evolve(NO_ADE, ever=UNKNOWN)
"""A resource that Azure Disk Encryption is not used on, and may have been."""


@attrs.frozen
class AttachedDisk:
    """A disk as its machine names it.

    Attributes:
        id: the managed disk's ARM id; None for one that is made with the machine, so that only the
            machine's model describes it.
        name: the disk's name.
        is_os: whether it is the OS disk.
        set_id: the encryption set that the machine's model names for it; None where it names none,
            so that the disk itself decides.
        managed: whether it is a managed disk.
        ephemeral: whether it lies on the host alone.
        storage_type: the storage account type, such as ``Premium_LRS``.
        write_accelerator: whether writes are accelerated (M-series).
        ade: Azure Disk Encryption of this disk, as the machine's model or instance view tells it;
            None where they say nothing of it.
    """

    id: Maybe[ArmId | None] = UNKNOWN
    name: Maybe[str] = UNKNOWN
    is_os: Maybe[bool] = UNKNOWN
    set_id: Maybe[ArmId | None] = UNKNOWN
    managed: Maybe[bool] = UNKNOWN
    ephemeral: Maybe[bool] = UNKNOWN
    storage_type: Maybe[str] = UNKNOWN
    write_accelerator: Maybe[bool] = UNKNOWN
    ade: Ade | None = None

    @property
    def label(self) -> str:
        """What a report calls it."""
        return _label("disk", self.id, self.name)


@attrs.frozen(kw_only=True)
class _Resource:
    id: Maybe[ArmId] = UNKNOWN
    name: Maybe[str] = UNKNOWN
    placement: Placement = NOWHERE
    origin: Origin | None = attrs.field(default=None, eq=False)

    KIND = "resource"

    @property
    def label(self) -> str:
        """What a report calls it: what it is, and its name."""
        return _label(self.KIND, self.id, self.name)

    @property
    def place(self) -> Placement:
        """Where it is, the id's subscription included."""
        return self.placement if isinstance(self.id, Unknown) else self.placement.of(self.id)


def _label(kind: str, identity: Maybe[ArmId | None], name: Maybe[str]) -> str:
    known = identity.name if isinstance(identity, ArmId) else name
    if isinstance(known, Unknown):
        return f"a {kind} without a known name"
    return f"{kind} {printable(known)}"


@attrs.frozen(kw_only=True)
class VirtualMachine(_Resource):
    """A virtual machine, or a machine of a scale set.

    Attributes:
        system: the operating system.
        size: the size's name, such as ``Standard_D2s_v3``.
        generation: 1 or 2.
        image: publisher, offer and SKU of the gallery image; None for a custom image or disk.
        security_type: ``Standard``, ``TrustedLaunch`` or ``ConfidentialVM``.
        scale_set: whether it stands for the machines of a scale set, or is one of them.
        host_encryption: whether encryption at host is on.
        disks: the OS disk and the data disks.
        ade: Azure Disk Encryption as the machine's extension or model tells it.
        secret_vaults: the vaults whose secrets it is given when it is deployed: certificates, and
            the keys of an encrypted VHD.
        is_new: whether its document makes it, so that it has no past.
        has_latest_model: for one of a scale set's machines, whether it is as the set's model says.
    """

    KIND = "VM"

    system: Maybe[System] = UNKNOWN
    size: Maybe[str] = UNKNOWN
    generation: Maybe[int] = UNKNOWN
    image: Maybe[tuple[str, str, str] | None] = UNKNOWN
    security_type: Maybe[str] = UNKNOWN
    scale_set: Maybe[bool] = False
    host_encryption: Maybe[bool] = UNKNOWN
    disks: Maybe[tuple[AttachedDisk, ...]] = UNKNOWN
    ade: Ade = Ade()
    secret_vaults: Maybe[tuple[VaultReference, ...]] = UNKNOWN
    is_new: Maybe[bool] = UNKNOWN
    has_latest_model: Maybe[bool] = UNKNOWN

    @property
    def scale_set_id(self) -> ArmId | None:
        """The scale set that it is a machine of, or None where it is of none that is known."""
        if isinstance(self.id, ArmId) and self.id.is_a(_INSTANCE):
            parent = self.id.type.rpartition("/")[0]
            return attrs.evolve(self.id, type=parent, names=self.id.names[:-1])
        return None


@attrs.frozen(kw_only=True)
class Disk(_Resource):
    """A managed disk.

    Attributes:
        set_id: the encryption set that its data are encrypted under; None for none.
        storage_type: the SKU, such as ``Premium_LRS``.
        ade: Azure Disk Encryption, as ``encryptionSettingsCollection`` tells it.
    """

    KIND = "disk"

    set_id: Maybe[ArmId | None] = UNKNOWN
    storage_type: Maybe[str] = UNKNOWN
    ade: Ade = Ade()


@attrs.frozen(kw_only=True)
class Snapshot(_Resource):
    """A snapshot of a disk.

    Attributes:
        set_id: the encryption set that its data are encrypted under; None for none.
        source_id: the disk that it was taken of; None for one that was imported.
        incremental: whether it holds only what changed.
        ade: Azure Disk Encryption, as ``encryptionSettingsCollection`` tells it.
    """

    KIND = "snapshot"

    set_id: Maybe[ArmId | None] = UNKNOWN
    source_id: Maybe[ArmId | None] = UNKNOWN
    incremental: Maybe[bool] = UNKNOWN
    ade: Ade = Ade()


@attrs.frozen(kw_only=True)
class EncryptionSetResource(_Resource):
    """A disk encryption set, as Azure keeps it.

    Attributes:
        key: the active key.
        user_assigned: whether a user-assigned identity is among its identities.
        federated_client: whether a multi-tenant application's client id is set.
    """

    KIND = "encryption set"

    key: Maybe[KeyUse] = UNKNOWN
    user_assigned: Maybe[bool] = UNKNOWN
    federated_client: Maybe[bool] = UNKNOWN


@attrs.frozen(kw_only=True)
class VaultResource(_Resource):
    """A key vault or managed HSM; or any vault whose place was declared.

    Attributes:
        host: the host of its data plane; a URL is taken too.
        for_disk_encryption: whether Azure Disk Encryption may read its secrets.
        for_deployment: whether virtual machines may be given its secrets at deployment.
        for_template_deployment: whether ARM may read its secrets for templates.
        purge_protection: whether what is deleted cannot be purged.
        rbac: whether roles decide about access, and not access policies.
    """

    KIND = "vault"

    host: Maybe[str] = attrs.field(default=UNKNOWN, converter=_host)
    for_disk_encryption: Maybe[bool] = UNKNOWN
    for_deployment: Maybe[bool] = UNKNOWN
    for_template_deployment: Maybe[bool] = UNKNOWN
    purge_protection: Maybe[bool] = UNKNOWN
    rbac: Maybe[bool] = UNKNOWN

    @property
    def reference(self) -> VaultReference:
        """How another resource would name it."""
        return VaultReference(self.id, self.host)


@attrs.frozen(kw_only=True)
class TemplateDeployment(_Resource):
    """The deployment of a template.

    Attributes:
        secret_vaults: the vaults whose secrets its parameters refer to.
    """

    KIND = "deployment"

    secret_vaults: Maybe[tuple[VaultReference, ...]] = UNKNOWN


Resource: TypeAlias = (
    VirtualMachine | Disk | Snapshot | EncryptionSetResource | VaultResource | TemplateDeployment
)
"""What rules are about."""
