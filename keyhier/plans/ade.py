"""Plans for Azure Disk Encryption: to enable, disable and update it.

https://learn.microsoft.com/azure/virtual-machines/linux/disk-encryption-linux and
https://learn.microsoft.com/azure/virtual-machines/windows/disk-encryption-windows
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Final

import attrs

from keyhier.algorithms import WrapAlgorithm
from keyhier.azure_disk.addresses import KekAddress, VaultAddress
from keyhier.azure_disk.disk_model import DiskCollection, SecretAddress, VolumeSettings
from keyhier.azure_disk.eligibility import check_eligibility
from keyhier.azure_disk.eligibility_rules import DEFAULT_RULES as DEFAULT_ELIGIBILITY
from keyhier.azure_disk.eligibility_rules import EligibilityRules, Method
from keyhier.azure_disk.facts import with_facts
from keyhier.azure_disk.machine import Image, Machine, Scenario, disks_by_id
from keyhier.azure_disk.readiness import VaultUse, check_readiness
from keyhier.azure_disk.settings import Application, ExtensionSettings, Generation, Operation
from keyhier.azure_disk.transitions import Current, check_transition
from keyhier.doctor import Finding, Severity
from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.placement.arm_id import ArmId
from keyhier.placement.check import check_placement
from keyhier.placement.model import (
    AttachedDisk,
    System,
    VaultResource,
    VirtualMachine,
    Volumes,
)
from keyhier.placement.rules import RuleSet
from keyhier.placement.unknown import NOT_YET, Maybe, Unknown, any_of
from keyhier.plans.ade_steps import AdeSteps
from keyhier.plans.documents import Documents
from keyhier.plans.findings import of_eligibility
from keyhier.plans.plan import Plan, Workflow
from keyhier.plans.planned_key import PlannedKey, host_of
from keyhier.plans.rules import DEFAULT_RULES, rules_of_plans
from keyhier.stored_secret import SecretId

__all__ = ["SCENARIOS", "AdeRequest", "plan_ade"]

SCENARIOS: Final = (
    Scenario.ENABLE_NEW,
    Scenario.ENABLE_EXISTING,
    Scenario.ENABLE_OWN_VHD,
    Scenario.DISABLE,
    Scenario.UPDATE,
)
"""The scenarios that there are plans for."""

_OTHER_SETTINGS: Final = "ask for other settings, or print the machine's documents anew"


def _check_scenario(_: object, __: attrs.Attribute[Any], value: Scenario) -> None:
    if value not in SCENARIOS:
        raise InvalidInputError(f"there are plans for {', '.join(SCENARIOS)}, and not for {value}")


@attrs.frozen(kw_only=True)
class AdeRequest:
    """What a plan is asked for.

    Attributes:
        scenario: one of :data:`SCENARIOS`.
        documents: the machine, its disks, its extension and the vaults, as far as there are any.
        machine: the machine's name or ARM id; None where the documents have one machine.
        key_vault: the same of the vault for the secrets; disabling needs none.
        kek: the key that wraps the secrets, or None.
        algorithm: how it wraps them.
        volumes: which volumes; None for all, for those that are encrypted now where settings are
            updated, and for the data volumes of Linux where encryption is disabled.
        format_all: whether data disks are formatted, which is faster and loses what is on them.
        application: for the previous generation, or None.
        sequence_version: a new GUID, which lets the extension run again.
        secret: the secret that unlocks a disk of one's own; None while it is not set.
        facts: what is known of the machine beside its documents, by the names of
            :class:`~keyhier.azure_disk.machine.Machine`.
        rules: the placement rules, or their name.
        eligibility: the eligibility rules, or their name.
        today: the day that counts for the end of Azure Disk Encryption; the current one by default.
    """

    scenario: Scenario = attrs.field(converter=Scenario, validator=_check_scenario)
    documents: Documents
    machine: str | None = None
    key_vault: str | None = None
    kek: PlannedKey | None = None
    algorithm: WrapAlgorithm = WrapAlgorithm.RSA_OAEP
    volumes: Volumes | None = None
    format_all: bool = False
    application: Application | None = None
    sequence_version: str = attrs.field(factory=lambda: str(uuid.uuid4()))
    secret: SecretId | None = None
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    rules: RuleSet | str = DEFAULT_RULES
    eligibility: EligibilityRules | str = DEFAULT_ELIGIBILITY
    today: dt.date | None = None

    def vault(self) -> VaultResource:
        """Return the vault of the secrets; raises what :meth:`Documents.pick` raises."""
        return self.documents.pick(VaultResource, self.key_vault)


def plan_ade(request: AdeRequest) -> Plan:
    """Return the plan: pure, so what it needs of a vault is told and not done.

    What speaks against it is in its findings, all of it, and :meth:`Plan.raise_for_errors` raises.

    Raises:
        InvalidInputError: a document is malformed, a machine or vault in it has no id, or the
            machine is a scale set or of one.
        NotFoundError, AmbiguousError: the machine or the vault is not among the documents, or
            several are and none is named.
    """
    return _Planning(request).plan()


class _Planning:
    """One plan in the making."""

    def __init__(self, request: AdeRequest) -> None:
        self.request = request
        self.vm = request.documents.pick(VirtualMachine, request.machine)
        if self.vm.scale_set is True:
            # Its extension, its commands and how its instances follow it are others.
            raise InvalidInputError(
                f"{self.vm.label} is a scale set or a machine of one, for which there are no plans",
                remedy="check its template with `keyhier check`, and use `az vmss encryption`",
            )
        self.vm_id = _known_id(self.vm)
        self.vault = None if request.scenario is Scenario.DISABLE else request.vault()
        told = Machine.of(self.vm, disks_by_id(request.documents.resources()))
        facts = with_facts(told, request.facts)
        self.system = facts.system
        self.extension = request.documents.extension(self.vm_id)
        self.volumes = request.volumes or self._usual_volumes()
        self.facts = attrs.evolve(
            facts,
            scenario=request.scenario,
            volumes=self.volumes,
            os_encrypted=self._os_encrypted(),
            dual_pass=self._generation is Generation.DUAL_PASS,
            kek_bits=0 if request.kek is None else request.kek.spec.bits,
            image=Image.ENCRYPTED_VHD if self._own_vhd else facts.image,
        )
        self.findings: list[Finding] = []

    @property
    def _own_vhd(self) -> bool:
        return self.request.scenario is Scenario.ENABLE_OWN_VHD

    @property
    def _generation(self) -> Generation:
        if self.request.scenario is Scenario.DISABLE and self.extension is not None:
            # What was made with an application is undone by the extension of that generation.
            return self.extension.generation
        return Generation.DUAL_PASS if self.request.application else Generation.SINGLE_PASS

    def _usual_volumes(self) -> Volumes:
        now = self.vm.ade.volumes
        if self.request.scenario is Scenario.UPDATE and isinstance(now, Volumes):
            return now
        disabling = self.request.scenario is Scenario.DISABLE
        return Volumes.DATA if disabling and self.system is System.LINUX else Volumes.ALL

    def _os_encrypted(self) -> Maybe[bool]:
        enabled, volumes = self.vm.ade.enabled, self.vm.ade.volumes
        if enabled is not True:
            return enabled
        return volumes if isinstance(volumes, Unknown) else volumes is not Volumes.DATA

    def plan(self) -> Plan:
        request = self.request
        self.findings += of_eligibility(
            check_eligibility(self.facts, Method.ADE, request.eligibility, today=request.today)
        )
        self.findings += self._readiness()
        settings = collection = None
        try:
            if self._own_vhd:
                collection = self._collection()
            else:
                settings = self._settings()
        except (InvalidInputError, InvalidStateError) as error:
            finding = Finding.of_error("settings", error)
            self.findings.append(attrs.evolve(finding, remedy=error.remedy or _OTHER_SETTINGS))
        planned = self._planned(settings, collection)
        report = check_placement(planned.resources(), rules_of_plans(request.rules))
        steps = AdeSteps(
            scenario=request.scenario,
            machine=self.vm_id,
            system=self.system,
            size=self.vm.size,
            disks=() if isinstance(self.vm.disks, Unknown) else self.vm.disks,
            location=self._location,
            vault=self.vault,
            kek=request.kek,
            settings=settings,
            own_disk=None if collection is None else _os_disk(self.vm),
            collection=collection,
            before=self.extension,
        )
        return Plan(
            workflow=Workflow.ADE,
            scenario=request.scenario.value,
            subject=self.vm.label,
            placement=report,
            findings=tuple(self.findings),
            steps=tuple(steps.all(report)),
            planned=planned.contents,
        )

    @property
    def _location(self) -> str:
        region = self.vm.placement.region
        return "[resourceGroup().location]" if isinstance(region, Unknown) else region

    def _readiness(self) -> Iterator[Finding]:
        if self.vault is None:
            return
        use = VaultUse.ADE if self.request.application is None else VaultUse.ADE_WITH_APPLICATION
        yield from check_readiness(
            self.vault, (use, VaultUse.DEPLOYMENT) if self._own_vhd else (use,)
        )
        kek = self.request.kek
        if kek is None:
            yield Finding(
                "no-kek",
                Severity.NOTE,
                f"no KEK wraps the secrets: whoever may read those of {self.vault.label} has the"
                " disks' keys",
                "name a KEK",
            )
        elif kek.vault != self.vault:
            yield from check_readiness(kek.vault, (VaultUse.ADE,))

    def _settings(self) -> ExtensionSettings:
        """Return what the extension is told, if the machine may be told so."""
        request = self.request
        if isinstance(self.system, Unknown):
            raise InvalidInputError(
                "nobody told whether the machine is of Windows or Linux",
                remedy="tell it as a fact of the machine, system=linux, or give its whole document",
            )
        disabling = request.scenario is Scenario.DISABLE
        settings = ExtensionSettings(
            system=self.system,
            operation=self._operation(),
            volumes=self.volumes,
            vault=None if self.vault is None else _address(self.vault),
            kek=None if disabling else self._kek(),
            generation=self._generation,
            application=None if disabling else request.application,
            sequence_version=request.sequence_version,
        )
        self._check_transition(settings)
        return settings

    def _operation(self) -> Operation:
        match self.request.scenario:
            case Scenario.DISABLE:
                return Operation.DISABLE
            case Scenario.UPDATE:
                return Operation.UPDATE
            case _:
                return Operation.ENABLE_FORMAT_ALL if self.request.format_all else Operation.ENABLE

    def _kek(self) -> KekAddress | None:
        kek = self.request.kek
        if kek is None:
            return None
        return KekAddress(kek.id, self.request.algorithm, _known_id(kek.vault))

    def _check_transition(self, settings: ExtensionSettings) -> None:
        enabled, volumes = self.vm.ade.enabled, self.vm.ade.volumes
        if isinstance(enabled, Unknown) or (enabled and isinstance(volumes, Unknown)):
            self.findings.append(
                Finding(
                    "transition",
                    Severity.WARNING,
                    "what is encrypted now is not known, so whether the settings may follow on it"
                    " was not checked",
                    "add the document of the machine's extension",
                )
            )
            return
        extension = self.extension
        current = Current(
            volumes=volumes if enabled and isinstance(volumes, Volumes) else None,
            generation=None if extension is None else extension.generation,
            sequence_version=None if extension is None else extension.sequence_version,
            other_method=any_of(self.facts.cmk, self.facts.host_encryption) is True,
        )
        check_transition(current, settings)

    # ------------------------------------------------------------------ a disk of one's own

    def _collection(self) -> DiskCollection:
        vault = self.request.vault()
        secret = self.request.secret or SecretId(host_of(vault), "SECRET", NOT_YET)
        address = SecretAddress(secret, _known_id(vault))
        return DiskCollection(Generation.SINGLE_PASS, (VolumeSettings(address, self._kek()),))

    def _planned(
        self, settings: ExtensionSettings | None, collection: DiskCollection | None
    ) -> Documents:
        """Return the documents as they would be once the plan is done."""
        documents = self.request.documents
        if settings is not None:
            resource = settings.as_resource(self.vm_id.name, self._location)
            return documents.with_extension(self.vm_id, resource)
        if collection is not None:
            return documents.with_properties(_os_disk(self.vm), collection.as_properties())
        return documents


def _os_disk(machine: VirtualMachine) -> ArmId:
    """Return the id of a machine's OS disk.

    Raises:
        InvalidInputError: the machine's document does not tell it.
    """
    disks: tuple[AttachedDisk, ...] = () if isinstance(machine.disks, Unknown) else machine.disks
    for disk in disks:
        if disk.is_os is True and isinstance(disk.id, ArmId):
            return disk.id
    raise InvalidInputError(
        f"the OS disk of {machine.label} has no id in its document",
        remedy="name it as storageProfile.osDisk.managedDisk.id, with createOption Attach",
    )


def _known_id(resource: VirtualMachine | VaultResource) -> ArmId:
    if isinstance(resource.id, Unknown):
        raise InvalidInputError(f"the ARM id of {resource.label} is not known")
    return resource.id


def _address(vault: VaultResource) -> VaultAddress:
    return VaultAddress(host_of(vault), _known_id(vault))
