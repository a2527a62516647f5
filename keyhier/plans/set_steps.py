"""The steps of a plan for an encryption set."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

import attrs

from keyhier.azure_disk.az import (
    az_disk_update,
    az_grant_to_application,
    az_grant_to_identity,
    az_grant_to_set,
    az_named,
    az_set_create,
    az_set_update,
    az_vault_update,
)
from keyhier.azure_disk.readiness import SET_GRANT
from keyhier.azure_disk.set_resource import EncryptionType, SetResource
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import VaultResource
from keyhier.placement.report import Report
from keyhier.placement.unknown import Unknown
from keyhier.plans.key_steps import checked, key_step
from keyhier.plans.plan import Doer, Phase, Step
from keyhier.plans.planned_key import PlannedKey, host_of

__all__ = ["SetSteps"]

_PLATFORM_KEY = "EncryptionAtRestWithPlatformKey"


@attrs.frozen
class SetSteps:
    """What the steps are made of.

    Attributes:
        set: the set as it will be.
        key: its key where the set is made or the key rotated, or None.
        before: the set as it was before its key was rotated, or None.
        disks: the disks that are put under it.
        machines: the machines that those are attached to.
    """

    set: SetResource
    key: PlannedKey | None = attrs.field(default=None, kw_only=True)
    before: SetResource | None = attrs.field(default=None, kw_only=True)
    disks: tuple[ArmId, ...] = attrs.field(default=(), kw_only=True)
    machines: tuple[ArmId, ...] = attrs.field(default=(), kw_only=True)

    def all(self, report: Report) -> Iterator[Step]:
        """Return all steps.

        Args:
            report: what the check of the placements found.
        """
        if self.key is None:
            yield from checked(report, "eligibility")
            yield from self._attached()
        else:
            yield from checked(report, "readiness", "set")
            if self.before is None:
                yield from self._made(self.key)
            else:
                yield from self._rotated(self.key, self.before)

    # ------------------------------------------------------------------ to make a set

    def _made(self, key: PlannedKey) -> Iterator[Step]:
        identity = self.set.id
        yield key_step(key, "cmk", "CMK")
        yield from self._protected(key.vault)
        granted = self._granted(key.vault)
        # An identity of the set's own is there once the set is; any other is there before.
        if not self.set.system_identity:
            yield granted
        yield Step(
            Phase.DEPLOY,
            "set",
            f"make the encryption set {identity.name}",
            command=az_set_create(self.set),
            resource=self.set.as_resource(),
        )
        if self.set.system_identity:
            yield granted
        yield self._seen("see that the set is there and has its key")
        yield Step(
            Phase.UNDO,
            "set",
            f"delete the set {identity.name}, while no disk is under it",
            command=_set_command("delete", identity),
        )
        text = "keep the CMK: without it no disk, snapshot or image under the set can be read"
        yield Step(Phase.UNDO, "keep", text)

    def _protected(self, vault: VaultResource) -> Iterator[Step]:
        if vault.purge_protection is not True and isinstance(vault.id, ArmId):
            wanted = VaultResource(purge_protection=True)
            yield Step(
                Phase.ACCESS,
                "vault",
                f"turn on purge protection of {vault.label}, which nothing turns off again",
                command=az_vault_update(vault.id, wanted),
            )

    def _granted(self, vault: VaultResource) -> Step:
        text = f"get, wrap and unwrap keys of {vault.label}"
        command = None
        if self.set.federated_client_id is not None:
            client = self.set.federated_client_id
            text = f"in the tenant of the vault, let the multi-tenant application {client} {text}"
            if not isinstance(vault.rbac, Unknown):
                command = az_grant_to_application(vault, client, SET_GRANT)
        else:
            text = f"let the set's identity {text}"
            if not isinstance(vault.rbac, Unknown):
                command = self._grant_to_identity(vault)
        return Step(Phase.ACCESS, "grant", text, command=command)

    def _grant_to_identity(self, vault: VaultResource) -> str | None:
        if self.set.system_identity:
            return az_grant_to_set(vault, self.set.id, SET_GRANT)
        if len(self.set.user_identities) > 1:
            return None  # Which of them is to use the key, nobody told.
        return az_grant_to_identity(vault, self.set.user_identities[0], SET_GRANT)

    def _seen(self, text: str) -> Step:
        return Step(Phase.VERIFY, "set", text, command=_set_command("show", self.set.id))

    # ------------------------------------------------------------------ to rotate its key

    def _rotated(self, key: PlannedKey, before: SetResource) -> Iterator[Step]:
        if key.version:
            yield key_step(key, "cmk", "CMK")
        else:
            text = f"make a new version of the CMK {key.name} of {key.vault.label}, unless"
            yield Step(
                Phase.KEYS,
                "cmk",
                f"{text} there is one that is newer than the set's",
                Doer.KEYHIER,
                f"keyhier key rotate {key.name} --vault https://{host_of(key.vault)}",
            )
        text = "let the set use the new version"
        if before.follow_latest and key.id.versionless == before.key.versionless:
            text = f"{text} now; by itself it takes it up within an hour"
        yield Step(
            Phase.DEPLOY,
            "set",
            text,
            command=az_set_update(self.set),
            resource=self.set.as_resource(),
        )
        yield self._seen("see that the set has the new version, and that previousKeys is empty")
        yield Step(
            Phase.UNDO,
            "set",
            "let the set use the version before again",
            command=az_set_update(before),
        )
        text = f"keep {before.key} enabled until nothing uses it"
        yield Step(Phase.UNDO, "keep", f"{text}; snapshots and images may")

    # ------------------------------------------------------------------ to put disks under it

    def _attached(self) -> Iterator[Step]:
        kind = self.set.encryption_type
        text = "no key is made: the disks' keys are wrapped under the set's own"
        yield Step(Phase.KEYS, "cmk", text, Doer.AZURE)
        text = "the set's identity needs to get, wrap and unwrap its key still; nobody looked"
        yield Step(Phase.ACCESS, "grant", text)
        for machine in self.machines:
            yield Step(
                Phase.DEPLOY,
                f"stop-{machine.name}",
                f"deallocate the machine {machine.name}: a disk in use cannot be changed",
                command=_machine_command("deallocate", machine),
            )
        for disk in self.disks:
            confidential = kind is EncryptionType.CONFIDENTIAL_VM
            yield Step(
                Phase.DEPLOY,
                f"disk-{disk.name}",
                f"put the disk {disk.name} under the set {self.set.id.name}",
                command=None if confidential else az_disk_update(disk, self.set.id, kind),
            )
        for machine in self.machines:
            text = f"start the machine {machine.name}"
            command = _machine_command("start", machine)
            yield Step(Phase.DEPLOY, f"start-{machine.name}", text, command=command)
        for disk in self.disks:
            words = _words("disk", "show", disk)
            command = shlex.join([*words, "--query", "encryption"])
            text = f"see that the disk {disk.name} names the set"
            yield Step(Phase.VERIFY, f"disk-{disk.name}", text, command=command)
        for disk in self.disks:
            words = [*_words("disk", "update", disk), "--encryption-type", _PLATFORM_KEY]
            text = f"take the disk {disk.name} out of the set while its machine is deallocated"
            yield Step(
                Phase.UNDO,
                f"disk-{disk.name}",
                f"{text}; not where it has incremental snapshots",
                command=shlex.join(words),
            )


def _words(group: str, verb: str, identity: ArmId) -> list[str]:
    return ["az", group, verb, *az_named(identity)]


def _set_command(verb: str, identity: ArmId) -> str:
    return shlex.join(_words("disk-encryption-set", verb, identity))


def _machine_command(verb: str, identity: ArmId) -> str:
    return shlex.join(_words("vm", verb, identity))
