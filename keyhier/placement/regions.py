"""Azure's regions: their names, display names, geographies and clouds, as data.

The data lie in ``data/azure-regions.toml``, with source and date. A region that is not in them
is no error: new ones open every year, and a name can still be compared with a name.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from functools import cache, lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Final

import attrs

__all__ = ["Region", "find_region", "near_regions", "normalise_region", "regions"]

_FILE: Final = Path(__file__).with_name("data") / "azure-regions.toml"


@attrs.frozen
class Region:
    """A region of Azure.

    Attributes:
        name: the name as ARM writes it: ``eastus2``.
        display_name: the name for people: ``East US 2``.
        geography: the geography that its data stay in.
        cloud: ``AzureCloud``, ``AzureChinaCloud`` or ``AzureUSGovernment``, as Azure CLI names
            them (https://learn.microsoft.com/cli/azure/manage-clouds-azure-cli).
    """

    name: str
    display_name: str
    geography: str
    cloud: str


@lru_cache(maxsize=4096)
def normalise_region(text: str) -> str:
    """Return a region's name as ARM compares it: ``East US 2`` and ``eastus2`` are one.

    Azure CLI does the same before it compares: lower case, no blanks. Hyphens and underscores
    go too, and a geography in parentheses before the name, as the portal shows it.
    """
    bare = text.strip()
    if bare.startswith("(") and ")" in bare:
        bare = bare.partition(")")[2]
    return "".join(each for each in bare.casefold() if not each.isspace() and each not in "-_")


@cache
def regions() -> Mapping[str, Region]:
    """Return the regions that are known here, by their names."""
    content = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    return MappingProxyType(
        {
            normalise_region(display_name): Region(
                normalise_region(display_name), display_name, table["geography"], table["cloud"]
            )
            for table in content["geography"]
            for display_name in table["regions"]
        }
    )


def find_region(text: str) -> Region | None:
    """Return the region of that name, however it is spelled, or None where it is not known."""
    return regions().get(normalise_region(text))


@lru_cache(maxsize=256)
def near_regions(text: str) -> tuple[str, ...]:
    """Return the names of at most three known regions that a misspelled name may mean."""
    return tuple(difflib.get_close_matches(normalise_region(text), regions(), n=3))
