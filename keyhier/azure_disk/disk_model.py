"""Azure Disk Encryption in the models of machines and disks.

``storageProfile.osDisk.encryptionSettings`` of a machine is the previous generation's;
``encryptionSettingsCollection`` of a managed disk belongs to both
(https://learn.microsoft.com/azure/templates/microsoft.compute/disks).
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from keyhier.azure_disk.addresses import KekAddress, check_vault_id
from keyhier.azure_disk.reading import given_flag, given_id, given_items, given_text, needed_text
from keyhier.azure_disk.settings import Generation
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.placement.arm_id import ArmId
from keyhier.placement.node import MalformedError, Node
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown
from keyhier.stored_secret import SecretId

__all__ = ["DiskCollection", "SecretAddress", "VolumeSettings", "read_generation"]

DISK_API: Final = "2026-03-02"
"""The version of the API of disks, snapshots and encryption sets."""

_VERSIONS: Final = {Generation.DUAL_PASS: "1.0", Generation.SINGLE_PASS: "1.1"}


@attrs.frozen
class SecretAddress:
    """The secret that unlocks a volume.

    Attributes:
        secret: its id, with the version.
        vault: the ARM id of its vault.
    """

    secret: SecretId
    vault: ArmId

    def __attrs_post_init__(self) -> None:
        if not self.secret.version:
            raise InvalidInputError(f"{self.secret} names a secret without its version")
        check_vault_id(self.vault, self.secret.vault)


@attrs.frozen
class VolumeSettings:
    """How one volume is unlocked.

    Attributes:
        secret: the secret, or None where nothing is encrypted.
        kek: the key that wraps it, or None.
    """

    secret: SecretAddress | None = None
    kek: KekAddress | None = None

    def __attrs_post_init__(self) -> None:
        if self.kek is not None and self.secret is None:
            raise InvalidInputError("a key encryption key wraps a secret, and none is named")
        if self.kek is not None and self.kek.vault is None:
            raise InvalidInputError("a disk's model names the ARM id of the key's vault")

    def as_element(self) -> dict[str, Any]:
        """Return an element of a disk's collection."""
        element: dict[str, Any] = {}
        if self.secret is not None:
            element["diskEncryptionKey"] = {
                "secretUrl": str(self.secret.secret),
                "sourceVault": {"id": str(self.secret.vault)},
            }
        if self.kek is not None:
            element["keyEncryptionKey"] = {
                "keyUrl": str(self.kek.id),
                "sourceVault": {"id": str(self.kek.vault)},
            }
        return element

    def as_machine_model(self) -> dict[str, Any]:
        """Return ``encryptionSettings`` of a machine's OS disk; no secret turns them off."""
        return {"enabled": self.secret is not None, **self.as_element()}

    @classmethod
    def parse(cls, document: object) -> VolumeSettings:
        """Read ``encryptionSettings``, or an element of a collection.

        Raises:
            InvalidInputError: they are malformed or contradict each other.
        """
        node = Node(document)
        secret, key = node.at("diskEncryptionKey"), node.at("keyEncryptionKey")
        if given_flag(node.at("enabled")) is False or secret.absent:
            return cls()
        kek = None
        if not key.absent and given_text(key.at("keyUrl")) is not None:
            kek = KekAddress(
                KeyId.parse(needed_text(key.at("keyUrl"))),
                vault=_vault(key.at("sourceVault", "id")),
            )
        address = SecretAddress(
            SecretId.parse(needed_text(secret.at("secretUrl"))),
            _vault(secret.at("sourceVault", "id")),
        )
        return cls(address, kek)


def _vault(node: Node) -> ArmId:
    identity = given_id(node)
    if identity is None:
        raise node.wrong("the id of a vault belongs here")
    return identity


@attrs.frozen
class DiskCollection:
    """``encryptionSettingsCollection`` of a managed disk.

    Attributes:
        generation: which generation encrypted it; it cannot be changed.
        volumes: how each volume is unlocked; none where encryption was disabled.
    """

    generation: Generation
    volumes: tuple[VolumeSettings, ...] = ()

    def __attrs_post_init__(self) -> None:
        if any(each.secret is None for each in self.volumes):
            raise InvalidInputError("each volume of a collection names its secret")

    def as_properties(self) -> dict[str, Any]:
        """Return what stands among the disk's properties."""
        collection: dict[str, Any] = {
            "enabled": bool(self.volumes),
            "encryptionSettingsVersion": _VERSIONS[self.generation],
        }
        if self.volumes:
            collection["encryptionSettings"] = [each.as_element() for each in self.volumes]
        return {"encryptionSettingsCollection": collection}

    @classmethod
    def parse(cls, document: object) -> DiskCollection:
        """Read ``encryptionSettingsCollection``.

        Raises:
            InvalidInputError: it is malformed or contradicts itself.
        """
        node = Node(document)
        needed_text(node.at("encryptionSettingsVersion"))
        generation = read_generation(node)
        if isinstance(generation, Unknown):
            raise node.at("encryptionSettingsVersion").wrong("1.0 or 1.1")
        enabled = given_flag(node.at("enabled"))
        items = given_items(node.at("encryptionSettings"))
        if bool(enabled) != bool(items):
            what = "what is enabled names secrets, and what is not names none"
            raise MalformedError(node.pointer, what)
        return cls(generation, tuple(VolumeSettings.parse(each.value) for each in items))


def read_generation(collection: Node) -> Maybe[Generation]:
    """Return which generation encrypted the disk that has a collection, as far as it says so."""
    number = collection.at("encryptionSettingsVersion").value
    return next((each for each, known in _VERSIONS.items() if known == number), UNKNOWN)
