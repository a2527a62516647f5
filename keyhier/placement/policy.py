"""PlacementPolicy: what follows where something is where the rules do not allow it.

Whoever uses keys asks it before the first key operation: *enforce* refuses, *warn* has it recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import attrs

from keyhier.placement.arm_id import ArmId
from keyhier.placement.check import check_placement
from keyhier.placement.model import Resource, VaultResource
from keyhier.placement.place import NOWHERE, Placement
from keyhier.placement.rule_files import DEFAULT_RULES
from keyhier.placement.rules import RuleSet
from keyhier.placement.unknown import UNKNOWN, Maybe

__all__ = ["Enforcement", "PlacementPolicy"]


class Enforcement(StrEnum):
    """What is done about a violation."""

    ENFORCE = "enforce"
    """It is refused before any key is used."""

    WARN = "warn"
    """It is recorded."""


@attrs.frozen
class PlacementPolicy:
    """Where vaults are, the rules, and what follows where one is broken.

    Attributes:
        vaults: where each vault is, by its host, its token's label, or ``memory``.
        rules: a rule set, or the name of one that comes with keyhier.
        enforcement: whether a violation is refused or recorded.
    """

    vaults: Mapping[str, Placement] = attrs.field(factory=dict)
    rules: RuleSet | str = DEFAULT_RULES
    enforcement: Enforcement = attrs.field(default=Enforcement.ENFORCE, converter=Enforcement)

    def vault(self, name: str, identity: Maybe[ArmId] = UNKNOWN) -> VaultResource:
        """Return a vault with its declared place; one that nobody declared is nowhere known.

        Args:
            name: its host, its token's label, or ``memory``.
            identity: its ARM id, for one in Azure.
        """
        place = self.vaults.get(name, NOWHERE)
        return VaultResource(id=identity, name=name, host=name, placement=place)

    def judge(self, resources: Iterable[Resource]) -> tuple[str, ...]:
        """Return what is to be recorded: each rule that is broken, or could not be checked.

        What is unknown breaks no rule, so it is recorded and never refused.

        Raises:
            PlacementError: a rule that is an error is broken, and that is refused; all of them are
                named.
            NotFoundError: no rule set has the name.
        """
        report = check_placement(resources, self.rules)
        if self.enforcement is Enforcement.ENFORCE:
            report.raise_for_errors()
        broken = (
            f"{each.rule.id}: {each.rule.text} ({', '.join(map(str, each.compared))})"
            for each in report.violations
        )
        unknown = (
            f"{each.rule.id} was not checked: unknown are {', '.join(each.missing)}"
            for each in report.not_checked
        )
        return (*broken, *unknown)
