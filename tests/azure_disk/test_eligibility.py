"""Eligibility: every row of the pages with its verdict; unknown is never yes."""

from __future__ import annotations

import datetime as dt
from typing import Any

import attrs
import pytest

from keyhier.azure_disk.eligibility import Method, Verdict, retirement_finding
from keyhier.azure_disk.eligibility_rules import (
    shipped_eligibility_rules,
)
from keyhier.azure_disk.machine import Machine, Technology
from keyhier.azure_disk.retirement import RETIREMENT
from keyhier.doctor import Severity
from keyhier.placement import UNKNOWN
from keyhier.placement.model import System
from tests.azure_disk.eligibility_rows import (
    SUPPORTED_2018,
    TABLE,
    UNSUPPORTED,
    UNSUPPORTED_2018,
    UNSUPPORTED_2026,
)
from tests.azure_disk.machines import ask, machine, told

YES, NO = Verdict.YES, Verdict.NO


@pytest.mark.parametrize(("rules", "system", "facts", "obstacle"), TABLE)
def test_each_row_of_the_table_has_its_verdict(
    rules: str, system: System, facts: dict[str, Any], obstacle: str | None
) -> None:
    answer = ask(rules, machine(rules, system, **facts))
    assert told(answer) == ([] if obstacle is None else [obstacle])
    assert answer.verdict is (YES if obstacle is None else NO)


@pytest.mark.parametrize(("system", "facts"), SUPPORTED_2018)
def test_each_scenario_that_2018_supports_is_allowed(system: System, facts: dict[str, Any]) -> None:
    assert ask("2018", machine("2018", system, **facts)).verdict is YES


@pytest.mark.parametrize(("system", "facts", "obstacle"), UNSUPPORTED_2018)
def test_each_scenario_that_2018_does_not_support_is_refused(
    system: System, facts: dict[str, Any], obstacle: str
) -> None:
    assert told(ask("2018", machine("2018", system, **facts))) == [obstacle]


@pytest.mark.parametrize(
    ("rules", "system", "technology", "obstacle"),
    [
        *(("2023", *row) for row in UNSUPPORTED),
        *(("2026", *row) for row in UNSUPPORTED_2026),
    ],
)
def test_each_technology_that_is_not_supported_is_refused(
    rules: str, system: System, technology: Technology, obstacle: str
) -> None:
    one = machine(rules, system, uses=frozenset({technology}))
    assert told(ask(rules, one)) == [obstacle]


@pytest.mark.parametrize("rules", ["2023", "2026"])
def test_storage_spaces_are_supported_since_windows_server_2016(rules: str) -> None:
    spaces = frozenset({Technology.STORAGE_SPACES})
    for release, obstacles in (
        ("windows-server 2012-r2", ["windows-old-storage-spaces"]),
        ("windows-server 2016", []),
    ):
        one = machine(rules, System.WINDOWS, release=release, uses=spaces)
        assert told(ask(rules, one)) == obstacles


def test_all_obstacles_are_told_and_not_only_the_first() -> None:
    one = machine("2026", size="Basic_A1", ultra_disk=True, memory_gb=1)
    assert set(told(ask("2026", one))) == {
        "basic-tier",
        "a-series",
        "ultra-disk",
        "linux-memory-os",
    }


@pytest.mark.parametrize(
    ("method", "facts", "obstacle"),
    [
        (Method.CMK, {}, None),
        (Method.CMK, {"ade_ever": True}, "cmk-after-ade"),
        (Method.CMK, {"managed_disks": False}, "cmk-unmanaged"),
        (Method.HOST, {}, None),
        (Method.HOST, {"ade_ever": True}, "host-after-ade"),
        (Method.HOST, {"size_supports_host_encryption": False}, "host-size"),
        (Method.HOST, {"host_encryption_registered": False}, "host-feature"),
        (Method.HOST, {"size": "Standard_D4ds_v6", "generation": 2}, None),
    ],
)
def test_the_other_methods_have_obstacles_of_their_own(
    method: Method, facts: dict[str, Any], obstacle: str | None
) -> None:
    answer = ask("2026", machine("2026", **facts), method)
    assert told(answer) == ([] if obstacle is None else [obstacle])
    assert not answer.findings


@pytest.mark.parametrize("method", [Method.CMK, Method.HOST])
def test_2018_offered_one_method(method: Method) -> None:
    assert told(ask("2018", machine("2018"), method)) == ["not-offered"]


# What is not known


def test_nothing_known_is_nothing_told() -> None:
    for rules in shipped_eligibility_rules():
        answer = ask(rules, Machine())
        assert answer.verdict is Verdict.UNKNOWN
        assert {"size", "uses", "release"} - set(answer.missing) <= {"size"}
        assert not answer.reasons


def test_an_odd_size_is_unknown_and_no_error() -> None:
    answer = ask("2026", machine("2026", size="Enormous"))
    assert answer.verdict is Verdict.UNKNOWN
    assert set(answer.missing) == {"family", "tier", "version"}


@pytest.mark.parametrize(
    ("rules", "system", "facts"),
    [(rules, system, facts) for rules, system, facts, obstacle in TABLE if obstacle],
)
def test_making_a_fact_unknown_never_turns_no_into_yes(
    rules: str, system: System, facts: dict[str, Any]
) -> None:
    one = machine(rules, system, **facts)
    for field in attrs.fields(Machine):
        less = attrs.evolve(one, **{field.name: UNKNOWN})
        assert ask(rules, less).verdict is not YES


def test_volumes_that_are_unknown_leave_a_data_only_system_open() -> None:
    one = machine("2026", release="opensuse 42.3", volumes=UNKNOWN)
    assert "system-data-only" in {each.id for each in ask("2026", one).open}


def test_an_answer_is_told_as_json() -> None:
    content = ask("2026", machine("2026", size="Basic_A1", release=UNKNOWN)).as_dict()
    assert (content["verdict"], content["method"], content["rules"]) == ("no", "ade", "2026")
    assert content["reasons"][0]["source"].startswith("https://learn.microsoft.com/")
    assert content["open"][0]["missing"] == ["release"]
    assert content["findings"][0]["check"] == "ade-retirement"


# The retirement


@pytest.mark.parametrize("rules", shipped_eligibility_rules())
def test_every_plan_for_ade_carries_its_end(rules: str) -> None:
    (finding,) = ask(rules, machine(rules)).findings
    assert "2028-09-15" in finding.found
    assert finding.remedy
    assert "keep every KEK version" in finding.remedy


def test_the_end_is_a_warning_before_and_an_error_after() -> None:
    one = machine("2026")
    before = retirement_finding(one, today=RETIREMENT - dt.timedelta(days=1))
    assert before.severity is Severity.WARNING
    after = retirement_finding(one, today=RETIREMENT)
    assert after.severity is Severity.ERROR
    assert "ended" in after.found


def test_the_way_out_is_told_with_what_blocks_it() -> None:
    used = machine("2026", ade=True, ade_ever=True, os_encrypted=True)
    remedy = retirement_finding(used).remedy
    assert remedy
    assert "encryption-at-host is open to it; cmk is open to it" in remedy
    blocked = attrs.evolve(used, size_supports_host_encryption=False, managed_disks=UNKNOWN)
    remedy = retirement_finding(blocked).remedy
    assert remedy
    assert "encryption-at-host is not, because the size does not support" in remedy
    assert "cmk depends on managed_disks" in remedy
