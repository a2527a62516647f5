"""Real templates, schemas, examples and recordings: all go through, with the findings we expect.

`material.toml` lists what is found in each folder, and why. Nothing of the material is there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyhier.checks.check import check_documents
from keyhier.checks.files import Files
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.model import Origin
from keyhier.placement.report import Report

EXPECTED: dict[str, Any] = tomllib.loads(
    Path(__file__).with_name("material.toml").read_text(encoding="utf-8")
)


def report_of(folder: Path) -> Report:
    files = Files(Deployment(""))
    for path in sorted(folder.glob("*.json")):
        files.add(path.name, path.read_bytes())
    read = list(files.documents())
    troubles = [*files.troubles, *(each for one in read for each in one.troubles)]
    found = [each for one in read for each in one.found]
    return check_documents(found, troubles, locate=files.locate)


def place(origin: Origin | None) -> str:
    return "" if origin is None else f"{origin.file}:{origin.line or 0}:{origin.column or 0}"


def told(report: Report) -> Iterator[str]:
    for violation in report.violations:
        yield f"{violation.rule.severity} {violation.rule.id} {place(violation.origin)}"
    for rule in {each.rule.id for each in report.not_checked}:
        count = sum(each.rule.id == rule for each in report.not_checked)
        yield f"not-checked {rule} {count}"


@pytest.mark.parametrize("folder", EXPECTED["folder"], ids=lambda each: str(each["path"]))
def test_the_findings_of_a_folder_are_these(material: Path, folder: dict[str, Any]) -> None:
    assert folder["reason"]
    found = sorted(told(report_of(material / "azure" / folder["path"])))
    assert found == folder["findings"]


def test_every_folder_is_listed(material: Path) -> None:
    root = material / "azure"
    folders = {path.parent.relative_to(root).as_posix() for path in root.rglob("*.json")}
    assert folders == {folder["path"] for folder in EXPECTED["folder"]}
