"""Evaluates the values of an ARM template in the scope of one deployment.

What cannot be told is UNKNOWN. What is wrong is told once, with its place, and is UNKNOWN as well,
so that one mistake does not hide another.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.placement.arm.deployment import Deployment, Problems, TooMuchError
from keyhier.placement.arm.expressions import (
    Call,
    Expression,
    Literal,
    Member,
    is_expression,
    parse,
    unescaped,
)
from keyhier.placement.arm.functions import FUNCTIONS, is_known_name
from keyhier.placement.arm.resource_functions import RESOURCE_FUNCTIONS
from keyhier.placement.arm.values import equal, member
from keyhier.placement.json_text import below
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, all_of, any_of, negated

__all__ = ["Scope"]

_MAX_DEPTH: Final = 100
_MAX_COPIES: Final = 800
# https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits
_SECURE: Final = frozenset({"securestring", "secureobject"})
_PLAIN_PARAMETER: Final = re.compile(r"\[parameters\('[^']*'\)\]")


@attrs.define
class _Lazy:
    """A parameter or a variable: evaluated at its first use."""

    evaluate: Callable[[], object]
    pointer: str
    state: str = "new"
    value: object = UNKNOWN


@attrs.define
class Scope:
    """The names that an expression can use.

    Attributes:
        deployment: where it is deployed to.
        problems: where what is wrong is told.
        copies: the number that each copy loop is at; the innermost has the empty name, too.
    """

    deployment: Deployment
    problems: Problems
    _parameters: dict[str, _Lazy] = attrs.field(factory=dict)
    _variables: dict[str, _Lazy] = attrs.field(factory=dict)
    copies: Mapping[str, Maybe[int]] = MappingProxyType({})

    # Names

    def declare_parameters(
        self, declared: object, given: Mapping[str, object], pointer: str
    ) -> None:
        """Take the declared parameters, with what is given for them or their default value."""
        values = {name.casefold(): value for name, value in given.items()}
        for name, each in _mapping(declared).items():
            place = below(pointer, name)
            self._parameters[name.casefold()] = self._parameter(
                _mapping(each),
                values.get(name.casefold(), _NOT_GIVEN),
                place,
                any_given=bool(values),
            )
        for name in values:
            if name not in self._parameters:
                self.problems.add(pointer, f"the template has no parameter {name!r:.80}")

    def _parameter(
        self, declared: Mapping[str, Any], given: object, place: str, *, any_given: bool
    ) -> _Lazy:
        kind = declared.get("type")
        if isinstance(kind, str) and kind.casefold() in _SECURE:
            # A secret is not even looked at.
            return _Lazy(lambda: UNKNOWN, place)
        if given is not _NOT_GIVEN:
            return _Lazy(lambda: given, place)
        if "defaultValue" in declared:
            default = declared["defaultValue"]
            return _Lazy(lambda: self.value(default, below(place, "defaultValue")), place)
        # Where no values are given at all, one may still be given for what may be left out.
        left_out = any_given and declared.get("nullable") is True
        return _Lazy(lambda: None if left_out else UNKNOWN, place)

    def declare_variables(self, declared: object, pointer: str) -> None:
        """Take the variables, with those that ``copy`` makes."""
        for name, each in _mapping(declared).items():
            if name.casefold() == "copy" and isinstance(each, list):
                for number, loop in enumerate(each):
                    self._declare_copied(loop, below(pointer, name, number))
            else:
                place = below(pointer, name)
                self._variables[name.casefold()] = _Lazy(
                    lambda each=each, place=place: self.value(each, place),  # type: ignore[misc]  # Of this turn.
                    place,
                )

    def _declare_copied(self, loop: object, place: str) -> None:
        name = _mapping(loop).get("name")
        if isinstance(name, str):
            self._variables[name.casefold()] = _Lazy(
                lambda: self._copied(_mapping(loop), place), place
            )

    def evaluate_all(self) -> None:
        """Evaluate what nothing has used, so that what is wrong there is told."""
        for kind, names in (("parameter", self._parameters), ("variable", self._variables)):
            for name in names:
                self._look_up(kind, names, name, "")

    def _look_up(self, kind: str, names: dict[str, _Lazy], name: object, pointer: str) -> object:
        if not isinstance(name, str):
            return UNKNOWN
        lazy = names.get(name.casefold())
        if lazy is None:
            return self.problems.add(pointer, f"there is no {kind} {name!r:.80}")
        if lazy.state == "begun":
            return self.problems.add(lazy.pointer, f"the {kind} {name!r:.80} refers to itself")
        if lazy.state == "new":
            lazy.state = "begun"
            try:
                lazy.value = lazy.evaluate()
            finally:
                lazy.state = "done"
        return lazy.value

    def within(self, name: str, index: Maybe[int]) -> Scope:
        """Return the scope of one turn of a copy loop."""
        copies = {**self.copies, "": index, name.casefold(): index}
        return attrs.evolve(
            self, parameters=self._parameters, variables=self._variables, copies=copies
        )

    def deployed_to(self, deployment: Deployment) -> Scope:
        """Return the scope of a deployment whose expressions are evaluated here."""
        return attrs.evolve(
            self, parameters=self._parameters, variables=self._variables, deployment=deployment
        )

    def turns(self, loop: object, pointer: str) -> list[Maybe[int]]:
        """Return the numbers that a copy loop runs through; one unknown one if nobody knows."""
        count = self.value(_mapping(loop).get("count"), below(pointer, "count"))
        if isinstance(count, Unknown):
            return [UNKNOWN]
        if isinstance(count, str) and count.isdecimal() and len(count) < 5:
            count = int(count)
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= _MAX_COPIES:
            self.problems.add(pointer, f"a copy loop has a count from 0 to {_MAX_COPIES}")
            return [UNKNOWN]
        return list(range(count))

    # Values

    def value(self, raw: object, pointer: str, depth: int = 0) -> object:
        """Evaluate a value of the template, with all that it holds.

        Raises:
            TooMuchError: there is too much of it.
        """
        self.problems.count()
        if depth > _MAX_DEPTH:
            return self.problems.add(pointer, "the document is nested too deeply")
        if isinstance(raw, str):
            return self._text(raw, pointer)
        if isinstance(raw, list):
            return [self.value(each, below(pointer, n), depth + 1) for n, each in enumerate(raw)]
        if isinstance(raw, dict):
            return self._members(raw, pointer, depth)
        return raw

    def _text(self, raw: str, pointer: str) -> object:
        if not is_expression(raw):
            return unescaped(raw)
        try:
            return self.evaluate(parse(raw), pointer)
        except InvalidInputError as error:
            if isinstance(error, TooMuchError):
                raise
            return self.problems.add(pointer, error.message)

    def _members(self, raw: dict[str, Any], pointer: str, depth: int) -> object:
        found: dict[str, object] = {}
        for name, each in raw.items():
            place = below(pointer, name)
            if name == "copy" and isinstance(each, list):
                for number, loop in enumerate(each):
                    key = _mapping(loop).get("name")
                    found[str(key)] = self._copied(_mapping(loop), below(place, number))
            elif name.casefold() == "protectedsettings":
                found[name] = _protected(each)
            else:
                key = self._text(name, place) if is_expression(name) else name
                if not isinstance(key, str):
                    return UNKNOWN
                found[key] = self.value(each, place, depth + 1)
        return found

    def _copied(self, loop: Mapping[str, Any], pointer: str) -> object:
        name, place = str(loop.get("name")), below(pointer, "input")
        turns = self.turns(loop, pointer)
        if UNKNOWN in turns:
            return UNKNOWN
        return [self.within(name, turn).value(loop.get("input"), place) for turn in turns]

    # Expressions

    def evaluate(self, expression: Expression, pointer: str) -> object:
        """Return what an expression yields.

        Raises:
            InvalidInputError: it cannot be evaluated.
        """
        self.problems.count()
        match expression:
            case Literal():
                return expression.value
            case Member():
                of = self.evaluate(expression.of, pointer)
                key = self.evaluate(expression.key, pointer)
                return member(of, key, optional=expression.optional)
            case Call():
                return self._call(expression, pointer)

    def _call(self, call: Call, pointer: str) -> object:
        name, arguments = call.name.casefold(), call.arguments
        if "." in name:
            # A function of the template's own.
            return UNKNOWN
        if name not in _NAMES and not is_known_name(name):
            return self.problems.add(
                pointer, f"the function {call.name!r:.80} is not known here", is_error=False
            )
        if name == "if" and len(arguments) == 3:
            return self._if(arguments, pointer)
        given = [self.evaluate(each, pointer) for each in arguments]
        scoped = _SCOPED.get(name)
        if scoped is not None:
            return scoped(self, given, pointer)
        of_resources = RESOURCE_FUNCTIONS.get(name)
        if of_resources is not None:
            return of_resources(self.deployment, given)
        function = FUNCTIONS.get(name)
        return UNKNOWN if function is None else function(*given)

    def _if(self, arguments: tuple[Expression, ...], pointer: str) -> object:
        condition = _truth(self.evaluate(arguments[0], pointer))
        if not isinstance(condition, Unknown):
            # ARM evaluates only the branch that is taken.
            return self.evaluate(arguments[1 if condition else 2], pointer)
        one, other = (self._tried(each, pointer) for each in arguments[1:])
        return one if equal(one, other) is True else UNKNOWN

    def _tried(self, expression: Expression, pointer: str) -> object:
        """Evaluate a branch that may not be taken, so that what is wrong in it is no problem."""
        quiet = attrs.evolve(
            self,
            problems=Problems(values=self.problems.values),
            parameters=self._parameters,
            variables=self._variables,
        )
        try:
            return quiet.evaluate(expression, pointer)
        except InvalidInputError as error:
            if isinstance(error, TooMuchError):
                raise
            return UNKNOWN

    def parameter(self, given: list[object], pointer: str) -> object:
        """``parameters``."""
        return self._look_up("parameter", self._parameters, _one(given), pointer)

    def variable(self, given: list[object], pointer: str) -> object:
        """``variables``."""
        return self._look_up("variable", self._variables, _one(given), pointer)

    def copy_index(self, given: list[object], pointer: str) -> object:
        """``copyIndex``: of a loop by its name or of the innermost, with an offset."""
        if UNKNOWN in given:
            return UNKNOWN
        names = [each for each in given if isinstance(each, str)]
        offsets = [each for each in given if isinstance(each, int)]
        name = names[0].casefold() if names else ""
        if name not in self.copies:
            return self.problems.add(pointer, "copyIndex stands in no copy loop of that name")
        index = self.copies[name]
        return UNKNOWN if isinstance(index, Unknown) else index + sum(offsets)


_NOT_GIVEN: Final = object()


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _one(given: list[object]) -> object:
    if len(given) != 1:
        raise InvalidInputError("one name belongs here")
    return given[0]


def _truth(value: object) -> Maybe[bool]:
    if isinstance(value, Unknown | bool):
        return value
    raise InvalidInputError("true or false belongs here")


def _protected(value: object) -> object:
    """Return protected settings as they stand: secrets are named by a parameter, and not read."""
    if not isinstance(value, dict):
        return UNKNOWN
    return {
        name: UNKNOWN
        if isinstance(each, str) and is_expression(each) and not _PLAIN_PARAMETER.fullmatch(each)
        else each
        for name, each in value.items()
    }


def _coalesced(given: list[object]) -> object:
    return next((each for each in given if each is not None), None)


_SCOPED: Final[Mapping[str, Callable[[Scope, list[object], str], object]]] = MappingProxyType(
    {
        "and": lambda _scope, given, _pointer: all_of(*map(_truth, given)),
        "or": lambda _scope, given, _pointer: any_of(*map(_truth, given)),
        "not": lambda _scope, given, _pointer: negated(_truth(_one(given))),
        "coalesce": lambda _scope, given, _pointer: _coalesced(given),
        "copyindex": Scope.copy_index,
        "parameters": Scope.parameter,
        "variables": Scope.variable,
    }
)
_NAMES: Final = frozenset({*_SCOPED, *RESOURCE_FUNCTIONS, "if"})
