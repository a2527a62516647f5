"""Reports as text, JSON, SARIF and JUnit XML."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree as ET

import attrs
import pytest
from jsonschema import ValidationError

from keyhier.placement import UNKNOWN, Placement, Report, check_placement
from keyhier.placement.junit import as_junit
from keyhier.placement.model import Origin
from keyhier.placement.report_text import as_text
from keyhier.placement.sarif import as_sarif
from tests.placement import scenes
from tests.placement.sarif_schema import check_sarif


@pytest.fixture(scope="module")
def report() -> Report:
    origin = Origin("a folder/main.json", 12, 5, "/resources/0")
    vm = attrs.evolve(scenes.ADE_SCENE["vm"], origin=origin)
    vault = attrs.evolve(
        scenes.VAULT,
        placement=Placement("atlantis"),
        for_disk_encryption=UNKNOWN,
        origin=Origin("vault.json"),
    )
    return check_placement({**scenes.ADE_SCENE, "vm": vm, "vault": vault}.values())


def test_text_tells_the_worst_first_and_what_to_do(report: Report) -> None:
    text = as_text(report)
    assert text.startswith("ERROR ade-vault-region: VM web-01\n")
    for line in (
        "    found: region of vault contoso-kv: atlantis",
        "    do: use a vault in the machine's region",
        "    in a folder/main.json:12:5#/resources/0",
        "NOT CHECKED ade-vault-enabled: VM web-01",
        "WARNING vault contoso-kv: 'atlantis' is no region of Azure",
        "    in vault.json",
    ):
        assert line in text
    assert text.splitlines()[-1] == f"rules strict: 2 broken, 1 not checked, {_kept(report)} kept"


def _kept(report: Report) -> int:
    return sum(report.kept.values())


def test_json_holds_everything(report: Report) -> None:
    content = json.loads(json.dumps(report.as_dict()))
    assert content["worst"] == "error"
    assert {each["rule"] for each in content["violations"]} == {"ade-vault-region", "ade-retires"}
    assert content["not_checked"][0]["missing"]
    assert content["violations"][0]["origin"]["line"] == 12
    assert content["notices"][0]["subject"] == "vault contoso-kv"


@pytest.mark.parametrize(
    "change",
    [
        lambda log: log.pop("version"),
        lambda log: log["runs"][0].pop("tool"),
        lambda log: log["runs"][0]["results"][0].pop("message"),
        lambda log: log["runs"][0]["results"][0].update(level="fatal"),
        lambda log: log["runs"][0]["results"][0].update(severity="error"),
        lambda log: log["runs"][0]["results"][0]["locations"][0]["physicalLocation"].update(
            region={"startLine": 0}
        ),
    ],
)
def test_what_is_no_sarif_is_found(change: Callable[[Any], object], report: Report) -> None:
    log = check_sarif(as_sarif(report))
    change(log)
    with pytest.raises(ValidationError):
        check_sarif(log)


def test_sarif_is_valid_and_points_to_the_line(report: Report) -> None:
    log = check_sarif(as_sarif(report))
    (run,) = log["runs"]
    known = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    assert {result["ruleId"] for result in run["results"]} <= known
    region = next(each for each in run["results"] if each["ruleId"] == "ade-vault-region")
    assert region["level"] == "error"
    physical = region["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == "a%20folder/main.json"
    assert physical["region"] == {"startLine": 12, "startColumn": 5}
    kinds = {(each["kind"], each["level"]) for each in run["results"]}
    assert kinds == {("fail", "error"), ("fail", "warning"), ("open", "none")}


@pytest.mark.parametrize(
    ("origin", "uri", "region"),
    [
        (Origin("/templates/main.json"), "file:///templates/main.json", None),
        (Origin("main.json", 3), "main.json", {"startLine": 3}),
    ],
)
def test_sarif_names_files_as_uris(origin: Origin, uri: str, region: dict[str, int] | None) -> None:
    vm = attrs.evolve(scenes.VM, origin=origin)
    log = check_sarif(as_sarif(check_placement([vm, scenes.OS_DISK, scenes.DATA_DISK])))
    physical = log["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"]["uri"] == uri
    assert physical.get("region") == region


def test_names_forge_no_lines() -> None:
    name = "web\n    found: nothing\x1b[2K"
    vm = attrs.evolve(scenes.VM, id=UNKNOWN, name=name)
    text = as_text(check_placement([vm, scenes.OS_DISK, scenes.DATA_DISK]))
    assert "\x1b" not in text
    assert "ERROR vm-unencrypted: VM web\N{REPLACEMENT CHARACTER}    found: nothing" in text


def test_junit_counts_what_failed_and_what_was_skipped(report: Report) -> None:
    root = ET.fromstring(as_junit(report))
    assert (root.get("failures"), root.get("skipped")) == ("2", "1")
    failure = root.find(".//testsuite[@name='ade-vault-region']/testcase/failure")
    assert failure is not None
    assert failure.get("type") == "error"
    assert "a folder/main.json:12:5" in (failure.text or "")
    assert root.find(".//testsuite[@name='notices']/testcase/system-out") is not None
    for suite in root:
        assert suite.get("tests") == str(len(suite.findall("testcase")))


def test_junit_stands_names_that_are_no_xml() -> None:
    vm = attrs.evolve(scenes.VM, id=UNKNOWN, name="a\x00\ud800<b>&\x1f")
    text = as_junit(check_placement([vm, scenes.OS_DISK, scenes.DATA_DISK]))
    names = {case.get("name") for case in ET.fromstring(text).iter("testcase")}
    assert (
        "VM a\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}<b>&\N{REPLACEMENT CHARACTER}"
        in names
    )


def test_an_empty_report_is_told_in_every_format() -> None:
    empty = check_placement([])
    assert as_text(empty) == "rules strict: 0 broken, 0 not checked, 0 kept\n"
    assert empty.worst == "ok"
    check_sarif(as_sarif(empty))
    assert ET.fromstring(as_junit(empty)).get("tests") == "0"
