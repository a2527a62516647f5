"""The steps of a plan for Azure Disk Encryption."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Iterator

import attrs

from keyhier.azure_disk.az import az_extension, az_grant_to_application, az_named, az_vault_update
from keyhier.azure_disk.disk_model import DISK_API, DiskCollection
from keyhier.azure_disk.machine import Scenario
from keyhier.azure_disk.readiness import APPLICATION_GRANT
from keyhier.azure_disk.settings import ExtensionSettings, Operation
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import AttachedDisk, System, VaultResource, Volumes
from keyhier.placement.report import Report
from keyhier.placement.unknown import Maybe, Unknown
from keyhier.plans.key_steps import checked, key_step
from keyhier.plans.plan import Doer, Phase, Step
from keyhier.plans.planned_key import PlannedKey, host_of

__all__ = ["AdeSteps"]


@attrs.frozen(kw_only=True)
class AdeSteps:
    """What the steps are made of.

    Attributes:
        scenario: the workflow.
        machine: the machine's ARM id.
        system: its operating system, as far as it is known.
        size: its size, as far as it is known.
        disks: its disks.
        location: its region.
        vault: the vault of the secrets, or None.
        kek: the key that wraps them, or None.
        settings: what the extension is told; None where that is not allowed, or a disk comes with
            its settings.
        own_disk: the disk of one's own that is made, or None.
        collection: the settings that it comes with, or None.
        before: what the extension was told last, or None.
    """

    scenario: Scenario
    machine: ArmId
    system: Maybe[System]
    size: Maybe[str]
    disks: tuple[AttachedDisk, ...]
    location: str
    vault: VaultResource | None
    kek: PlannedKey | None
    settings: ExtensionSettings | None
    own_disk: ArmId | None
    collection: DiskCollection | None
    before: ExtensionSettings | None

    def all(self, report: Report) -> Iterator[Step]:
        """Return all steps.

        Args:
            report: what the check of the placements found.
        """
        yield from checked(report, "eligibility", "readiness", "settings")
        yield from self._keys()
        yield from self._access()
        yield from self._deployed()
        yield from self._verified()
        yield from self._undone()

    @property
    def _other(self) -> VaultResource | None:
        """The vault of the KEK where it is not that of the secrets."""
        if self.kek is None or self.kek.vault == self.vault:
            return None
        return self.kek.vault

    @property
    def _kek_vault_option(self) -> str:
        return "" if self._other is None else f" --kek-vault https://{host_of(self._other)}"

    def _keys(self) -> Iterator[Step]:
        if self.vault is None:
            text = "no key is made; the secrets and every KEK version that they name are kept"
            yield Step(Phase.KEYS, "keep", f"{text}, for backups and snapshots")
            return
        if self.kek is not None:
            yield key_step(self.kek, "kek", "KEK")
        if self.collection is not None:
            text = f"set the secret that unlocks the disk in {self.vault.label}"
            command = f"keyhier ade protect --vault https://{host_of(self.vault)} --in FILE"
            if self.kek is not None:
                text = f"{text}, wrapped under the KEK and seen to open"
                command = f"{command} --kek {self.kek.name}{self._kek_vault_option}"
            yield Step(Phase.KEYS, "secret", text, Doer.KEYHIER, command)
        else:
            text = f"Azure writes a secret for each encrypted volume into {self.vault.label}"
            if self.kek is not None:
                text = f"{text}, wrapped under the KEK"
            yield Step(Phase.KEYS, "secret", text, Doer.AZURE)

    def _access(self) -> Iterator[Step]:
        if self.vault is not None:
            yield _opened(self.vault, "vault", deployment=self.collection is not None)
        if self._other is not None:
            yield _opened(self._other, "kek-vault", deployment=False)
        application = None if self.settings is None else self.settings.application
        if application is not None and self.vault is not None and self.vault.rbac is False:
            yield Step(
                Phase.ACCESS,
                "grant",
                f"let the application wrap keys and set secrets in {self.vault.label}",
                command=az_grant_to_application(
                    self.vault, application.client_id, APPLICATION_GRANT
                ),
            )

    def _deployed(self) -> Iterator[Step]:
        if self.scenario is not Scenario.ENABLE_NEW and self.collection is None:
            for disk in self.disks:
                if isinstance(disk.id, ArmId):
                    yield self._snapshot(disk.id)
        if self.own_disk is not None and self.collection is not None:
            yield self._own_disk(self.own_disk, self.collection)
            yield self._machine_of(self.own_disk)
        if self.settings is None:
            return
        texts = {
            Scenario.ENABLE_NEW: "once the machine runs, encrypt its volumes: ",
            Scenario.ENABLE_EXISTING: "encrypt the machine's volumes: ",
            Scenario.DISABLE: "decrypt the machine's volumes: ",
            Scenario.UPDATE: "give the extension the new vault and KEK for volumes: ",
        }
        yield Step(
            Phase.DEPLOY,
            "extension",
            f"{texts[self.scenario]}{self.settings.volumes}",
            command=az_extension(self.machine, self.settings),
            resource=self.settings.as_resource(self.machine.name, self.location),
        )

    def _snapshot(self, disk: ArmId) -> Step:
        name = f"{disk.name}-before-{self.scenario}"
        words = ["az", "snapshot", "create", *az_named(disk, name), "--source", str(disk)]
        words += self._location_option
        text = f"take a snapshot of the disk {disk.name}: what goes wrong is not undone otherwise"
        return Step(Phase.DEPLOY, f"snapshot-{disk.name}", text, command=shlex.join(words))

    def _own_disk(self, own: ArmId, collection: DiskCollection) -> Step:
        return Step(
            Phase.DEPLOY,
            "disk",
            f"make the disk {own.name} from the VHD with the settings that unlock it; no command"
            " of Azure CLI takes these",
            resource={
                "type": "Microsoft.Compute/disks",
                "apiVersion": DISK_API,
                "name": own.name,
                "location": self.location,
                "properties": {
                    "creationData": {
                        "createOption": "Import",
                        "sourceUri": "[parameters('vhd')]",
                        "storageAccountId": "[parameters('storageAccount')]",
                    },
                    **({} if isinstance(self.system, Unknown) else {"osType": self._os_type}),
                    **collection.as_properties(),
                },
            },
        )

    @property
    def _location_option(self) -> list[str]:
        # Without it a resource is made in the region of the group, where it may not be.
        return [] if self.location.startswith("[") else ["--location", self.location]

    @property
    def _os_type(self) -> str:
        return str(self.system).capitalize()

    def _machine_of(self, own: ArmId) -> Step:
        words = ["az", "vm", "create", *az_named(self.machine)]
        words += self._location_option
        if not isinstance(self.size, Unknown):
            words += ["--size", self.size]
        if isinstance(self.system, Unknown):
            command = None
        else:
            words += ["--os-type", self._os_type, "--attach-os-disk", str(own)]
            command = shlex.join(words)
        return Step(Phase.DEPLOY, "machine", "make the machine from that disk", command=command)

    def _verified(self) -> Iterator[Step]:
        words = ["az", "vm", "encryption", "show", *az_named(self.machine)]
        state = "not encrypted" if self.scenario is Scenario.DISABLE else "encrypted"
        text = f"see that every disk is {state}, and that nothing is in progress"
        yield Step(Phase.VERIFY, "status", text, command=shlex.join(words))
        if self.vault is not None:
            command = f"keyhier ade inventory --vault https://{host_of(self.vault)}"
            text = f"see that the machine's secrets are in {self.vault.label} and can be opened"
            yield Step(
                Phase.VERIFY,
                "secrets",
                f"{text}, before the machine is stopped for the first time",
                command=f"{command}{self._kek_vault_option}",
            )

    def _undone(self) -> Iterator[Step]:
        before = self.before
        match self.scenario:
            case Scenario.DISABLE:
                text = "encrypt again, with a new sequence version: keyhier ade plan"
                yield Step(Phase.UNDO, "enable", f"{text} enable-existing")
            case Scenario.UPDATE:
                yield Step(
                    Phase.UNDO,
                    "update",
                    "update again to the vault and KEK before, with a new sequence version",
                    command=None if before is None or before.vault is None else self._back(before),
                )
            case _:
                yield self._decrypted()
        if self.kek is not None:
            text = "keep every version of the KEK that a secret, a backup or a snapshot names"
            yield Step(Phase.UNDO, "keep", text)

    def _back(self, before: ExtensionSettings) -> str:
        # A number of its own, which is the same whenever the plan is made.
        mark = uuid.uuid5(uuid.NAMESPACE_URL, f"{self.machine}/{self.settings}/undo")
        again = attrs.evolve(
            before,
            operation=Operation.UPDATE,
            passphrase_parameter=None,
            sequence_version=str(mark),
        )
        return az_extension(self.machine, again)

    def _decrypted(self) -> Step:
        settings = self.settings
        linux_os = settings is not None and (
            settings.system is System.LINUX and settings.volumes is not Volumes.DATA
        )
        if settings is None or linux_os:
            text = "nothing decrypts the OS volume in place: make a new machine"
            return Step(Phase.UNDO, "restore", f"{text} from the snapshot or the image")
        back = attrs.evolve(
            settings, operation=Operation.DISABLE, vault=None, kek=None, application=None
        )
        return Step(
            Phase.UNDO,
            "disable",
            "decrypt the volumes; the disks can never be under an encryption set",
            command=az_extension(self.machine, back),
        )


def _opened(vault: VaultResource, name: str, *, deployment: bool) -> Step:
    """Return the step that lets Azure use a vault, or says that it may already."""
    uses = "disk encryption and deployment" if deployment else "disk encryption"
    ready = vault.for_disk_encryption is True and (vault.for_deployment is True or not deployment)
    if ready:
        return Step(Phase.ACCESS, name, f"{vault.label} is enabled for {uses}", Doer.AZURE)
    wanted = VaultResource(for_disk_encryption=True, for_deployment=deployment)
    command = az_vault_update(vault.id, wanted) if isinstance(vault.id, ArmId) else None
    return Step(Phase.ACCESS, name, f"enable {vault.label} for {uses}", command=command)
