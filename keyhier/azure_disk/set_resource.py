"""The disk encryption set as a resource, and how disks and machines refer to it.

https://learn.microsoft.com/azure/templates/microsoft.compute/diskencryptionsets
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Any, Final

import attrs

from keyhier.azure_disk.addresses import check_vault_id
from keyhier.azure_disk.disk_model import DISK_API
from keyhier.azure_disk.reading import (
    given_flag,
    given_id,
    given_items,
    given_text,
    needed_text,
    properties_of,
)
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.placement.arm_id import ArmId
from keyhier.placement.node import Node

__all__ = ["EncryptionType", "SetResource", "SetState", "disk_reference", "machine_reference"]

SET_TYPE: Final = "Microsoft.Compute/diskEncryptionSets"
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


class EncryptionType(StrEnum):
    """What a set encrypts with."""

    CUSTOMER_KEY = "EncryptionAtRestWithCustomerKey"
    PLATFORM_AND_CUSTOMER_KEYS = "EncryptionAtRestWithPlatformAndCustomerKeys"
    CONFIDENTIAL_VM = "ConfidentialVmEncryptedWithCustomerKey"


@attrs.frozen(kw_only=True)
class SetResource:
    """A disk encryption set.

    Attributes:
        id: its ARM id.
        location: its region.
        key: the key's id, with a version also where the latest is followed.
        vault: the ARM id of the key's vault; not allowed where that is in another subscription.
        follow_latest: whether new versions of the key are taken up by themselves.
        encryption_type: what it encrypts with.
        user_identities: user-assigned identities.
        system_identity: whether it has an identity of its own.
        federated_client_id: the client id of a multi-tenant application, for a vault of another
            tenant; None for none.
    """

    id: ArmId
    location: str
    key: KeyId
    vault: ArmId | None = None
    follow_latest: bool = False
    encryption_type: EncryptionType = EncryptionType.CUSTOMER_KEY
    user_identities: tuple[ArmId, ...] = ()
    system_identity: bool = True
    federated_client_id: str | None = None

    def __attrs_post_init__(self) -> None:
        if not self.id.is_a(SET_TYPE) or not _NAME.fullmatch(self.id.name):
            raise InvalidInputError(
                f"{self.id} is no id of an encryption set: a name has 1 to 80 of A-Z, a-z, 0-9,"
                " _ and -"
            )
        if self.key.scheme != "https" or not self.key.version:
            raise InvalidInputError(
                f"{self.key} is no key in a key vault with its version",
                remedy="name a version; following the latest is a setting of the set",
            )
        if self.vault is not None:
            check_vault_id(self.vault, self.key.vault)
            if self.vault.subscription.casefold() != self.id.subscription.casefold():
                raise InvalidInputError(
                    "a vault in another subscription is not named in the set",
                    remedy="leave the vault out; the key's URL is enough",
                )
        if self.federated_client_id is not None and not self.user_identities:
            raise InvalidInputError(
                "a vault of another tenant needs a user-assigned identity beside the client id"
            )
        if not (self.system_identity or self.user_identities):
            raise InvalidInputError("a set needs an identity to use its key with")

    def as_resource(self) -> dict[str, Any]:
        """Return the set as a resource of an ARM template."""
        active: dict[str, Any] = {"keyUrl": str(self.key)}
        if self.vault is not None:
            active["sourceVault"] = {"id": str(self.vault)}
        properties: dict[str, Any] = {
            "activeKey": active,
            "encryptionType": self.encryption_type.value,
            "rotationToLatestKeyVersionEnabled": self.follow_latest,
        }
        if self.federated_client_id is not None:
            properties["federatedClientId"] = self.federated_client_id
        return {
            "type": SET_TYPE,
            "apiVersion": DISK_API,
            "name": self.id.name,
            "location": self.location,
            "identity": self._identity(),
            "properties": properties,
        }

    def _identity(self) -> dict[str, Any]:
        kinds = [
            *(["SystemAssigned"] if self.system_identity else []),
            *(["UserAssigned"] if self.user_identities else []),
        ]
        identity: dict[str, Any] = {"type": ", ".join(kinds)}
        if self.user_identities:
            identity["userAssignedIdentities"] = {str(each): {} for each in self.user_identities}
        return identity

    @classmethod
    def parse(cls, document: object) -> SetResource:
        """Read a set as ARM stores it, or as ``az disk-encryption-set show`` prints it.

        Raises:
            InvalidInputError: it is none, or contradicts itself; the message names the place.
        """
        node, properties = Node(document), properties_of(document)
        identity = given_id(node.at("id"))
        if identity is None:
            raise node.at("id").wrong("the id of the set belongs here")
        kind = properties.at("encryptionType")
        # What a template leaves out Azure makes of the customer's key alone.
        encryption_type = EncryptionType.CUSTOMER_KEY if kind.absent else needed_text(kind)
        if encryption_type not in list(EncryptionType):
            raise kind.wrong(f"one of {', '.join(EncryptionType)}")
        active = properties.at("activeKey")
        client = given_text(properties.at("federatedClientId"))
        return cls(
            id=identity,
            location=needed_text(node.at("location")),
            key=KeyId.parse(needed_text(active.at("keyUrl"))),
            vault=given_id(active.at("sourceVault", "id")),
            follow_latest=given_flag(properties.at("rotationToLatestKeyVersionEnabled")) or False,
            encryption_type=EncryptionType(encryption_type),
            user_identities=_user_identities(node.at("identity", "userAssignedIdentities")),
            system_identity="systemassigned" in needed_text(node.at("identity", "type")).casefold(),
            federated_client_id=None if client == "None" else client,
        )


def _user_identities(node: Node) -> tuple[ArmId, ...]:
    if node.absent:
        return ()
    if not isinstance(node.value, dict):
        raise node.wrong_kind("an object belongs here")
    return tuple(ArmId.parse(each) for each in node.value)


@attrs.frozen
class SetState:
    """How a set is doing, as Azure tells it.

    Attributes:
        provisioning: ``Succeeded``, or what Azure is about.
        previous_keys: the key versions that a rotation has not left behind yet.
        last_rotation: when the key was last rotated, as Azure writes it.
        rotation_error: code and message of the last automatic rotation that failed, or None.
    """

    provisioning: str | None
    previous_keys: tuple[str, ...]
    last_rotation: str | None
    rotation_error: tuple[str, str] | None

    @classmethod
    def parse(cls, document: object) -> SetState:
        """Read the state of a set.

        Raises:
            InvalidInputError: it is malformed.
        """
        properties = properties_of(document)
        error = properties.at("autoKeyRotationError")
        return cls(
            given_text(properties.at("provisioningState")),
            tuple(
                needed_text(each.at("keyUrl"))
                for each in given_items(properties.at("previousKeys"))
            ),
            given_text(properties.at("lastKeyRotationTimestamp")),
            None
            if error.absent
            else (needed_text(error.at("code")), given_text(error.at("message")) or ""),
        )

    @property
    def rotating(self) -> bool:
        """Whether a rotation runs, so that old versions must stay enabled."""
        return bool(self.previous_keys)


def disk_reference(set_id: ArmId, encryption_type: EncryptionType) -> dict[str, Any]:
    """Return what stands among the properties of a disk or snapshot under a set."""
    if encryption_type is EncryptionType.CONFIDENTIAL_VM:
        profile = {
            "securityType": "ConfidentialVM_DiskEncryptedWithCustomerKey",
            "secureVMDiskEncryptionSetId": str(set_id),
        }
        return {"securityProfile": profile}
    return {"encryption": {"type": encryption_type.value, "diskEncryptionSetId": str(set_id)}}


def machine_reference(set_id: ArmId, encryption_type: EncryptionType) -> dict[str, Any]:
    """Return what stands in ``managedDisk`` of a machine's disk that is made under a set."""
    reference = {"diskEncryptionSet": {"id": str(set_id)}}
    if encryption_type is EncryptionType.CONFIDENTIAL_VM:
        return {"securityProfile": {"securityEncryptionType": "DiskWithVMGuestState", **reference}}
    return reference
