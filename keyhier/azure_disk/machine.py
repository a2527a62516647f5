"""Machine: what eligibility depends on, as far as it is known.

A document of ARM tells some of it; the guest's memory, group policies and network somebody has to
tell. What nobody tells is UNKNOWN, and so is the answer that depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

import attrs

from keyhier.azure_disk.releases import release_of_image
from keyhier.azure_disk.vm_size import VmSize
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import AttachedDisk, Disk, Resource, System, VirtualMachine, Volumes
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, any_of, negated

__all__ = ["FACTS", "Image", "Machine", "Scenario", "Technology", "disks_by_id"]

_NO_DISKS: Final[Mapping[ArmId, Disk]] = MappingProxyType({})


class Scenario(StrEnum):
    """What is to be done with the machine."""

    ENABLE_NEW = "enable-new"
    ENABLE_EXISTING = "enable-existing"
    ENABLE_OWN_VHD = "enable-own-vhd"
    DISABLE = "disable"
    UPDATE = "update"
    BACK_UP = "back-up"
    RESTORE = "restore"


class Image(StrEnum):
    """What the OS disk was made from."""

    GALLERY = "gallery"
    CUSTOM = "custom"
    ENCRYPTED_VHD = "encrypted-vhd"


class Technology(StrEnum):
    """What a machine may use, or may have done to it, that disk encryption does not go with."""

    ACFS = "acfs"
    AZURE_FILES = "azure-files"
    DATA_OVER_OS_FOLDER = "data-over-os-folder"
    DYNAMIC_VOLUMES = "dynamic-volumes"
    FAILOVER_CLUSTER = "failover-cluster"
    IMAGE_OF_ENCRYPTED_VM = "image-of-encrypted-vm"
    ISCSI = "iscsi"
    KDUMP = "kdump"
    LVM = "lvm"
    MDADM = "mdadm"
    MOUNT_PATHS = "mount-paths"
    MOVE_OF_ENCRYPTED_VM = "move-of-encrypted-vm"
    NESTED_MOUNTS = "nested-mounts"
    NFS = "nfs"
    ON_PREMISES_KMS = "on-premises-kms"
    OS_DISK_RESIZE = "os-disk-resize"
    OS_VOLUME_ON_DATA_DISK = "os-volume-on-data-disk"
    SECRET_LIFETIME_POLICY = "secret-lifetime-policy"  # noqa: S105  # The name of a policy.
    SHARED_FILE_SYSTEM = "shared-file-system"
    SOFTWARE_RAID = "software-raid"
    STORAGE_SPACES = "storage-spaces"
    STORAGE_SPACES_DIRECT = "storage-spaces-direct"
    WINDOWS_CONTAINERS = "windows-containers"


@attrs.frozen(kw_only=True)
class Machine:
    """A virtual machine that is to be encrypted, decrypted, backed up or restored.

    Attributes:
        scenario: what is to be done.
        system: Windows or Linux.
        release: distribution and release: ``ubuntu 22.04``, ``windows-server 2022``.
        size: the name of the size.
        generation: 1 or 2.
        memory_gb: memory in GiB.
        root_usage_gb: what the root file system uses, in GiB.
        volumes: which volumes are to be encrypted or decrypted.
        image: what the OS disk was made from.
        classic: whether it was made with the classic deployment model.
        scale_set: whether it is a machine of a scale set.
        managed_disks: whether its disks are managed disks.
        ephemeral_os_disk: whether its OS disk lies on the host alone.
        ultra_disk: whether it has an Ultra disk.
        premium_v2: whether it has a Premium SSD v2 disk.
        nvme: whether it has NVMe disks.
        write_accelerator: whether writes to a disk are accelerated.
        host_encryption: whether encryption at host is on.
        cmk: whether a disk is under an encryption set.
        ade: whether Azure Disk Encryption is on.
        ade_ever: whether it ever was.
        os_encrypted: whether Azure Disk Encryption encrypts the OS volume.
        dual_pass: whether an application of Entra lets the guest write the secrets.
        kek_bits: the size of the key encryption key in bits; 0 where there is none.
        enforces_tpm: whether a group policy enforces TPM protectors.
        allows_256_bit_recovery_key: whether the BitLocker policy, where there is one, allows it.
        blocks_aes_cbc: whether a group policy blocks AES-CBC.
        mbam: whether MBAM's policies apply.
        reaches_entra: whether the guest reaches a login endpoint of Entra.
        reaches_vault: whether it reaches the key vault.
        reaches_storage: whether it reaches the storage of the extensions.
        size_supports_host_encryption: whether the size does, as ``az vm list-skus`` tells.
        host_encryption_registered: whether the subscription has the feature EncryptionAtHost.
        uses: which of the technologies it uses.
    """

    scenario: Maybe[Scenario] = UNKNOWN
    system: Maybe[System] = UNKNOWN
    release: Maybe[str] = UNKNOWN
    size: Maybe[str] = UNKNOWN
    generation: Maybe[int] = UNKNOWN
    memory_gb: Maybe[float] = UNKNOWN
    root_usage_gb: Maybe[float] = UNKNOWN
    volumes: Maybe[Volumes] = UNKNOWN
    image: Maybe[Image] = UNKNOWN
    classic: Maybe[bool] = UNKNOWN
    scale_set: Maybe[bool] = UNKNOWN
    managed_disks: Maybe[bool] = UNKNOWN
    ephemeral_os_disk: Maybe[bool] = UNKNOWN
    ultra_disk: Maybe[bool] = UNKNOWN
    premium_v2: Maybe[bool] = UNKNOWN
    nvme: Maybe[bool] = UNKNOWN
    write_accelerator: Maybe[bool] = UNKNOWN
    host_encryption: Maybe[bool] = UNKNOWN
    cmk: Maybe[bool] = UNKNOWN
    ade: Maybe[bool] = UNKNOWN
    ade_ever: Maybe[bool] = UNKNOWN
    os_encrypted: Maybe[bool] = UNKNOWN
    dual_pass: Maybe[bool] = UNKNOWN
    kek_bits: Maybe[int] = UNKNOWN
    enforces_tpm: Maybe[bool] = UNKNOWN
    allows_256_bit_recovery_key: Maybe[bool] = UNKNOWN
    blocks_aes_cbc: Maybe[bool] = UNKNOWN
    mbam: Maybe[bool] = UNKNOWN
    reaches_entra: Maybe[bool] = UNKNOWN
    reaches_vault: Maybe[bool] = UNKNOWN
    reaches_storage: Maybe[bool] = UNKNOWN
    size_supports_host_encryption: Maybe[bool] = UNKNOWN
    host_encryption_registered: Maybe[bool] = UNKNOWN
    uses: Maybe[frozenset[Technology]] = UNKNOWN

    @classmethod
    def of(cls, machine: VirtualMachine, disks: Mapping[ArmId, Disk] = _NO_DISKS) -> Machine:
        """Return what documents of ARM tell of a machine.

        Args:
            machine: its own.
            disks: those of its disks, as far as there are any, and of others; by their ids.
        """
        attached = _with_own(machine.disks, disks)
        return cls(
            system=machine.system,
            release=_release(machine),
            size=machine.size,
            generation=machine.generation,
            volumes=machine.ade.volumes,
            image=_image(machine),
            # The classic model's machines have no id in ARM and cannot be described here.
            classic=False,
            scale_set=machine.scale_set,
            managed_disks=negated(_any(attached, lambda disk: negated(disk.managed))),
            ephemeral_os_disk=_any(attached, lambda disk: disk.ephemeral),
            ultra_disk=_any(attached, lambda disk: _is_of(disk, "ultrassd_lrs")),
            premium_v2=_any(attached, lambda disk: _is_of(disk, "premiumv2_lrs")),
            write_accelerator=_any(attached, lambda disk: disk.write_accelerator),
            host_encryption=machine.host_encryption,
            cmk=_any(attached, lambda disk: _under_set(disk, disks)),
            ade=machine.ade.enabled,
            ade_ever=machine.ade.was_ever,
            kek_bits=0 if machine.ade.kek is None else UNKNOWN,
        )

    @property
    def _parsed_size(self) -> Maybe[VmSize]:
        if isinstance(self.size, Unknown):
            return UNKNOWN
        return VmSize.parse(self.size) or UNKNOWN

    @property
    def tier(self) -> Maybe[str]:
        """The tier of the size: ``basic`` or ``standard``."""
        size = self._parsed_size
        return UNKNOWN if isinstance(size, Unknown) else size.tier

    @property
    def family(self) -> Maybe[str]:
        """The family of the size, in capitals."""
        size = self._parsed_size
        return UNKNOWN if isinstance(size, Unknown) else size.family

    @property
    def version(self) -> Maybe[int]:
        """The version of the size."""
        size = self._parsed_size
        return UNKNOWN if isinstance(size, Unknown) else size.version

    @property
    def memory_per_root_usage(self) -> Maybe[float]:
        """How many times the root file system's usage the memory is."""
        if isinstance(self.memory_gb, Unknown) or isinstance(self.root_usage_gb, Unknown):
            return UNKNOWN
        return self.memory_gb / self.root_usage_gb if self.root_usage_gb else float("inf")


def _release(machine: VirtualMachine) -> Maybe[str]:
    if machine.image is None or isinstance(machine.image, Unknown):
        return UNKNOWN
    return release_of_image(*machine.image)


def _image(machine: VirtualMachine) -> Maybe[Image]:
    # Without an image of the gallery it may be a custom one, or a disk that was encrypted before.
    return Image.GALLERY if isinstance(machine.image, tuple) else UNKNOWN


def _with_own(
    attached: Maybe[tuple[AttachedDisk, ...]], disks: Mapping[ArmId, Disk]
) -> Maybe[tuple[AttachedDisk, ...]]:
    """Return the disks, with the storage type that their own documents tell."""
    if isinstance(attached, Unknown):
        return UNKNOWN
    return tuple(_with_type(each, _own(each, disks)) for each in attached)


def _with_type(disk: AttachedDisk, own: Disk | None) -> AttachedDisk:
    if own is None or isinstance(own.storage_type, Unknown):
        return disk
    return attrs.evolve(disk, storage_type=own.storage_type)


def _own(disk: AttachedDisk, disks: Mapping[ArmId, Disk]) -> Disk | None:
    return disks.get(disk.id) if isinstance(disk.id, ArmId) else None


def _any(
    disks: Maybe[tuple[AttachedDisk, ...]], ask: Callable[[AttachedDisk], Maybe[bool]]
) -> Maybe[bool]:
    return UNKNOWN if isinstance(disks, Unknown) else any_of(*map(ask, disks))


def _is_of(disk: AttachedDisk, storage_type: str) -> Maybe[bool]:
    known = disk.storage_type
    return UNKNOWN if isinstance(known, Unknown) else known.casefold() == storage_type


def _under_set(disk: AttachedDisk, disks: Mapping[ArmId, Disk]) -> Maybe[bool]:
    if isinstance(disk.set_id, ArmId):
        return True
    own = _own(disk, disks)
    # A disk of its own may be under a set that the machine's model does not name.
    told = disk.set_id if disk.id is None else UNKNOWN if own is None else own.set_id
    return UNKNOWN if isinstance(told, Unknown) else told is not None


def disks_by_id(resources: Iterable[Resource]) -> dict[ArmId, Disk]:
    """Return the documents of disks among those of other resources."""
    return {
        each.id: each for each in resources if isinstance(each, Disk) and isinstance(each.id, ArmId)
    }


FACTS: Final = frozenset(field.name for field in attrs.fields(Machine)) | {
    "tier",
    "family",
    "version",
    "memory_per_root_usage",
}
"""What a reason may ask of a machine."""
