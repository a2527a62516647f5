"""A report as JUnit XML, which CI servers show as tests.

There is no standard; this is the common subset that Jenkins, GitLab and Azure DevOps read
(https://github.com/testmoapp/junitxml): a suite for each rule, a case for each resource.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import Final
from xml.etree import ElementTree as ET

from keyhier.placement.report import NotChecked, Notice, Report, Violation

__all__ = ["as_junit"]

# What XML 1.0, section 2.2, does not allow, and the name of a resource may hold all the same.
_NOT_XML: Final = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def as_junit(report: Report) -> str:
    """Return the report as XML: violations are failures, what was not checked is skipped."""
    failed: dict[str, list[Violation]] = defaultdict(list)
    skipped: dict[str, list[NotChecked]] = defaultdict(list)
    for violation in report.violations:
        failed[violation.rule.id].append(violation)
    for each in report.not_checked:
        skipped[each.rule.id].append(each)
    root = ET.Element("testsuites", name=f"keyhier {report.rules.name}")
    for rule in report.statements:
        suite = ET.SubElement(root, "testsuite", name=rule.id)
        for violation in failed[rule.id]:
            _case(suite, rule.id, violation)
        for each in skipped[rule.id]:
            case = ET.SubElement(suite, "testcase", classname=rule.id, name=_clean(each.subject))
            ET.SubElement(case, "skipped", message=_clean("; ".join(each.missing)))
        kept = report.kept.get(rule.id, 0)
        if kept:
            ET.SubElement(suite, "testcase", classname=rule.id, name=f"kept {kept} times")
    if report.notices:
        _notices(ET.SubElement(root, "testsuite", name="notices"), report.notices)
    for suite in root:
        _count(suite)
    _count(root)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(suite: ET.Element, rule_id: str, violation: Violation) -> None:
    case = ET.SubElement(suite, "testcase", classname=rule_id, name=_clean(violation.subject))
    rule = violation.rule
    failure = ET.SubElement(case, "failure", type=rule.severity.value, message=_clean(rule.text))
    lines = [*map(str, violation.compared), rule.remedy, f"{rule.source} ({rule.date})"]
    if violation.origin:
        lines.append(str(violation.origin))
    failure.text = _clean("\n".join(lines))


def _notices(suite: ET.Element, notices: tuple[Notice, ...]) -> None:
    for notice in notices:
        case = ET.SubElement(suite, "testcase", classname="notices", name=_clean(notice.subject))
        ET.SubElement(case, "system-out").text = _clean(notice.text)


def _count(element: ET.Element) -> None:
    element.set("tests", str(len(list(element.iter("testcase")))))
    element.set("failures", str(len(list(element.iter("failure")))))
    element.set("skipped", str(len(list(element.iter("skipped")))))


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
