"""Inventory: the resources that are checked together, found by the ways that others name them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import TypeVar

import attrs

from keyhier.errors import InvalidInputError
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import (
    AttachedDisk,
    Disk,
    EncryptionSetResource,
    Resource,
    Snapshot,
    TemplateDeployment,
    VaultReference,
    VaultResource,
    VirtualMachine,
)
from keyhier.placement.unknown import Maybe, Unknown, same

__all__ = ["DiskView", "Inventory"]

Found = TypeVar("Found", Disk, EncryptionSetResource)


@attrs.frozen(eq=False)
class DiskView:
    """One disk as all who speak of it describe it: itself, and the machine it is attached to.

    Attributes:
        disk: the disk, or None where it is not among the resources.
        attached: how the machine names it, or None where no machine does.
        machine: that machine.
    """

    disk: Disk | None
    attached: AttachedDisk | None = None
    machine: VirtualMachine | None = None


class Inventory:
    """Resources by kind, id and host. Their order does not matter."""

    def __init__(self, resources: Iterable[Resource]) -> None:
        self.machines: list[VirtualMachine] = []
        self.snapshots: list[Snapshot] = []
        self.sets: list[EncryptionSetResource] = []
        self.vaults: list[VaultResource] = []
        self.deployments: list[TemplateDeployment] = []
        self._disks: list[Disk] = []
        self._disks_by_id: dict[ArmId, list[Disk]] = defaultdict(list)
        self._sets_by_id: dict[ArmId, list[EncryptionSetResource]] = defaultdict(list)
        self._vaults_by_label: dict[str, list[VaultResource]] = defaultdict(list)
        for resource in resources:
            self._add(resource)
        self.views_by_machine = [
            (machine, list(self._attached(machine))) for machine in self.machines
        ]
        self.unattached = self._unattached()

    def _add(self, resource: Resource) -> None:
        match resource:
            case VirtualMachine():
                self.machines.append(resource)
            case Disk():
                self._disks.append(resource)
                if isinstance(resource.id, ArmId):
                    self._disks_by_id[resource.id].append(resource)
            case Snapshot():
                self.snapshots.append(resource)
            case EncryptionSetResource():
                self.sets.append(resource)
                if isinstance(resource.id, ArmId):
                    self._sets_by_id[resource.id].append(resource)
            case VaultResource():
                self.vaults.append(resource)
                for label in _labels(resource.reference):
                    self._vaults_by_label[label].append(resource)
            case TemplateDeployment():
                self.deployments.append(resource)
            case _:
                raise InvalidInputError(f"{type(resource).__name__} is no resource to check")

    def __iter__(self) -> Iterator[Resource]:
        yield from self.machines
        yield from self._disks
        yield from self.snapshots
        yield from self.sets
        yield from self.vaults
        yield from self.deployments

    def _attached(self, machine: VirtualMachine) -> Iterator[DiskView]:
        for attached in () if isinstance(machine.disks, Unknown) else machine.disks:
            disks: Iterable[Disk | None] = (None,)
            if isinstance(attached.id, ArmId):
                disks = self._disks_by_id.get(attached.id) or disks
            for disk in disks:
                yield DiskView(disk, attached, machine)

    def _unattached(self) -> list[DiskView]:
        attached = {id(view.disk) for _, views in self.views_by_machine for view in views}
        return [DiskView(disk) for disk in self._disks if id(disk) not in attached]

    def disks_at(self, identity: ArmId) -> list[Disk]:
        """Return the disks of that id; more than one where several documents describe it."""
        return self._disks_by_id.get(identity, [])

    def sets_at(self, identity: ArmId) -> list[EncryptionSetResource]:
        """Return the encryption sets of that id."""
        return self._sets_by_id.get(identity, [])

    def vaults_at(self, reference: VaultReference) -> list[VaultResource]:
        """Return the vaults that a reference means.

        The name of a vault is its host's first label and is unique in a cloud, so that a URL
        finds a vault of which only the id is known.
        """
        candidates = {
            id(vault): vault
            for label in _labels(reference)
            for vault in self._vaults_by_label.get(label, ())
        }
        return [
            vault
            for vault in candidates.values()
            if same(reference.id, vault.id) is not False
            and same(reference.host, vault.host) is not False
        ]


def _labels(reference: VaultReference) -> set[str]:
    named: set[Maybe[str]] = {
        reference.id if isinstance(reference.id, Unknown) else reference.id.name.casefold(),
        reference.host if isinstance(reference.host, Unknown) else reference.host.partition(".")[0],
    }
    return {label for label in named if not isinstance(label, Unknown)}
