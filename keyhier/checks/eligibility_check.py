"""Checks whether machines can be encrypted by the methods that they use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import attrs

from keyhier.azure_disk.eligibility import Answer, check_eligibility
from keyhier.azure_disk.eligibility_rules import (
    DEFAULT_RULES,
    EligibilityRules,
    Method,
    eligibility_rules,
)
from keyhier.azure_disk.facts import filled_with
from keyhier.azure_disk.machine import Machine, disks_by_id
from keyhier.checks.statements import ELIGIBLE
from keyhier.placement.arm_id import ArmId
from keyhier.placement.model import Disk, Resource, VirtualMachine
from keyhier.placement.report import Comparison, NotChecked, Violation
from keyhier.placement.rules import Statement
from keyhier.placement.unknown import Unknown

__all__ = ["Eligibility", "check_machines"]


@attrs.frozen
class Eligibility:
    """What machines are held to.

    Attributes:
        rules: the rules of eligibility, or the name of those that come with keyhier.
        facts: what is known of every machine, where its documents do not tell it; by the names of
            :class:`~keyhier.azure_disk.machine.Machine`.
    """

    rules: EligibilityRules | str = DEFAULT_RULES
    facts: Mapping[str, Any] = attrs.field(factory=dict)


def check_machines(
    resources: Iterable[Resource], eligibility: Eligibility
) -> Iterator[Violation | NotChecked]:
    """Yield why machines cannot be encrypted as they are to be, and what nobody can tell.

    Args:
        resources: the machines, their disks and what else there is.
        eligibility: what they are held to, and what is known beside their documents.

    Raises:
        NotFoundError: there are no rules of that name.
        InvalidInputError: a fact has no name of such a fact.
    """
    rules = eligibility.rules
    chosen = eligibility_rules(rules) if isinstance(rules, str) else rules
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
                known = filled_with(Machine.of(machine, disks), eligibility.facts)
                answer = answers.get((known, method))
                if answer is None:
                    answer = answers[known, method] = check_eligibility(known, method, chosen)
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
