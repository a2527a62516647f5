"""Rules as data: what a rule is, and a set of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator

import attrs

from keyhier.doctor import Severity
from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.placement.vocabulary import FACTS, FIELDS, Fact, Field, Relation

__all__ = ["Rule", "RuleSet", "Statement"]


@attrs.frozen(cache_hash=True)
class Statement:
    """What a finding rests on: what is asked, and who says so.

    Attributes:
        id: its name, which stays what it is.
        severity: how bad it is where it is not so.
        text: what it says, one sentence without a full stop.
        remedy: what to do where it is not so.
        source: the page that says so.
        date: when that page said so.
    """

    id: str
    severity: Severity
    text: str
    remedy: str
    source: str
    date: dt.date

    def __attrs_post_init__(self) -> None:
        if not (self.id and self.text and self.remedy):
            raise InvalidInputError("a rule has an id, a text and a remedy")
        if not self.source.startswith("https://"):
            raise InvalidInputError(f"the rule {self.id} names no page as its source")


@attrs.frozen(cache_hash=True)
class Rule(Statement):
    """A statement about placements. One of ``same``, ``never`` and ``any`` says what it asks.

    Attributes:
        about: which resources it is about.
        same: what both resources must have in common.
        never: facts that must not all hold.
        any: facts of which one must hold.
        unless: facts that, where all hold, lift the rule.
    """

    about: Relation
    same: Field | None = None
    never: frozenset[Fact] = frozenset()
    any: frozenset[Fact] = frozenset()
    unless: frozenset[Fact] = frozenset()

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        if [bool(self.same), bool(self.never), bool(self.any)].count(True) != 1:
            raise InvalidInputError(f"the rule {self.id} has exactly one of same, never and any")
        if self.same and self.same not in FIELDS[self.about]:
            raise InvalidInputError(
                f"the rule {self.id} cannot compare {self.same} of {self.about};"
                f" it can compare {_listed(FIELDS[self.about])}"
            )
        unfit = (self.never | self.any | self.unless) - FACTS[self.about]
        if unfit:
            raise InvalidInputError(
                f"the rule {self.id} cannot ask {_listed(unfit)} of {self.about};"
                f" it can ask {_listed(FACTS[self.about])}"
            )


def _listed(words: frozenset[Field] | frozenset[Fact]) -> str:
    return ", ".join(sorted(words)) or "nothing"


@attrs.frozen
class RuleSet:
    """Rules that are checked together.

    Attributes:
        name: what it is called.
        title: what it is for, one sentence without a full stop.
        rules: the rules, each with an id of its own.
    """

    name: str
    title: str
    rules: tuple[Rule, ...]

    def __attrs_post_init__(self) -> None:
        ids = [rule.id for rule in self.rules]
        for each in ids:
            if ids.count(each) > 1:
                raise InvalidInputError(f"the rule {each} stands twice in the set {self.name}")

    def __iter__(self) -> Iterator[Rule]:
        return iter(self.rules)

    def rule(self, rule_id: str) -> Rule:
        """Return the rule of that id.

        Raises:
            NotFoundError: the set has none.
        """
        for rule in self.rules:
            if rule.id == rule_id:
                return rule
        raise NotFoundError(f"the set {self.name} has no rule {rule_id!r:.80}")

    def without(self, *rule_ids: str) -> RuleSet:
        """Return the set without these rules.

        Raises:
            NotFoundError: the set has no such rule, so that leaving it out means nothing.
        """
        left_out = {self.rule(rule_id).id for rule_id in rule_ids}
        return attrs.evolve(
            self, rules=tuple(rule for rule in self.rules if rule.id not in left_out)
        )
