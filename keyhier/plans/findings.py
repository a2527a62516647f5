"""What is looked at beside placements, as findings of a plan."""

from __future__ import annotations

from collections.abc import Iterator

from keyhier.azure_disk.eligibility import Answer, Verdict
from keyhier.doctor import Finding, Severity

__all__ = ["of_eligibility"]


def of_eligibility(answer: Answer) -> Iterator[Finding]:
    """Tell an answer: each reason against it, what nobody knows, and what else is to be known."""
    for reason in answer.reasons:
        yield Finding(
            f"eligibility-{reason.id}",
            Severity.ERROR,
            f"the machine cannot use {answer.method}: {reason.text}",
            f"see {reason.source} ({reason.date})",
        )
    if answer.open:
        yield Finding(
            "eligibility-unknown",
            Severity.WARNING,
            f"whether the machine can use {answer.method} was not fully checked: nobody told"
            f" {', '.join(answer.missing)}",
            "tell them as facts of the machine, such as memory_gb=16",
        )
    if answer.verdict is Verdict.YES:
        yield Finding("eligibility", Severity.OK, f"the machine can use {answer.method}")
    yield from answer.findings
