"""Write docs/rules.md from the rules' data: python tools/rules_page.py."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from keyhier.azure_disk.eligibility_rules import (
    EligibilityRules,
    Obstacle,
    Support,
    eligibility_rules,
    shipped_eligibility_rules,
)
from keyhier.checks.statements import STATEMENTS
from keyhier.placement import Rule, RuleSet, rule_set, shipped_rule_sets

PAGE = Path(__file__).resolve().parents[1] / "docs" / "rules.md"
_INTRODUCTION = """\
# The rules

This page is made from the data (`python tools/rules_page.py`), and a test holds it in step.
[Check placements](howto/placement.md) says how the rules are used, and how you write your own.

## Placement

`strict` is the default. A set that builds on another lists only what it adds.
"""
_DOCUMENTS = """\

## Documents

What `keyhier check` finds beside the rules. On `eligibility` follows the name of an obstacle, from
the tables below.
"""
_ELIGIBILITY = """\

## Eligibility

Whether a machine's disks can be encrypted by Azure Disk Encryption (`ade`), under an encryption set
(`cmk`) or by encryption at host. Where all conditions of a row hold, the answer is no.
Of a row that is not confirmed the page was seen as it is today, and not as it was then.
"""


def page() -> str:
    """Return the page."""
    lines = [_INTRODUCTION.rstrip("\n")]
    sets = sorted(shipped_rule_sets(), key=lambda name: (name != "today", name))
    shown: set[Rule] = set()
    for name in sets:
        lines += _rule_set(rule_set(name), shown)
        shown |= set(rule_set(name))
    lines += [_DOCUMENTS.rstrip("\n"), "", *_statements()]
    lines.append(_ELIGIBILITY.rstrip("\n"))
    for name in reversed(shipped_eligibility_rules()):
        lines += _eligibility(eligibility_rules(name))
    return "\n".join(lines) + "\n"


def _rule_set(rules: RuleSet, shown: set[Rule]) -> Iterator[str]:
    today = set(rule_set("today"))
    yield from ("", f"### {rules.name}", "", f"{rules.title}.", "")
    if shown:
        left_out = sorted(rule.id for rule in today - set(rules))
        less = f", without {_code(left_out)}" if left_out else ""
        yield from (f"The rules of `today`{less}, and:", "")
    yield from _table(
        ("Rule", "Severity", "What it says", "What it asks", "Source"),
        (
            (
                f"`{rule.id}`",
                rule.severity.value,
                rule.text,
                _asked(rule),
                f"[{rule.date}]({rule.source})",
            )
            for rule in rules
            if rule not in shown
        ),
    )


def _statements() -> Iterator[str]:
    yield from _table(
        ("Finding", "Severity", "What it says", "Source"),
        (
            (f"`{each.id}`", each.severity.value, each.text, f"[{each.date}]({each.source})")
            for each in STATEMENTS.values()
        ),
    )


def _asked(rule: Rule) -> str:
    if rule.same:
        asked = f"one {rule.same}"
    elif rule.never:
        asked = f"never {' and '.join(sorted(rule.never))}"
    else:
        asked = f"{' or '.join(sorted(rule.any))}"
    unless = f", unless {' and '.join(sorted(rule.unless))}" if rule.unless else ""
    return f"`{rule.about}`: {asked}{unless}"


def _eligibility(rules: EligibilityRules) -> Iterator[str]:
    yield from ("", f"### {rules.name}", "", f"{rules.title}.", "")
    yield from _table(
        ("Obstacle", "Methods", "What it says", "Where", "Source"),
        (
            (
                f"`{each.id}`",
                ", ".join(sorted(each.methods)),
                each.text,
                _when(each),
                _said(each),
            )
            for each in rules.obstacles
        ),
    )
    yield ""
    yield from _table(
        ("System", "Releases", "Volumes", "Source"),
        (
            (
                each.distribution,
                ", ".join(each.releases),
                "data alone" if each.data_only else "OS and data",
                _said(each),
            )
            for each in rules.supported
        ),
    )


def _said(each: Obstacle | Support) -> str:
    said = f"[{each.date}]({each.source})"
    return said if each.confirmed else f"{said}, not confirmed"


def _when(obstacle: Obstacle) -> str:
    found = []
    for fact, asked in obstacle.when.items():
        found.append(f"`{fact}` {_condition(asked)}")
    return ", ".join(found) or "always"


def _condition(asked: object) -> str:
    if isinstance(asked, frozenset):
        return " or ".join(sorted(str(each).lower() for each in asked))
    return str(asked)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"| {' | '.join('---' for _ in head)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _code(words: Iterable[str]) -> str:
    return ", ".join(f"`{word}`" for word in words)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
