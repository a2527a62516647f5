"""A plan as text for people."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Final

from keyhier.doctor import Finding
from keyhier.placement import report_text
from keyhier.placement.node import printable
from keyhier.plans.plan import Doer, Phase, Plan, Step

__all__ = ["as_text"]

_HEADINGS: Final = {
    Phase.CHECK: "Checked",
    Phase.KEYS: "Keys and secrets",
    Phase.ACCESS: "Access",
    Phase.DEPLOY: "Deployed",
    Phase.VERIFY: "Verified",
    Phase.UNDO: "To undo it",
}


def as_text(plan: Plan) -> str:
    """Return the plan as lines of text: what speaks against it first, then its steps."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    yield f"Plan: {plan.scenario}, {plan.subject}"
    yield ""
    for finding in sorted(plan.findings, key=lambda each: -each.severity.rank):
        yield from _finding(finding)
    yield from report_text.as_text(plan.placement).splitlines()
    number = 0
    for phase, steps in groupby(plan.steps, key=lambda step: step.phase):
        yield ""
        yield _HEADINGS[phase]
        for step in steps:
            number += 1
            yield from _step(number, step)


def _finding(finding: Finding) -> Iterator[str]:
    yield f"{finding.severity.upper()} {finding.check}: {printable(finding.found)}"
    if finding.remedy:
        yield f"    do: {printable(finding.remedy)}"


def _step(number: int, step: Step) -> Iterator[str]:
    by = "" if step.doer is Doer.YOU else f" [{step.doer}]"
    yield f"{number:3}. {printable(step.text)}{by}"
    if step.command:
        yield f"       $ {printable(step.command)}"
