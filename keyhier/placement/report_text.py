"""A report as text for people."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from keyhier.placement.model import Origin
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
    by_subject: dict[tuple[str, Origin | None], list[NotChecked]] = defaultdict(list)
    for each in report.not_checked:
        by_subject[each.subject, each.origin].append(each)
    for (subject, origin), together in by_subject.items():
        yield from _not_checked(subject, origin, together)
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


def _not_checked(
    subject: str, origin: Origin | None, together: Iterable[NotChecked]
) -> Iterator[str]:
    """Tell all that could not be checked of one subject, and what is missing, at once."""
    rules = dict.fromkeys(each.rule.id for each in together)
    missing = dict.fromkeys(one for each in together for one in each.missing)
    yield f"NOT CHECKED {', '.join(rules)}: {subject}"
    yield f"    not known: {'; '.join(missing)}"
    if origin:
        yield f"    in {origin}"
