"""The placement rules that a command holds resources to."""

from __future__ import annotations

from typing import Final

import attrs

from keyhier.cli.hierarchy import hierarchy_settings
from keyhier.cli.session import Session
from keyhier.placement.policy import PlacementPolicy
from keyhier.placement.rule_files import read_rule_set, rule_set, shipped_rule_sets

__all__ = ["chosen_placement"]

_RULE_FILE: Final = ".toml"


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
    named = name in shipped_rule_sets() or not name.endswith(_RULE_FILE)
    rules = rule_set(name) if named else read_rule_set(name)
    return attrs.evolve(placement, rules=rules)
