"""PlacementPolicy: what follows where something is where the rules do not allow it.

Whoever uses keys asks it before the first key operation: *enforce* refuses, *warn* has it recorded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum

import attrs

from keyhier.errors import InvalidInputError
from keyhier.placement.arm_id import ArmId
from keyhier.placement.check import check_placement
from keyhier.placement.model import Resource, VaultResource
from keyhier.placement.place import NOWHERE, Placement
from keyhier.placement.rule_files import DEFAULT_RULES, rule_set
from keyhier.placement.rules import RuleSet
from keyhier.placement.unknown import UNKNOWN, Maybe
from keyhier.placement.vocabulary import Relation

__all__ = ["Enforcement", "PlacementPolicy"]


class Enforcement(StrEnum):
    """What is done about a violation."""

    ENFORCE = "enforce"
    """It is refused before any key is used."""

    WARN = "warn"
    """It is recorded."""


def _spelled(vault: str) -> str:
    # The case of a host does not count, and that of a token's label does.
    return vault.casefold() if "." in vault else vault


def _by_host(vaults: Mapping[str, Placement]) -> dict[str, Placement]:
    found: dict[str, Placement] = {}
    for name, place in vaults.items():
        if found.setdefault(_spelled(name), place) != place:
            raise InvalidInputError("a vault stands twice among those whose place is declared")
    return found


def _by_name(machines: Mapping[str, Placement]) -> dict[str, Placement]:
    found = {name.casefold(): place for name, place in machines.items()}
    if len(found) < len(machines):
        raise InvalidInputError("a machine stands twice among those whose place is declared")
    return found


@attrs.frozen
class PlacementPolicy:
    """Where vaults and machines are, the rules, and what follows where one is broken.

    Attributes:
        vaults: where each vault is, by its host, its token's label, or ``memory``.
        machines: where each machine is, by its name; the case does not count.
        rules: a rule set, or the name of one that comes with keyhier.
        enforcement: whether a violation is refused or recorded.
    """

    vaults: Mapping[str, Placement] = attrs.field(factory=dict, converter=_by_host)
    rules: RuleSet | str = DEFAULT_RULES
    enforcement: Enforcement = attrs.field(default=Enforcement.ENFORCE, converter=Enforcement)
    machines: Mapping[str, Placement] = attrs.field(factory=dict, converter=_by_name)

    def places_of(self, machine: str, told: Placement = NOWHERE) -> tuple[Placement, ...]:
        """Return where a machine may be: two places where it is told and declared otherwise.

        Args:
            machine: its name.
            told: where somebody says that it is.
        """
        declared = self.machines.get(machine.casefold(), NOWHERE)
        return tuple({told.filled_by(declared): None, declared.filled_by(told): None})

    def vault(self, name: str, identity: Maybe[ArmId] = UNKNOWN) -> VaultResource:
        """Return a vault with its declared place; one that nobody declared is nowhere known.

        Args:
            name: its host, its token's label, or ``memory``.
            identity: its ARM id, for one in Azure.
        """
        place = self.vaults.get(_spelled(name), NOWHERE)
        return VaultResource(id=identity, name=name, host=name, placement=place)

    def judge(
        self, resources: Iterable[Resource], about: Relation | None = None
    ) -> tuple[str, ...]:
        """Return what is to be recorded: each rule that is broken, or could not be checked.

        What is unknown breaks no rule, so it is recorded and never refused.

        Args:
            resources: what belongs together.
            about: asks only the rules about this; by default all.

        Raises:
            PlacementError: a rule that is an error is broken, and that is refused; all of them are
                named.
            NotFoundError: no rule set has the name.
        """
        rules = rule_set(self.rules) if isinstance(self.rules, str) else self.rules
        if about is not None:
            chosen = tuple(each for each in rules if each.about is about)
            rules = attrs.evolve(rules, rules=chosen)
        report = check_placement(resources, rules)
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
