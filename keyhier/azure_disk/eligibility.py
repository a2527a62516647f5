"""Eligibility: can this machine's disks be encrypted, and by which method?

An answer is yes, no or unknown, with every reason. The reasons are data, from the pages of 2018,
of 2023 and of 2026 (``eligibility_sets/``).
"""

from __future__ import annotations

import datetime as dt
from enum import StrEnum
from typing import Any, Final

import attrs

from keyhier.azure_disk.eligibility_rules import (
    DEFAULT_RULES,
    EligibilityRules,
    Method,
    eligibility_rules,
)
from keyhier.azure_disk.machine import Machine, Scenario
from keyhier.azure_disk.retirement import RETIREMENT
from keyhier.doctor import Finding, Severity
from keyhier.placement.model import Volumes
from keyhier.placement.unknown import Unknown

__all__ = [
    "Answer",
    "Method",
    "Open",
    "Reason",
    "Verdict",
    "check_eligibility",
    "retirement_finding",
]

_SYSTEM_ID: Final = "system-not-supported"
_DATA_ONLY_ID: Final = "system-data-only"
_ENABLING: Final = frozenset({Scenario.ENABLE_NEW, Scenario.ENABLE_EXISTING})


class Verdict(StrEnum):
    """Whether a machine is eligible."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


@attrs.frozen
class Reason:
    """Why not.

    Attributes:
        id: the obstacle's name.
        text: what stands in the way, one sentence without a full stop.
        source: the page that says so.
        date: when that page said so.
    """

    id: str
    text: str
    source: str
    date: dt.date


@attrs.frozen
class Open:
    """Why nobody can tell.

    Attributes:
        id: the obstacle's name.
        missing: the facts that would have to be known.
        text: what would stand in the way.
    """

    id: str
    missing: tuple[str, ...]
    text: str


@attrs.frozen
class Answer:
    """Whether a machine is eligible, and all that speaks against it.

    Attributes:
        method: how it was to be encrypted.
        rules: the name of the rules.
        reasons: why not; the machine is not eligible where there is one.
        open: what could not be told.
        findings: what else is to be known: the retirement of Azure Disk Encryption.
    """

    method: Method
    rules: str
    reasons: tuple[Reason, ...]
    open: tuple[Open, ...]
    findings: tuple[Finding, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """Yes, no or unknown."""
        if self.reasons:
            return Verdict.NO
        return Verdict.UNKNOWN if self.open else Verdict.YES

    @property
    def missing(self) -> tuple[str, ...]:
        """All facts that would have to be known for an answer, each once."""
        return tuple(sorted({fact for each in self.open for fact in each.missing}))

    def as_dict(self) -> dict[str, Any]:
        """Return the answer for JSON."""
        return {
            "method": self.method.value,
            "rules": self.rules,
            "verdict": self.verdict.value,
            "reasons": [
                {**attrs.asdict(each), "date": each.date.isoformat()} for each in self.reasons
            ],
            "open": [
                {"id": each.id, "missing": list(each.missing), "text": each.text}
                for each in self.open
            ],
            "findings": [each.as_dict() for each in self.findings],
        }


def check_eligibility(
    machine: Machine,
    method: Method,
    rules: EligibilityRules | str = DEFAULT_RULES,
    *,
    today: dt.date | None = None,
) -> Answer:
    """Say whether a machine can be encrypted by a method.

    Args:
        machine: what is known of it.
        method: how it is to be encrypted.
        rules: the rules, or the name of those that come with keyhier.
        today: the day that counts for the retirement; the current one by default.

    Raises:
        NotFoundError: there are no rules of that name.
    """
    chosen = eligibility_rules(rules) if isinstance(rules, str) else rules
    reasons: list[Reason] = []
    unclear: list[Open] = []
    for obstacle in chosen.obstacles:
        if method not in obstacle.methods:
            continue
        holds = obstacle.holds(machine)
        if isinstance(holds, Unknown):
            missing = tuple(obstacle.missing(machine))
            unclear.append(Open(obstacle.id, missing, obstacle.text))
        elif holds:
            reasons.append(Reason(obstacle.id, obstacle.text, obstacle.source, obstacle.date))
    if method is Method.ADE and chosen.supported:
        match _system(machine, chosen):
            case Open() as found:
                unclear.append(found)
            case Reason() as found:
                reasons.append(found)
    findings = (retirement_finding(machine, chosen, today=today),) if method is Method.ADE else ()
    return Answer(method, chosen.name, tuple(reasons), tuple(unclear), findings)


def _system(machine: Machine, rules: EligibilityRules) -> Reason | Open | None:
    """Return what the list of supported systems says against a machine."""
    if not isinstance(machine.scenario, Unknown) and machine.scenario not in _ENABLING:
        return None
    text = "Azure Disk Encryption supports certain systems only, and this is none of them"
    if isinstance(machine.release, Unknown):
        return Open(_SYSTEM_ID, ("release",), text)
    support = rules.support(machine.release)
    if support is None:
        first = rules.supported[0]
        return Reason(_SYSTEM_ID, f"{text}: {machine.release}", first.source, first.date)
    if not support.data_only or machine.volumes is Volumes.DATA:
        return None
    text = f"of {machine.release}, only data volumes can be encrypted"
    if isinstance(machine.volumes, Unknown):
        return Open(_DATA_ONLY_ID, ("volumes",), text)
    return Reason(_DATA_ONLY_ID, text, support.source, support.date)


def retirement_finding(
    machine: Machine,
    rules: EligibilityRules | str = DEFAULT_RULES,
    *,
    today: dt.date | None = None,
) -> Finding:
    """Return the finding that every plan for Azure Disk Encryption carries.

    It names the day, the way out, and what stands in its way. There is no conversion in place, so
    the way out is a new machine with disks that were uploaded anew, which is asked about.

    Raises:
        NotFoundError: there are no rules of that name.
    """
    day = today or dt.datetime.now(dt.UTC).date()
    anew = attrs.evolve(machine, ade=False, ade_ever=False, os_encrypted=False, kek_bits=0)
    ways = [
        _way_out(check_eligibility(anew, method, rules)) for method in (Method.HOST, Method.CMK)
    ]
    over = day >= RETIREMENT
    return Finding(
        "ade-retirement",
        Severity.ERROR if over else Severity.WARNING,
        f"Azure Disk Encryption {'ended' if over else 'ends'} on {RETIREMENT}: machines run on,"
        " and their encrypted disks do not unlock at the next restart",
        "plan a new machine whose disks are uploaded anew, since a disk or machine that was ever"
        f" under Azure Disk Encryption cannot be converted: {'; '.join(ways)};"
        " keep every KEK version that a secret names, for offline recovery",
    )


def _way_out(answer: Answer) -> str:
    match answer.verdict:
        case Verdict.YES:
            return f"{answer.method} is open to it"
        case Verdict.NO:
            why = "; ".join(each.text for each in answer.reasons)
            return f"{answer.method} is not, because {why}"
        case Verdict.UNKNOWN:
            return f"{answer.method} depends on {', '.join(answer.missing)}"
