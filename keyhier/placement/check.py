"""Checks resources against rules: pure, so it can run before anything is done."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

import attrs

from keyhier.placement.arm_id import ArmId
from keyhier.placement.described import Side
from keyhier.placement.inventory import Inventory
from keyhier.placement.model import Resource
from keyhier.placement.node import printable
from keyhier.placement.place import AZURE
from keyhier.placement.regions import near_regions
from keyhier.placement.relations import Pair, pairs
from keyhier.placement.report import Comparison, NotChecked, Notice, Report, Violation
from keyhier.placement.rule_files import DEFAULT_RULES, rule_set
from keyhier.placement.rules import Rule, RuleSet
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, all_of, any_of, negated, same
from keyhier.placement.vocabulary import Fact, Field, Relation

__all__ = ["check_placement"]


def check_placement(resources: Iterable[Resource], rules: RuleSet | str = DEFAULT_RULES) -> Report:
    """Check where resources are, and how they are encrypted, against rules.

    A rule about something unknown is reported as not checked, never as kept. The order of the
    resources, the case of ids and the spelling of regions change nothing.

    Args:
        resources: machines, disks, snapshots, encryption sets and vaults that belong together.
        rules: a rule set, or the name of one that comes with keyhier.

    Raises:
        NotFoundError: no rule set has that name.
        InvalidInputError: something among the resources is none.
    """
    chosen = rule_set(rules) if isinstance(rules, str) else rules
    inventory = Inventory(resources)
    verdicts = _Verdicts(chosen)
    # Several who name one vault, such as a machine and its disks, make one finding and not many.
    violations: dict[Violation, None] = {}
    not_checked: dict[NotChecked, None] = {}
    for relation, pair in pairs(inventory):
        verdict = verdicts.of(relation, pair)
        for rule in verdict.open:
            missing = tuple(dict.fromkeys(_missing(rule, pair)))
            not_checked[NotChecked(rule, pair.subject.label, missing, pair.origin)] = None
        for rule in verdict.broken:
            compared = tuple(_compared(rule, pair))
            violations[Violation(rule, pair.subject.label, compared, pair.origin)] = None
    return Report(
        chosen,
        tuple(violations),
        tuple(not_checked),
        tuple(_notices(inventory)),
        verdicts.kept(),
    )


@attrs.define
class _Verdict:
    """What rules say of pairs that are alike.

    Attributes:
        broken: the rules that they break.
        open: those of which nobody can tell.
        kept: those that they keep.
        pairs: how many there are.
    """

    broken: list[Rule] = attrs.field(factory=list)
    open: list[Rule] = attrs.field(factory=list)
    kept: list[Rule] = attrs.field(factory=list)
    pairs: int = 0


class _Verdicts:
    """What rules say of pairs. Of many that no rule can tell apart, the first is judged."""

    def __init__(self, rules: RuleSet) -> None:
        self._rules: dict[Relation, list[Rule]] = defaultdict(list)
        for rule in rules:
            self._rules[rule.about].append(rule)
        self._known: dict[tuple[object, ...], _Verdict] = {}

    def of(self, relation: Relation, pair: Pair) -> _Verdict:
        one, other = pair.subject, pair.object
        # All that a rule may ask about; what a pair is called and where it was read is not.
        asked = (
            relation,
            pair.applies,
            one.place,
            one.sets,
            other and (other.place, other.sets),
            *pair.facts.items(),
        )
        found = self._known.get(asked)
        if found is None:
            found = self._known[asked] = self._judged(relation, pair)
        found.pairs += 1
        return found

    def _judged(self, relation: Relation, pair: Pair) -> _Verdict:
        verdict = _Verdict()
        for rule in self._rules[relation]:
            broken = all_of(pair.applies, negated(_holds(rule, pair)))
            if isinstance(broken, Unknown):
                verdict.open.append(rule)
            else:
                (verdict.broken if broken else verdict.kept).append(rule)
        return verdict

    def kept(self) -> dict[str, int]:
        """Return how often each rule was kept."""
        found: Counter[str] = Counter()
        for verdict in self._known.values():
            for rule in verdict.kept:
                found[rule.id] += verdict.pairs
        return dict(found)


def _holds(rule: Rule, pair: Pair) -> Maybe[bool]:
    if rule.same:
        asked = _same(rule.same, pair)
    elif rule.never:
        asked = negated(all_of(*_facts(rule.never, pair)))
    else:
        asked = any_of(*_facts(rule.any, pair))
    return any_of(asked, all_of(*_facts(rule.unless, pair))) if rule.unless else asked


def _facts(facts: Iterable[Fact], pair: Pair) -> Iterator[Maybe[bool]]:
    return (pair.facts.get(fact, UNKNOWN) for fact in facts)


def _same(field: Field, pair: Pair) -> Maybe[bool]:
    if pair.object is None:
        return UNKNOWN
    if field is Field.REGION:
        return pair.subject.place.same_region(pair.object.place)
    one, other = _value(field, pair.subject), _value(field, pair.object)
    equal = same(one, other)
    return UNKNOWN if equal is False and not _complete(one, other) else equal


def _complete(*values: Maybe[object]) -> bool:
    """Whether no id among the values leaves open which subscription or group it is in."""
    ids = [each for value in values if isinstance(value, frozenset) for each in value]
    return all(each.is_complete for each in ids if isinstance(each, ArmId))


def _value(field: Field, side: Side) -> Maybe[object]:
    match field:
        case Field.REGION:
            return side.place.region
        case Field.SUBSCRIPTION:
            return side.place.subscription
        case Field.TENANT:
            return side.place.tenant
        case Field.ENCRYPTION_SET:
            return side.sets


def _sides(pair: Pair) -> tuple[Side, ...]:
    return (pair.subject,) if pair.object is None else (pair.subject, pair.object)


def _asked(rule: Rule) -> list[Fact]:
    return sorted(rule.never | rule.any | rule.unless)


def _missing(rule: Rule, pair: Pair) -> Iterator[str]:
    whose = " and ".join(side.label for side in _sides(pair))
    if pair.applies is UNKNOWN:
        # What the other one is like is not worth a word while nobody knows whether it matters.
        yield f"whether {pair.subject.label} uses {pair.object.label}" if pair.object else whose
        return
    if rule.same:
        for side in _sides(pair):
            if _value(rule.same, side) is UNKNOWN:
                yield f"{rule.same} of {side.label}"
            elif rule.same is Field.REGION and side.place.cloud is UNKNOWN:
                yield f"cloud of {side.label}"
    for fact in _asked(rule):
        if pair.facts.get(fact, UNKNOWN) is UNKNOWN:
            yield f"{fact} of {whose}"


def _compared(rule: Rule, pair: Pair) -> Iterator[Comparison]:
    if rule.same:
        for side in _sides(pair):
            yield Comparison(side.label, rule.same.value, _shown(_value(rule.same, side)))
            if rule.same is Field.REGION and pair.object and _clouds_tell(pair):
                yield Comparison(side.label, "cloud", _shown(side.place.cloud))
    whose = " and ".join(side.label for side in _sides(pair))
    for fact in _asked(rule):
        yield Comparison(whose, fact.value, _shown(pair.facts.get(fact, UNKNOWN)))


def _clouds_tell(pair: Pair) -> bool:
    """Whether the clouds tell apart what is compared; that of an unknown region tells nothing."""
    clouds = {each.place.cloud for each in _sides(pair)}
    regions = {each.place.region for each in _sides(pair)}
    return len(clouds) > 1 and (AZURE not in clouds or len(regions) == 1)


def _shown(value: Maybe[object]) -> str:
    if isinstance(value, frozenset):
        return printable(", ".join(sorted(map(str, value)))) or "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return printable(str(value))


def _notices(inventory: Inventory) -> Iterator[Notice]:
    for resource in inventory:
        region = resource.placement.region
        if resource.placement.cloud == AZURE and isinstance(region, str):
            near = near_regions(region)
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            yield Notice(
                resource.label,
                f"{region!r:.80} is no region of Azure that is known here{hint}",
                resource.origin,
            )
