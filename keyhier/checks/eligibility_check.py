"""Checks whether machines can be encrypted by the methods that they use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from keyhier.azure_disk.eligibility import Answer, check_eligibility
from keyhier.azure_disk.eligibility_rules import EligibilityRules, Method
from keyhier.azure_disk.machine import Machine, disks_by_id
from keyhier.checks.statements import ELIGIBLE
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import Disk, Resource, VirtualMachine
from keyhier.placement.report import Comparison, NotChecked, Violation
from keyhier.placement.rules import Statement
from keyhier.placement.unknown import Unknown

__all__ = ["check_machines"]


def check_machines(
    resources: Iterable[Resource], rules: EligibilityRules
) -> Iterator[Violation | NotChecked]:
    """Yield why machines cannot be encrypted as they are to be, and what nobody can tell."""
    listed = list(resources)
    disks = disks_by_id(listed)
    under_set = {
        each.id for each in listed if isinstance(each, Disk) and isinstance(each.set_id, ArmId)
    }
    # Many machines are alike.
    answers: dict[tuple[Machine, Method], Answer] = {}
    for machine in listed:
        if isinstance(machine, VirtualMachine):
            for method in _methods(machine, under_set):
                facts = Machine.of(machine, disks)
                answer = answers.get((facts, method))
                if answer is None:
                    answer = answers[facts, method] = check_eligibility(facts, method, rules)
                yield from _told(machine, answer)


def _methods(machine: VirtualMachine, under_set: set[ArmId | Unknown]) -> Iterator[Method]:
    disks = () if isinstance(machine.disks, Unknown) else machine.disks
    if machine.ade.enabled is True or any(each.ade and each.ade.enabled is True for each in disks):
        yield Method.ADE
    if machine.host_encryption is True:
        yield Method.HOST
    if any(isinstance(each.set_id, ArmId) or each.id in under_set for each in disks):
        yield Method.CMK


def _told(machine: VirtualMachine, answer: Answer) -> Iterator[Violation | NotChecked]:
    for reason in answer.reasons:
        statement = Statement(
            id=f"{ELIGIBLE.id}-{reason.id}",
            severity=ELIGIBLE.severity,
            text=reason.text,
            remedy=ELIGIBLE.remedy,
            source=reason.source,
            date=reason.date,
        )
        compared = (Comparison(machine.label, "method", answer.method.value),)
        yield Violation(statement, machine.label, compared, machine.origin)
    if answer.open:
        subject = f"{machine.label} ({answer.method})"
        yield NotChecked(ELIGIBLE, subject, answer.missing, machine.origin)
