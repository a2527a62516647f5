"""Plan: an encryption or decryption workflow, step by step, and what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import attrs

from keyhier.doctor import Finding, Severity
from keyhier.errors import InvalidStateError
from keyhier.placement.report import Report

__all__ = ["Doer", "Phase", "Plan", "Step", "Workflow"]


class Workflow(StrEnum):
    """What a plan is about."""

    ADE = "ade"
    SET = "set"


class Phase(StrEnum):
    """What a step is for."""

    CHECK = "check"
    KEYS = "keys"
    ACCESS = "access"
    DEPLOY = "deploy"
    VERIFY = "verify"
    UNDO = "undo"


class Doer(StrEnum):
    """Who does a step."""

    KEYHIER = "keyhier"
    """keyhier does it when the plan is applied."""

    YOU = "you"
    """It is printed ready to run."""

    AZURE = "azure"
    """Azure does it by itself."""


@attrs.frozen
class Step:
    """One step.

    Attributes:
        phase: what it is for.
        name: what it is called, such as ``kek``; no two of a phase are called the same.
        text: what is done, one sentence without a full stop.
        doer: who does it.
        command: the shell command that does it, or None.
        resource: the ARM resource that does the same, or None.
    """

    phase: Phase
    name: str
    text: str
    doer: Doer = Doer.YOU
    command: str | None = None
    resource: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True)
class Plan:
    """An ordered plan. Nothing of it was done yet.

    Attributes:
        workflow: what it is about.
        scenario: which workflow of these: ``enable-existing``, ``rotate-key``.
        subject: the machine or set: ``VM web-01``.
        placement: where everything would be, checked against the rules.
        findings: what else was looked at: eligibility, readiness, settings, the end of ADE.
        steps: what is to be done, in its order.
        planned: the resources, as ARM's JSON, as they would be once the plan is done.
    """

    workflow: Workflow
    scenario: str
    subject: str
    placement: Report
    findings: tuple[Finding, ...]
    steps: tuple[Step, ...]
    planned: tuple[Mapping[str, Any], ...] = ()

    @property
    def worst(self) -> Severity:
        """The severity of the worst finding, placements included."""
        found = [self.placement.worst, *(each.severity for each in self.findings)]
        return max(found, key=lambda severity: severity.rank)

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that are errors, without those of placement."""
        return tuple(each for each in self.findings if each.severity is Severity.ERROR)

    @property
    def refused(self) -> bool:
        """Whether anything speaks against it, so that nothing of it is done."""
        return bool(self.errors or self.placement.errors)

    def raise_for_errors(self) -> None:
        """Raise if anything speaks against the plan.

        Raises:
            PlacementError: a placement rule is broken.
            InvalidStateError: something else does; all of it is in the message.
        """
        self.placement.raise_for_errors()
        if self.errors:
            told = "; ".join(f"{each.check}: {each.found}" for each in self.errors)
            raise InvalidStateError(
                f"{self.subject} is not ready for {self.scenario}: {told}",
                remedy=self.errors[0].remedy,
            )

    def steps_of(self, phase: Phase) -> tuple[Step, ...]:
        """Return the steps of one phase."""
        return tuple(step for step in self.steps if step.phase is phase)
