"""What keyhier.toml says of placement, in the table of a profile.

::

    [profiles.lab.placement]
    enforcement = "warn"                        # or "enforce", which is the default
    rules = "strict"                            # a name, or the absolute path of a file

    [profiles.lab.placement.vaults."contoso-kv.vault.azure.net"]
    region = "eastus2"
    subscription = "11111111-1111-1111-1111-111111111111"
    tenant = "33333333-3333-3333-3333-333333333333"

    [profiles.lab.placement.vaults.disks]       # a token's label, or memory
    site = "vienna"

    [profiles.lab.placement.machines.web-01]    # of which volume keys are kept
    region = "eastus2"
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from keyhier.cli.own_file import require_own
from keyhier.errors import InvalidInputError, KeyhierError
from keyhier.placement.place import Placement
from keyhier.placement.policy import Enforcement, PlacementPolicy
from keyhier.placement.rule_files import DEFAULT_RULES, read_rule_set, rule_set
from keyhier.placement.rules import RuleSet

__all__ = ["read_placement"]

_TOP: Final = ("enforcement", "machines", "rules", "vaults")
_PLACE: Final = ("region", "site", "subscription", "tenant", "cloud")


def read_placement(table: object, place: str) -> PlacementPolicy:
    """Read a profile's table of placement.

    Args:
        table: the table.
        place: where it stands, for messages.

    Raises:
        InvalidInputError: something there is not what belongs there.
        AccessDeniedError: others can change the file of the rules.
    """
    content = _table(table, place, _TOP)
    enforcement = content.get("enforcement", Enforcement.ENFORCE.value)
    if enforcement not in list(Enforcement):
        raise InvalidInputError(f"{place}.enforcement is one of {', '.join(Enforcement)}")
    return PlacementPolicy(
        _places(content.get("vaults", {}), f"{place}.vaults"),
        _rules(content.get("rules", DEFAULT_RULES), f"{place}.rules"),
        Enforcement(enforcement),
        _machines(content.get("machines", {}), f"{place}.machines"),
    )


def _places(table: object, place: str) -> dict[str, Placement]:
    if not isinstance(table, dict):
        raise InvalidInputError(f"{place} is a table of vaults and where each is")
    places: dict[str, Placement] = {}
    for name, content in table.items():
        # The case of a host does not count, and that of a token's label does.
        for spelling in {name, name.casefold() if "." in name else name}:
            if spelling in places:
                raise InvalidInputError(f"{place} has {spelling} twice, in another case")
            places[spelling] = _place(content, f"{place}.{name}")
    return places


def _machines(table: object, place: str) -> dict[str, Placement]:
    if not isinstance(table, dict):
        raise InvalidInputError(f"{place} is a table of machines and where each is")
    places: dict[str, Placement] = {}
    for name, content in table.items():
        if name.casefold() in places:
            raise InvalidInputError(f"{place} has {name} twice, in another case")
        places[name.casefold()] = _place(content, f"{place}.{name}")
    return places


def _table(value: object, place: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInputError(f"{place} is not a table")
    for name in value:
        if name not in known:
            raise InvalidInputError(
                f"unknown key {name!r:.80} in {place}; known are {', '.join(known)}"
            )
    return value


def _rules(value: object, place: str) -> RuleSet:
    if not isinstance(value, str):
        raise InvalidInputError(f"{place} is the name of rules, or the absolute path of a file")
    path = Path(value)
    if path.suffix != ".toml":
        try:
            return rule_set(value)
        except KeyhierError as error:
            raise InvalidInputError(f"{place}: {error.message}") from None
    # A relative one would be other rules in every working directory.
    if not path.is_absolute():
        raise InvalidInputError(f"{place} is the name of rules, or the absolute path of a file")
    if path.exists():
        require_own(path, path.stat(), "what is allowed")
    return read_rule_set(path)


def _place(value: object, place: str) -> Placement:
    content = _table(value, place, _PLACE)
    for name, text in content.items():
        if not isinstance(text, str) or not text.strip():
            raise InvalidInputError(f"{place}.{name} is text")
    if "site" not in content:
        return Placement(**content)
    if "region" in content or "cloud" in content:
        raise InvalidInputError(
            f"{place} has a site, and a region or cloud besides",
            remedy="a site is for what is in no cloud, and stands for its region",
        )
    others = {name: text for name, text in content.items() if name != "site"}
    return Placement.site(content["site"], **others)
