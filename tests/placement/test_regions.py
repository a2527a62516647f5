"""Region names, and the data behind them."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyhier.placement.regions as module
from keyhier.placement import SITE, UNKNOWN, ArmId, Placement
from keyhier.placement.regions import find_region, near_regions, normalise_region, regions


@pytest.mark.parametrize(
    "text",
    ["East US 2", "eastus2", "EASTUS2", "east-us-2", "(US) East US 2", " East\tUS 2 ", "east_us_2"],
)
def test_one_region_has_many_spellings(text: str) -> None:
    assert normalise_region(text) == "eastus2"
    region = find_region(text)
    assert region
    assert (region.display_name, region.geography) == ("East US 2", "United States")
    assert region.cloud == "AzureCloud"


@pytest.mark.parametrize(
    ("name", "cloud"),
    [
        ("US Gov Virginia", "AzureUSGovernment"),
        ("usdodeast", "AzureUSGovernment"),
        ("China North 3", "AzureChinaCloud"),
        ("germanywestcentral", "AzureCloud"),
    ],
)
def test_a_region_knows_its_cloud(name: str, cloud: str) -> None:
    region = find_region(name)
    assert region
    assert region.cloud == cloud
    assert Placement(name).cloud == cloud.casefold()


def test_the_data_have_a_source_and_a_date_and_no_region_twice() -> None:
    path = Path(module.__file__).with_name("data") / "azure-regions.toml"
    content = tomllib.loads(path.read_text(encoding="utf-8"))
    assert content["source"].startswith("https://")
    assert content["date"]
    listed = [name for table in content["geography"] for name in table["regions"]]
    assert len(listed) == len(regions()) > 70


def test_an_unknown_region_is_none_with_suggestions() -> None:
    assert find_region("atlantis") is None
    assert near_regions("westeurop")[0] == "westeurope"
    assert Placement("atlantis").cloud == "azure"


@given(st.text())
def test_any_text_is_normalised_and_stays_so(text: str) -> None:
    find_region(text)
    once = normalise_region(text)
    if "(" not in once:
        assert normalise_region(once) == once


def test_a_site_stands_for_a_region() -> None:
    site = Placement.site("Vienna", subscription="Ours", tenant="T")
    assert site == Placement("vienna", "ours", "t", SITE)
    assert site.same_region(Placement.site("VIENNA")) is True
    assert site.same_region(Placement("westeurope")) is False
    assert site.same_region(Placement()) is UNKNOWN


def test_a_place_is_completed_by_an_id() -> None:
    identity = ArmId.parse("/subscriptions/S/resourceGroups/g/providers/N/t/x")
    assert Placement("eastus").of(identity) == Placement("eastus", subscription="s")
    assert Placement(subscription="other").of(identity) == Placement(subscription="other")
