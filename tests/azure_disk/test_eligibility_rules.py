"""Eligibility rules as data: each has a page and a date; files of one's own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from keyhier.azure_disk.eligibility import Method, check_eligibility
from keyhier.azure_disk.eligibility_rules import (
    eligibility_rules,
    read_eligibility_rules,
    shipped_eligibility_rules,
)
from keyhier.azure_disk.machine import FACTS, Image, Scenario, Technology
from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.placement.model import System, Volumes
from tests.azure_disk.eligibility_rows import (
    TABLE,
    UNSUPPORTED_2018,
)
from tests.azure_disk.machines import ask, machine, told


@pytest.mark.parametrize("name", shipped_eligibility_rules())
def test_every_obstacle_has_a_page_and_a_date(name: str) -> None:
    rules = eligibility_rules(name)
    assert rules.title
    said = [(each.source, each.date) for each in rules.obstacles]
    said += [(each.source, each.date) for each in rules.supported]
    for source, date in said:
        assert source.startswith(("https://learn.microsoft.com/", "https://github.com/"))
        assert date.year <= int(name)


def test_every_obstacle_of_ade_is_met_by_some_machine() -> None:
    """What no machine can meet is dead data."""
    met: dict[str, set[str]] = {name: set() for name in shipped_eligibility_rules()}
    variants: list[dict[str, Any]] = [
        *({"uses": frozenset({each})} for each in Technology),
        {"release": "windows-server 2012", "uses": frozenset({Technology.STORAGE_SPACES})},
        {"classic": True},
        {"image": Image.CUSTOM},
        {"scale_set": True},
        {"scenario": Scenario.DISABLE},
        {"scenario": Scenario.DISABLE, "volumes": Volumes.DATA, "os_encrypted": True},
        {"volumes": Volumes.DATA, "memory_gb": 1},
        {"memory_gb": 1, "root_usage_gb": 16},
        {"size": "Basic_A1"},
        {"size": "Standard_L8s_v2"},
        *({name: value} for name in BOOLEANS for value in (True, False)),
    ]
    rows = [(rules, system, facts) for rules, system, facts, _ in TABLE]
    rows += [("2018", system, facts) for system, facts, _ in UNSUPPORTED_2018]
    rows += [(rules, system, facts) for rules in met for system in System for facts in variants]
    for rules, system, facts in rows:
        met[rules] |= {each.id for each in ask(rules, machine(rules, system, **facts)).reasons}
    for name, found in met.items():
        obstacles = {
            each.id for each in eligibility_rules(name).obstacles if Method.ADE in each.methods
        }
        assert obstacles <= found


BOOLEANS = [
    *("ephemeral_os_disk", "ultra_disk", "premium_v2", "write_accelerator", "host_encryption"),
    *("cmk", "enforces_tpm", "allows_256_bit_recovery_key", "blocks_aes_cbc", "mbam"),
    *("reaches_entra", "reaches_vault", "reaches_storage", "nvme"),
]

OBSTACLE = """
title = "Ours"

[[obstacle]]
id = "small"
methods = ["ade"]
when = { memory_gb = { at_least = 1, below = 4 }, generation = [1, 2], scale_set = false }
text = "it is too small"
source = "https://intranet.example/"
date = 2026-01-02
"""


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(OBSTACLE)
    rules = read_eligibility_rules(path)
    assert told(check_eligibility(machine("2026", memory_gb=2), Method.ADE, rules)) == ["small"]
    for memory in (0.5, 4):
        assert not told(check_eligibility(machine("2026", memory_gb=memory), Method.ADE, rules))


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("memory_gb =", "memory =", r"ours.toml:7:1: when asks the unknown fact 'memory'"),
        ("{ at_least = 1, below = 4 }", "{ above = 4 }", r"ours.toml:7:1: memory_gb is asked for"),
        ("{ at_least = 1, below = 4 }", "[]", r"memory_gb is asked for a value"),
        ('"ade"', '"bitlocker"', r"ours.toml:6:1: methods is one of ade, cmk"),
        ("https:", "http:", r"ours.toml:4:1: .*names no page as its source"),
        ("text =", "reason =", r"ours.toml:8:1: unknown field 'reason'"),
        ("when = {", "when = 3 #", r"ours.toml:7:1: when is a table of facts"),
        ('title = "Ours"', 'title = "Ours"\nname = "x"', r"ours.toml:3:1: unknown field 'name'"),
    ],
)
def test_a_mistake_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, wanted: str
) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(OBSTACLE.replace(old, new))
    with pytest.raises(InvalidInputError, match=wanted):
        read_eligibility_rules(path)


def test_an_obstacle_stands_once_and_flags_are_flags(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(OBSTACLE + OBSTACLE.partition("\n\n")[2])
    with pytest.raises(InvalidInputError, match="stands there twice"):
        read_eligibility_rules(path)
    support = '[[support]]\ndistribution = "x"\nreleases = ["1"]\ndata_only = 1\n'
    path.write_text('title = "Ours"\n' + support)
    with pytest.raises(InvalidInputError, match=r"ours.toml:5:1: data_only is true or false"):
        read_eligibility_rules(path)


def test_rules_that_are_not_there_are_an_error() -> None:
    with pytest.raises(NotFoundError, match="there are 2018, 2023, 2026"):
        eligibility_rules("1999")


def test_facts_are_all_there() -> None:
    one = machine("2026")
    assert all(hasattr(one, fact) for fact in FACTS)


FIXED = re.compile(r"https://github\.com/MicrosoftDocs/[a-z-]+/blob/[0-9a-f]{40}/[^#]+(#[a-z-]+)?")


@pytest.mark.parametrize("name", ["2018", "2023"])
def test_what_pages_said_once_names_a_page_that_does_not_change_or_says_that_it_was_not_seen(
    name: str,
) -> None:
    rules = eligibility_rules(name)
    said = [(each.source, each.confirmed) for each in rules.obstacles]
    said += [(each.source, each.confirmed) for each in rules.supported]
    for source, confirmed in said:
        assert bool(FIXED.fullmatch(source)) is confirmed, source


def test_the_rows_whose_pages_were_not_seen_are_these() -> None:
    unseen = {
        name: [each.id for each in eligibility_rules(name).obstacles if not each.confirmed]
        for name in shipped_eligibility_rules()
    }
    assert unseen == {"2018": [], "2023": ["cmk-unmanaged", "host-after-ade"], "2026": []}


def test_whether_a_page_was_seen_is_true_or_false(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(
        'title = "Ours"\n[[obstacle]]\nid = "a"\nmethods = ["ade"]\nwhen = {}\ntext = "no"\n'
        'source = "https://intranet.example/"\ndate = 2026-01-01\nconfirmed = "perhaps"\n'
    )
    with pytest.raises(InvalidInputError, match="confirmed is true or false"):
        read_eligibility_rules(path)
