"""Steps that plans of all workflows have: what was checked, and the key at the root."""

from __future__ import annotations

from collections.abc import Iterator

from keyhier.placement.report import Report
from keyhier.placement.unknown import NOT_YET
from keyhier.plans.plan import Doer, Phase, Step
from keyhier.plans.planned_key import PlannedKey, host_of

__all__ = ["checked", "key_step"]

_CHECKS = {
    "eligibility": "see whether the machine can be encrypted in this way",
    "readiness": "see whether the vault has what this needs of it",
    "settings": "see whether the settings agree with each other and with what is there",
    "set": "see whether the set can take the key",
}


def checked(report: Report, *others: str) -> Iterator[Step]:
    """Return the checks, which are done whenever the plan is made."""
    text = f"compare the placements with the rules {report.rules.name}"
    yield Step(Phase.CHECK, "placement", text, Doer.KEYHIER)
    for name in others:
        yield Step(Phase.CHECK, name, _CHECKS[name], Doer.KEYHIER)


def key_step(key: PlannedKey, name: str, what: str) -> Step:
    """Return the step that makes a key or takes it as it is.

    Args:
        key: the key.
        name: what the step is called.
        what: what the key is: ``KEK`` or ``CMK``.
    """
    if key.version:
        return Step(Phase.KEYS, name, f"use the {what} {key.id} as it is", Doer.KEYHIER)
    return Step(
        Phase.KEYS,
        name,
        f"take the latest version of the {what} {key.name} of {key.vault.label}, or make it as"
        f" {key.spec} if it is not there; {NOT_YET} stands for its version",
        Doer.KEYHIER,
        f"keyhier key create {key.name} --spec {key.spec} --vault https://{host_of(key.vault)}",
    )
