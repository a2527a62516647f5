"""A report as SARIF 2.1.0, which code hosts show beside the lines of a template.

https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote

from keyhier.doctor import Severity
from keyhier.placement.model import Origin
from keyhier.placement.report import Report
from keyhier.placement.rules import Statement

__all__ = ["as_sarif"]

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS: Final[Mapping[Severity, str]] = MappingProxyType(
    {
        Severity.OK: "none",
        Severity.NOTE: "note",
        Severity.WARNING: "warning",
        Severity.ERROR: "error",
    }
)
_UNKNOWN_REGION: Final = "unknown-region"


def as_sarif(report: Report) -> dict[str, Any]:
    """Return the report as a SARIF log with one run.

    A violation is a result of kind ``fail``. What was not checked is of kind ``open`` (section
    3.27.9), which says that nobody could tell.
    """
    rules = [_descriptor(each) for each in report.statements]
    if report.notices:
        text = "A region that is not known here"
        rules.append({"id": _UNKNOWN_REGION, "shortDescription": {"text": text}})
    driver = {
        "name": "keyhier",
        "version": metadata.version("keyhier"),
        "rules": rules,
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": list(_results(report)),
        "properties": {"ruleSet": report.rules.name},
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _descriptor(rule: Statement) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.text},
        "help": {"text": f"{rule.remedy}. Source: {rule.source} ({rule.date})"},
        "helpUri": rule.source,
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }


def _results(report: Report) -> Iterator[dict[str, Any]]:
    for violation in report.violations:
        compared = ", ".join(map(str, violation.compared))
        yield {
            "ruleId": violation.rule.id,
            "kind": "fail",
            "level": _LEVELS[violation.rule.severity],
            "message": {"text": f"{violation.rule.text}; {compared}; {violation.rule.remedy}"},
            "locations": [_location(violation.subject, violation.origin)],
        }
    for notice in report.notices:
        yield {
            "ruleId": _UNKNOWN_REGION,
            "kind": "fail",
            "level": "warning",
            "message": {"text": f"{notice.subject}: {notice.text}"},
            "locations": [_location(notice.subject, notice.origin)],
        }
    for each in report.not_checked:
        yield {
            "ruleId": each.rule.id,
            "kind": "open",
            # Only what failed has a level (section 3.27.10).
            "level": "none",
            "message": {
                "text": f"not checked: {each.rule.text}; not known: {_joined(each.missing)}"
            },
            "locations": [_location(each.subject, each.origin)],
        }


def _joined(missing: tuple[str, ...]) -> str:
    return "; ".join(missing)


def _location(subject: str, origin: Origin | None) -> dict[str, Any]:
    location: dict[str, Any] = {"logicalLocations": [{"name": subject, "kind": "resource"}]}
    if origin is not None:
        physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(origin.file)}}
        if origin.line is not None:
            physical["region"] = {"startLine": origin.line}
            if origin.column is not None:
                physical["region"]["startColumn"] = origin.column
        location["physicalLocation"] = physical
        location["logicalLocations"][0]["fullyQualifiedName"] = origin.pointer or subject
    return location


def _uri(file: str) -> str:
    path = Path(file)
    if path.is_absolute():
        return path.as_uri()
    return quote(path.as_posix())
