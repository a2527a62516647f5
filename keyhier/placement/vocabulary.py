"""What a rule may speak of: the relations, fields and facts, and for which relation each is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

__all__ = ["FACTS", "FIELDS", "Fact", "Field", "Relation"]


class Relation(StrEnum):
    """What a rule is about: a resource, or two that belong together."""

    VM = "vm"
    """Each machine."""

    DISK = "disk"
    """Each disk, with what the machine that it is attached to says of it."""

    SNAPSHOT = "snapshot"
    """Each snapshot."""

    VM_DISK = "vm-disk"
    """Each machine and each of its disks."""

    ADE_VAULT = "ade-vault"
    """Each machine or disk and the vault that holds its secrets (Azure Disk Encryption)."""

    KEK_VAULT = "kek-vault"
    """Each machine or disk and the vault of the key that wraps its secrets."""

    CMK_VAULT = "cmk-vault"
    """Each encryption set and the vault of its key."""

    SECRET_VAULT = "secret-vault"  # noqa: S105  # The name of a relation.
    """Each machine and each vault whose secrets it is given when it is deployed."""

    TEMPLATE_VAULT = "template-vault"
    """Each deployment and each vault whose secrets its parameters refer to."""

    VM_SET = "vm-set"
    """Each machine and each encryption set of its disks."""

    DISK_SET = "disk-set"
    """Each disk and its encryption set."""

    SNAPSHOT_SET = "snapshot-set"
    """Each snapshot and its encryption set."""

    SNAPSHOT_SOURCE = "snapshot-source"
    """Each incremental snapshot and the disk that it was taken of."""


class Field(StrEnum):
    """What ``same`` compares."""

    REGION = "region"
    SUBSCRIPTION = "subscription"
    TENANT = "tenant"
    ENCRYPTION_SET = "encryption-set"


class Fact(StrEnum):
    """What ``never``, ``any`` and ``unless`` ask for."""

    # Facts are looked up for each of many resources, and the hash of Enum is written in Python.
    __hash__ = str.__hash__

    ADE = "ade"
    """Azure Disk Encryption is on."""

    ADE_ONCE = "ade-once"
    """Azure Disk Encryption was on, and is not."""

    CMK = "cmk"
    """It is encrypted under the key of an encryption set."""

    HOST_ENCRYPTION = "host-encryption"
    """Encryption at host is on."""

    USER_ASSIGNED_IDENTITY = "user-assigned-identity"
    """The encryption set has a user-assigned identity."""

    FEDERATED_CLIENT = "federated-client"
    """The encryption set names a multi-tenant application."""

    PURGE_PROTECTION = "purge-protection"
    """What is deleted in the vault cannot be purged."""

    DISK_ENCRYPTION_ALLOWED = "disk-encryption-allowed"
    """The vault is enabled for disk encryption."""

    DEPLOYMENT_ALLOWED = "deployment-allowed"
    """The vault is enabled for deployment: of machines that are given its secrets."""

    TEMPLATE_DEPLOYMENT_ALLOWED = "template-deployment-allowed"
    """The vault is enabled for template deployment."""


_PLACE: Final = frozenset({Field.REGION, Field.SUBSCRIPTION, Field.TENANT})

FIELDS: Final[Mapping[Relation, frozenset[Field]]] = MappingProxyType(
    {
        **dict.fromkeys(Relation, frozenset()),
        Relation.VM_DISK: _PLACE,
        Relation.ADE_VAULT: _PLACE,
        Relation.KEK_VAULT: _PLACE,
        Relation.CMK_VAULT: _PLACE,
        Relation.SECRET_VAULT: _PLACE,
        Relation.VM_SET: _PLACE,
        Relation.DISK_SET: _PLACE,
        Relation.SNAPSHOT_SET: _PLACE,
        Relation.SNAPSHOT_SOURCE: _PLACE | {Field.ENCRYPTION_SET},
    }
)
"""What a rule about a relation can compare."""

_DISK_FACTS: Final = frozenset({Fact.ADE, Fact.ADE_ONCE, Fact.CMK})

FACTS: Final[Mapping[Relation, frozenset[Fact]]] = MappingProxyType(
    {
        **dict.fromkeys(Relation, frozenset()),
        Relation.VM: frozenset({Fact.ADE, Fact.ADE_ONCE, Fact.HOST_ENCRYPTION}),
        Relation.DISK: _DISK_FACTS,
        Relation.SNAPSHOT: _DISK_FACTS,
        Relation.VM_DISK: _DISK_FACTS | {Fact.HOST_ENCRYPTION},
        Relation.ADE_VAULT: frozenset({Fact.DISK_ENCRYPTION_ALLOWED, Fact.PURGE_PROTECTION}),
        Relation.KEK_VAULT: frozenset({Fact.PURGE_PROTECTION}),
        Relation.CMK_VAULT: frozenset(
            {Fact.USER_ASSIGNED_IDENTITY, Fact.FEDERATED_CLIENT, Fact.PURGE_PROTECTION}
        ),
        Relation.SECRET_VAULT: frozenset({Fact.DEPLOYMENT_ALLOWED, Fact.PURGE_PROTECTION}),
        Relation.TEMPLATE_VAULT: frozenset({Fact.TEMPLATE_DEPLOYMENT_ALLOWED}),
    }
)
"""What a rule about a relation can ask for."""
