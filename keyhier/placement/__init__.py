"""Placement: where keys, vaults, machines and disks are, and whether they may be there.

The rules are data, with a source and a date each (``rule_sets/``). :func:`check_placement` compares
resources with them and reports every violation, and all that could not be checked.
"""

from __future__ import annotations

from keyhier.placement.arm_id import ArmId
from keyhier.placement.check import check_placement
from keyhier.placement.place import SITE, Placement
from keyhier.placement.report import Comparison, NotChecked, Notice, Report, Violation
from keyhier.placement.rule_files import read_rule_set, rule_set, shipped_rule_sets
from keyhier.placement.rules import Rule, RuleSet
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = [
    "SITE",
    "UNKNOWN",
    "ArmId",
    "Comparison",
    "Maybe",
    "NotChecked",
    "Notice",
    "Placement",
    "Report",
    "Rule",
    "RuleSet",
    "Unknown",
    "Violation",
    "check_placement",
    "read_rule_set",
    "rule_set",
    "shipped_rule_sets",
]
