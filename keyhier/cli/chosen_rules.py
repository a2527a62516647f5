"""The rules that a command holds resources to."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import attrs
import typer

from keyhier.azure_disk.eligibility_rules import EligibilityRules, read_eligibility_rules
from keyhier.cli.hierarchy import hierarchy_settings
from keyhier.cli.session import Session
from keyhier.placement.policy import PlacementPolicy
from keyhier.placement.rule_files import read_rule_set, rule_set

__all__ = ["EligibilityOption", "RulesOption", "chosen_eligibility", "chosen_placement"]

RulesOption = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The placement rules: a name, or a file; else the profile's, else strict.",
    ),
]
EligibilityOption = Annotated[
    str, typer.Option(metavar="NAME", help="The eligibility rules: a name, or a file.")
]


def chosen_placement(session: Session, name: str | None) -> PlacementPolicy:
    """Return where vaults are and the rules, as the profile says unless other rules are named.

    Args:
        session: the command's.
        name: of a rule set, or a file with one's own; None for the profile's, or else the default.

    Raises:
        What reading either of them raises.
    """
    placement = hierarchy_settings(session).placement or PlacementPolicy()
    if name is None:
        return placement
    rules = read_rule_set(name) if _is_file(name) else rule_set(name)
    return attrs.evolve(placement, rules=rules)


def chosen_eligibility(name: str) -> EligibilityRules | str:
    """Return one's own rules of eligibility, or the name of those that come with keyhier.

    Raises:
        InvalidInputError: the file cannot be read, or holds something else.
    """
    return read_eligibility_rules(name) if _is_file(name) else name


def _is_file(name: str) -> bool:
    return Path(name).suffix == ".toml"
