"""The placement rules as a plan is held to them."""

from __future__ import annotations

import attrs

from keyhier.doctor import Severity
from keyhier.placement.rule_files import DEFAULT_RULES, rule_set
from keyhier.placement.rules import Rule, RuleSet
from keyhier.placement.vocabulary import Relation

__all__ = ["DEFAULT_RULES", "rules_of_plans"]


def rules_of_plans(rules: RuleSet | str) -> RuleSet:
    """Return rules that tell of disks which stay unencrypted, and stop no plan for them.

    A machine's disks may be encrypted in several plans, and a plan may decrypt them on purpose.

    Raises:
        NotFoundError: no rule set has that name.
    """
    chosen = rule_set(rules) if isinstance(rules, str) else rules
    return attrs.evolve(chosen, rules=tuple(map(_softened, chosen)))


def _softened(rule: Rule) -> Rule:
    told = rule.about is Relation.VM_DISK and rule.severity is Severity.ERROR
    return attrs.evolve(rule, severity=Severity.WARNING) if told else rule
