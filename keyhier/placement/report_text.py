"""A report as text for people."""

from __future__ import annotations

from collections.abc import Iterator

from keyhier.placement.report import NotChecked, Report, Violation

__all__ = ["as_text"]


def as_text(report: Report) -> str:
    """Return the report as lines of text: the worst first, with what to do about it."""
    return "\n".join(_lines(report)) + "\n"


def _lines(report: Report) -> Iterator[str]:
    for violation in sorted(report.violations, key=lambda each: -each.rule.severity.rank):
        yield from _violation(violation)
    for notice in report.notices:
        yield f"WARNING {notice.subject}: {notice.text}"
        if notice.origin:
            yield f"    in {notice.origin}"
    for each in report.not_checked:
        yield from _not_checked(each)
    yield (
        f"rules {report.rules.name}: {len(report.violations)} broken,"
        f" {len(report.not_checked)} not checked, {sum(report.kept.values())} kept"
    )


def _violation(violation: Violation) -> Iterator[str]:
    rule = violation.rule
    yield f"{rule.severity.upper()} {rule.id}: {violation.subject}"
    yield f"    rule: {rule.text}"
    for each in violation.compared:
        yield f"    found: {each}"
    yield f"    do: {rule.remedy}"
    yield f"    source: {rule.source} ({rule.date})"
    if violation.origin:
        yield f"    in {violation.origin}"


def _not_checked(each: NotChecked) -> Iterator[str]:
    yield f"NOT CHECKED {each.rule.id}: {each.subject}"
    yield f"    not known: {'; '.join(each.missing)}"
    if each.origin:
        yield f"    in {each.origin}"
