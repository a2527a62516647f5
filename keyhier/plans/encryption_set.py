"""Plans for disk encryption sets: to make one, to put disks under it, to rotate its key.

https://learn.microsoft.com/azure/virtual-machines/disks-enable-customer-managed-keys-portal
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import attrs

from keyhier.azure_disk.eligibility import check_eligibility
from keyhier.azure_disk.eligibility_rules import DEFAULT_RULES as DEFAULT_ELIGIBILITY
from keyhier.azure_disk.eligibility_rules import EligibilityRules, Method
from keyhier.azure_disk.facts import with_facts
from keyhier.azure_disk.machine import Machine, disks_by_id
from keyhier.azure_disk.readiness import VaultUse, check_readiness
from keyhier.azure_disk.set_resource import (
    EncryptionType,
    SetResource,
    SetState,
    disk_reference,
)
from keyhier.doctor import Finding, Severity
from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.placement.arm_id import ArmId
from keyhier.placement.check import check_placement
from keyhier.placement.model import (
    Disk,
    EncryptionSetResource,
    VirtualMachine,
)
from keyhier.placement.rules import RuleSet
from keyhier.placement.unknown import Unknown
from keyhier.plans.documents import Documents
from keyhier.plans.findings import of_eligibility
from keyhier.plans.plan import Plan, Workflow
from keyhier.plans.planned_key import PlannedKey
from keyhier.plans.rules import DEFAULT_RULES, rules_of_plans
from keyhier.plans.set_steps import SetSteps

__all__ = ["NewSet", "SetRequest", "SetScenario", "plan_set"]


class SetScenario(StrEnum):
    """What is to be done with a set."""

    CREATE = "create"
    ATTACH_DISK = "attach-disk"
    ROTATE_KEY = "rotate-key"


@attrs.frozen(kw_only=True)
class NewSet:
    """A set that is to be made.

    Attributes:
        id: its ARM id.
        location: its region.
        follow_latest: whether it takes new versions of its key up by itself.
        encryption_type: what it encrypts with.
        user_identities: user-assigned identities; without any it has one of its own.
        federated_client_id: of a multi-tenant application, for a vault of another tenant, or None.
        tenant: the directory of the subscription that it is made in, or None where nobody told.
    """

    id: ArmId
    location: str
    follow_latest: bool = True
    encryption_type: EncryptionType = EncryptionType.CUSTOMER_KEY
    user_identities: tuple[ArmId, ...] = ()
    federated_client_id: str | None = None
    tenant: str | None = None

    def with_key(self, key: PlannedKey) -> SetResource:
        """Return the set as a resource.

        Raises:
            InvalidInputError: Azure would refuse it.
        """
        vault = key.vault.id
        if isinstance(vault, Unknown):
            raise InvalidInputError(f"the ARM id of {key.vault.label} is not known")
        # A vault of another subscription is not named; the key's URL is enough.
        own = vault.subscription.casefold() == self.id.subscription.casefold()
        return SetResource(
            id=self.id,
            location=self.location,
            key=key.id,
            vault=vault if own else None,
            follow_latest=self.follow_latest,
            encryption_type=self.encryption_type,
            user_identities=self.user_identities,
            system_identity=not self.user_identities,
            federated_client_id=self.federated_client_id,
        )


@attrs.frozen(kw_only=True)
class SetRequest:
    """What a plan is asked for.

    Attributes:
        scenario: what is to be done.
        documents: the set where there is one, the vault of its key, disks and their machines.
        set: the set's name or ARM id; None where the documents have one set.
        new: the set to make.
        key: its key where a set is made, or gets another version; putting disks under it needs
            none. Without a version the latest is used, or a new one where the key is rotated.
        disks: names or ids of the disks; all that the documents have where none is named.
        facts: what is known of the machines beside their documents, by the names of
            :class:`~keyhier.azure_disk.machine.Machine`.
        rules: the placement rules, or their name.
        eligibility: the eligibility rules, or their name.
    """

    scenario: SetScenario = attrs.field(converter=SetScenario)
    documents: Documents
    set: str | None = None
    new: NewSet | None = None
    key: PlannedKey | None = None
    disks: tuple[str, ...] = ()
    facts: Mapping[str, Any] = attrs.field(factory=dict)
    rules: RuleSet | str = DEFAULT_RULES
    eligibility: EligibilityRules | str = DEFAULT_ELIGIBILITY

    def wanted(self, key: PlannedKey) -> SetResource:
        """Return the set as it will be, with this key.

        Raises:
            NotFoundError, AmbiguousError, InvalidInputError: as :meth:`present`, or Azure would
                refuse it.
        """
        if self.new is not None:
            return self.new.with_key(key)
        before = self.present()
        new = NewSet(id=before.id, location=before.location, follow_latest=before.follow_latest)
        return attrs.evolve(
            new.with_key(key),
            encryption_type=before.encryption_type,
            user_identities=before.user_identities,
            system_identity=before.system_identity,
            federated_client_id=before.federated_client_id,
        )

    def present(self) -> SetResource:
        """Return the set that is there.

        Raises:
            NotFoundError, AmbiguousError, InvalidInputError: as :meth:`Documents.pick`, or its
                document is malformed.
        """
        found = self.documents.pick(EncryptionSetResource, self.set)
        if isinstance(found.id, Unknown):
            raise InvalidInputError(f"the ARM id of {found.label} is not known")
        return SetResource.parse(self.documents.document(found.id))


def plan_set(request: SetRequest) -> Plan:
    """Return the plan: pure, so what it needs of a vault is told and not done.

    What speaks against it is in its findings, all of it, and :meth:`Plan.raise_for_errors` raises.

    Raises:
        InvalidInputError: a document is malformed, the set is none that Azure takes, the set or a
            disk has no id, or what is given does not fit the scenario.
        NotFoundError, AmbiguousError: the set or a disk is not among the documents, or several are
            and none is named.
    """
    match request.scenario, request.new, request.key:
        case SetScenario.CREATE, NewSet(), PlannedKey() as key:
            return _create(request, key)
        case SetScenario.ROTATE_KEY, None, PlannedKey() as key:
            return _rotate(request, key)
        case SetScenario.ATTACH_DISK, None, None:
            return _attach(request)
        case _:
            raise InvalidInputError(
                "a set is made of its description and a key, its key is rotated with a key alone,"
                " and disks are put under it with neither"
            )


def _create(request: SetRequest, key: PlannedKey) -> Plan:
    made = request.wanted(key)
    resource = made.as_resource()
    if request.new is not None and request.new.tenant is not None:
        # Azure tells it of a set that is there, and nobody tells Azure.
        identity = {**resource["identity"], "tenantId": request.new.tenant}
        resource = {**resource, "identity": identity}
    planned = request.documents.with_resource(made.id, resource)
    findings = check_readiness(key.vault, (VaultUse.ENCRYPTION_SET,))
    return _plan(request, planned, tuple(findings), SetSteps(made, key=key))


def _rotate(request: SetRequest, key: PlannedKey) -> Plan:
    before, after = request.present(), request.wanted(key)
    planned = request.documents.with_properties(before.id, after.as_resource()["properties"])
    findings = (
        *check_readiness(key.vault, (VaultUse.ENCRYPTION_SET,)),
        *_state(request, before),
        *_same_key(before, key),
    )
    return _plan(request, planned, findings, SetSteps(after, key=key, before=before))


def _state(request: SetRequest, before: SetResource) -> Iterator[Finding]:
    state = SetState.parse(request.documents.document(before.id))
    if state.rotating:
        yield Finding(
            "set-rotating",
            Severity.ERROR,
            f"the set {before.id.name} is still rotating away from"
            f" {', '.join(state.previous_keys)}",
            "wait until previousKeys is empty, and keep those versions enabled",
        )
    if state.rotation_error is not None:
        yield Finding(
            "set-rotation-error",
            Severity.WARNING,
            f"the last rotation of the set {before.id.name} failed: {state.rotation_error[0]}",
            "see what the error says of the key, the vault and the set's identity",
        )


def _same_key(before: SetResource, key: PlannedKey) -> Iterator[Finding]:
    if key.id == before.key:
        yield Finding(
            "set-key",
            Severity.ERROR,
            f"the set {before.id.name} uses {before.key} already",
            "name another version, or none for a new one",
        )


def _attach(request: SetRequest) -> Plan:
    present = request.present()
    disks = _disks(request)
    planned = request.documents
    for disk in disks:
        reference = disk_reference(present.id, present.encryption_type)
        planned = planned.with_properties(disk, reference)
    findings: list[Finding] = []
    resources = request.documents.resources()
    machines = [each for each in resources if isinstance(each, VirtualMachine)]
    known = disks_by_id(resources)
    owners = [each for each in machines if _has_any(each, disks)]
    for machine in owners:
        facts = with_facts(Machine.of(machine, known), request.facts)
        answer = check_eligibility(facts, Method.CMK, request.eligibility)
        findings += of_eligibility(answer)
        if machine.scale_set is True:
            told = InvalidStateError(
                f"the disks of {machine.label} are a scale set's, which gets its encryption set in"
                " its own model",
                remedy="name the encryption set in the scale set's model, and update its machines",
            )
            findings.append(Finding.of_error("set-scale-set", told))
    if present.encryption_type is EncryptionType.CONFIDENTIAL_VM:
        told = InvalidStateError(
            "a confidential machine's disk gets its set when it is made",
            remedy="make the machine anew with the set",
        )
        findings.append(Finding.of_error("set-type", told))
    own = tuple(each.id for each in owners if isinstance(each.id, ArmId))
    steps = SetSteps(present, disks=disks, machines=own)
    return _plan(request, planned, tuple(findings), steps)


def _disks(request: SetRequest) -> tuple[ArmId, ...]:
    documents = request.documents
    if request.disks:
        found = [documents.pick(Disk, name) for name in request.disks]
    else:
        found = [each for each in documents.resources() if isinstance(each, Disk)]
    named = tuple(each.id for each in found if isinstance(each.id, ArmId))
    if not named or len(named) < len(found):
        raise InvalidInputError("no disk, or one without an id, is among the documents")
    return named


def _has_any(machine: VirtualMachine, disks: tuple[ArmId, ...]) -> bool:
    attached = () if isinstance(machine.disks, Unknown) else machine.disks
    return any(each.id in disks for each in attached)


def _plan(
    request: SetRequest, planned: Documents, findings: tuple[Finding, ...], steps: SetSteps
) -> Plan:
    report = check_placement(planned.resources(), rules_of_plans(request.rules))
    return Plan(
        workflow=Workflow.SET,
        scenario=request.scenario.value,
        subject=f"encryption set {steps.set.id.name}",
        placement=report,
        findings=findings,
        steps=tuple(steps.all(report)),
        planned=planned.contents,
    )
