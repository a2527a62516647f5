"""Report: every violation, what was compared with what, and what could not be checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import attrs

from keyhier.doctor import Severity
from keyhier.errors import PlacementError
from keyhier.placement.model import Origin
from keyhier.placement.rules import RuleSet, Statement

__all__ = ["Comparison", "NotChecked", "Notice", "Report", "Violation"]


@attrs.frozen
class Comparison:
    """One thing that was looked at.

    Attributes:
        whose: whose it is: ``VM web-01``.
        what: what was looked at: ``region``.
        value: what it is.
    """

    whose: str
    what: str
    value: str

    def __str__(self) -> str:
        return f"{self.what} of {self.whose}: {self.value}"


@attrs.frozen
class Violation:
    """A rule that is broken.

    Attributes:
        rule: the rule.
        subject: who breaks it.
        compared: what was compared with what.
        origin: where the subject was read.
    """

    rule: Statement
    subject: str
    compared: tuple[Comparison, ...]
    origin: Origin | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the violation for JSON."""
        return {
            "rule": self.rule.id,
            "severity": self.rule.severity.value,
            "subject": self.subject,
            "text": self.rule.text,
            "compared": [attrs.asdict(each) for each in self.compared],
            "remedy": self.rule.remedy,
            "source": self.rule.source,
            "date": self.rule.date.isoformat(),
            "origin": None if self.origin is None else attrs.asdict(self.origin),
        }


@attrs.frozen
class NotChecked:
    """A rule of which nobody can say whether it is kept, because something is not known.

    Attributes:
        rule: the rule.
        subject: whom it is about.
        missing: what would have to be known.
        origin: where the subject was read.
    """

    rule: Statement
    subject: str
    missing: tuple[str, ...]
    origin: Origin | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "rule": self.rule.id,
            "subject": self.subject,
            "missing": list(self.missing),
            "origin": None if self.origin is None else attrs.asdict(self.origin),
        }


@attrs.frozen
class Notice:
    """Something odd that breaks no rule, such as a region that is not known here.

    Attributes:
        subject: whom it is about.
        text: one sentence without a full stop.
        origin: where the subject was read.
    """

    subject: str
    text: str
    origin: Origin | None = None

    def as_dict(self) -> dict[str, Any]:
        """Return the notice for JSON."""
        return attrs.asdict(self)


@attrs.frozen
class Report:
    """What a check found.

    Attributes:
        rules: the rules that were checked.
        violations: every rule that is broken, for everyone who breaks it.
        not_checked: every rule that could not be checked, and for whom.
        notices: warnings about what was given.
        kept: for each rule how often it was checked and kept.
    """

    rules: RuleSet
    violations: tuple[Violation, ...] = ()
    not_checked: tuple[NotChecked, ...] = ()
    notices: tuple[Notice, ...] = ()
    kept: Mapping[str, int] = attrs.field(factory=dict)

    @property
    def statements(self) -> tuple[Statement, ...]:
        """The rules, and what else findings rest on, each once."""
        found: dict[str, Statement] = {rule.id: rule for rule in self.rules}
        told: tuple[Violation | NotChecked, ...] = (*self.violations, *self.not_checked)
        for each in told:
            found.setdefault(each.rule.id, each.rule)
        return tuple(found.values())

    def with_more(
        self, violations: Iterable[Violation], not_checked: Iterable[NotChecked]
    ) -> Report:
        """Return the report with what was found beside the rules."""
        return attrs.evolve(
            self,
            violations=(*self.violations, *violations),
            not_checked=(*self.not_checked, *not_checked),
        )

    @property
    def worst(self) -> Severity:
        """The severity of the worst finding; what was not checked and notices are warnings."""
        found = {violation.rule.severity for violation in self.violations}
        if self.not_checked or self.notices:
            found.add(Severity.WARNING)
        return max(found, key=lambda severity: severity.rank, default=Severity.OK)

    @property
    def errors(self) -> tuple[Violation, ...]:
        """The violations of rules that are errors."""
        return tuple(each for each in self.violations if each.rule.severity is Severity.ERROR)

    def raise_for_errors(self) -> None:
        """Raise if there is an error among the violations; all of them are in the message.

        Raises:
            PlacementError: a rule is broken.
        """
        if self.errors:
            told = "; ".join(f"{each.rule.id}: {_told(each)}" for each in self.errors[:_MOST_TOLD])
            more = len(self.errors) - _MOST_TOLD
            told += f"; and {more} more" if more > 0 else ""
            count = (
                "1 placement rule is"
                if len(self.errors) == 1
                else f"{len(self.errors)} placement rules are"
            )
            raise PlacementError(f"{count} broken: {told}", remedy=self.errors[0].rule.remedy)

    def as_dict(self) -> dict[str, Any]:
        """Return the report for JSON."""
        return {
            "rules": self.rules.name,
            "worst": self.worst.value,
            "violations": [each.as_dict() for each in self.violations],
            "not_checked": [each.as_dict() for each in self.not_checked],
            "notices": [each.as_dict() for each in self.notices],
            "kept": dict(self.kept),
        }


_MOST_TOLD: Final = 20
"""How many violations stand in one error; the report has them all."""


def _told(violation: Violation) -> str:
    return f"{violation.rule.text} ({', '.join(map(str, violation.compared))})"
