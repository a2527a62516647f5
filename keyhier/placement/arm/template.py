"""Unfolds an ARM template into the resources that it would deploy.

https://learn.microsoft.com/azure/azure-resource-manager/templates/syntax. Conditions and copy loops
are followed as far as they are known: a resource that may be deployed is taken as deployed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any, Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.placement.arm.deployment import Deployment, Problems
from keyhier.placement.arm.resource_functions import resource_id
from keyhier.placement.arm.scope import Scope
from keyhier.placement.arm_id import ArmId
from keyhier.placement.json_text import below
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = [
    "DEPLOYMENTS",
    "Declared",
    "is_parameter_file",
    "is_template",
    "read_parameters",
    "unfold",
]

DEPLOYMENTS: Final = "microsoft.resources/deployments"
_TEMPLATE_SCHEMA: Final = re.compile(r"/[a-z]*deploymentTemplate\.json#?$", re.IGNORECASE)
_PARAMETER_SCHEMA: Final = re.compile(r"/deploymentParameters\.json#?$", re.IGNORECASE)
# ARM nests less.
_MAX_NESTED: Final = 20
_OWN_MEMBERS: Final = frozenset({"condition", "copy", "dependsOn", "resources", "type", "name"})


@attrs.frozen
class Declared:
    """A resource that a template deploys.

    Attributes:
        content: the resource with its values, those that nobody can tell as UNKNOWN.
        pointer: where it is declared (RFC 6901).
    """

    content: dict[str, object]
    pointer: str


def is_template(document: object) -> bool:
    """Whether a document is an ARM template."""
    if not isinstance(document, dict) or "resources" not in document or "type" in document:
        return False
    schema = document.get("$schema")
    named = isinstance(schema, str) and _TEMPLATE_SCHEMA.search(schema)
    return bool(named) or "contentVersion" in document


def is_parameter_file(document: object) -> bool:
    """Whether a document holds the values of a template's parameters."""
    schema = document.get("$schema") if isinstance(document, dict) else None
    return isinstance(schema, str) and bool(_PARAMETER_SCHEMA.search(schema))


def read_parameters(document: object) -> dict[str, object]:
    """Return the values in a parameter file; what it takes from a key vault is UNKNOWN.

    Raises:
        InvalidInputError: it is malformed.
    """
    listed = document.get("parameters", {}) if isinstance(document, dict) else None
    if not isinstance(listed, dict) or not all(isinstance(each, dict) for each in listed.values()):
        raise InvalidInputError('parameters are {"NAME": {"value": …}}')
    return {name: each.get("value", UNKNOWN) for name, each in listed.items()}


def unfold(
    template: Mapping[str, Any],
    given: Mapping[str, object],
    deployment: Deployment,
    problems: Problems,
) -> list[Declared]:
    """Return the resources that a template deploys.

    Args:
        template: the template.
        given: the values of its parameters, as far as they are given.
        deployment: where it is deployed to.
        problems: where what is wrong is told.

    Raises:
        TooMuchError: it unfolds to too much.
    """
    scope = _scope(template, "", given, Scope(deployment, problems))
    return list(_Template(template, "", scope, depth=0).resources())


def _scope(
    template: Mapping[str, Any], pointer: str, given: Mapping[str, object], scope: Scope
) -> Scope:
    """Let a scope know the parameters and variables of a template."""
    scope.declare_parameters(template.get("parameters"), given, below(pointer, "parameters"))
    scope.declare_variables(template.get("variables"), below(pointer, "variables"))
    return scope


class _Template:
    """A template, or one that is nested in another."""

    def __init__(
        self, template: Mapping[str, Any], pointer: str, scope: Scope, *, depth: int
    ) -> None:
        self._template = template
        self._pointer = pointer
        self._scope = scope
        self._problems = scope.problems
        self._depth = depth
        self._needs: dict[str, set[str]] = {}

    def resources(self) -> Iterator[Declared]:
        listed = self._template.get("resources")
        yield from self._all(listed, below(self._pointer, "resources"), self._scope, "", "")
        self._scope.evaluate_all()
        self._check_needs()

    def _all(
        self, listed: object, pointer: str, scope: Scope, kind: str, name: Maybe[str]
    ) -> Iterator[Declared]:
        if isinstance(listed, dict):
            # Since language version 2.0, resources have symbolic names.
            pairs: list[tuple[str | int, object]] = list(listed.items())
        elif isinstance(listed, list):
            pairs = list(enumerate(listed))
        else:
            self._problems.add(pointer, "resources are a list or an object")
            return
        for key, raw in pairs:
            place = below(pointer, key)
            if not isinstance(raw, dict):
                self._problems.add(place, "a resource is an object")
            elif raw.get("existing") is not True:
                for turn in self._turns(raw, place, scope):
                    yield from self._one(raw, place, turn, kind, name)

    def _turns(self, raw: Mapping[str, Any], pointer: str, scope: Scope) -> Iterator[Scope]:
        loop = raw.get("copy")
        if not isinstance(loop, dict):
            yield scope
            return
        for turn in scope.turns(loop, below(pointer, "copy")):
            yield scope.within(str(loop.get("name")), turn)

    def _one(
        self, raw: Mapping[str, Any], pointer: str, scope: Scope, outer: str, within: Maybe[str]
    ) -> Iterator[Declared]:
        if scope.value(raw.get("condition"), below(pointer, "condition")) is False:
            return
        kind = raw.get("type")
        if not isinstance(kind, str):
            self._problems.add(below(pointer, "type"), "a resource has a type")
            return
        name = scope.value(raw.get("name"), below(pointer, "name"))
        if not isinstance(name, str | Unknown):
            name = self._problems.add(below(pointer, "name"), "a resource has a name")
        kind = f"{outer}/{kind}" if outer and not kind.startswith(f"{outer}/") else kind
        if outer and not (isinstance(name, str) and "/" in name):
            unknown = isinstance(name, Unknown) or isinstance(within, Unknown)
            name = UNKNOWN if unknown else f"{within}/{name}"
        if kind.casefold() == DEPLOYMENTS:
            yield from self._nested(raw, pointer, scope)
            return
        identity = self._id(kind, name, pointer, scope)
        self._note_needs(raw, pointer, scope, identity)
        content = {
            key: scope.value(each, below(pointer, key))
            for key, each in raw.items()
            if key not in _OWN_MEMBERS
        }
        yield Declared({"id": identity, **content, "type": kind, "name": name}, pointer)
        if "resources" in raw:
            yield from self._all(raw["resources"], below(pointer, "resources"), scope, kind, name)

    def _note_needs(
        self, raw: Mapping[str, Any], pointer: str, scope: Scope, identity: Maybe[str]
    ) -> None:
        needs = scope.value(raw.get("dependsOn", []), below(pointer, "dependsOn"))
        label = pointer if isinstance(identity, Unknown) else identity.casefold()
        known = [each for each in needs if isinstance(each, str)] if isinstance(needs, list) else []
        self._needs.setdefault(label, set()).update(each.casefold() for each in known)

    def _id(self, kind: str, name: Maybe[str], pointer: str, scope: Scope) -> Maybe[str]:
        if isinstance(name, Unknown):
            return UNKNOWN
        try:
            found = resource_id(scope.deployment, [kind, name])
            return str(ArmId.parse(str(found)))
        except InvalidInputError as error:
            return self._problems.add(below(pointer, "name"), error.message)

    def _nested(self, raw: Mapping[str, Any], pointer: str, scope: Scope) -> Iterator[Declared]:
        place = below(pointer, "properties")
        properties = raw.get("properties")
        yield from self._references(raw, place, pointer, scope)
        inner = properties.get("template") if isinstance(properties, dict) else None
        if not isinstance(properties, dict) or not isinstance(inner, dict):
            self._problems.add(
                pointer,
                "the template of this deployment stands elsewhere, and is not checked",
                is_error=False,
            )
            return
        if self._depth >= _MAX_NESTED:
            self._problems.add(pointer, "deployments are nested too deeply")
            return
        options = scope.value(
            properties.get("expressionEvaluationOptions"),
            below(place, "expressionEvaluationOptions"),
        )
        given: dict[str, object] = {}
        for name, each in _dictionary(properties.get("parameters")).items():
            value = each.get("value", UNKNOWN) if isinstance(each, dict) else UNKNOWN
            given[name] = scope.value(value, below(place, "parameters", name, "value"))
        deployment = _target(raw, scope, pointer)
        where = below(place, "template")
        if isinstance(options, dict) and str(options.get("scope", "")).casefold() == "inner":
            within = _scope(inner, where, given, Scope(deployment, self._problems))
        else:
            # Its expressions are those of the template around it.
            within = scope.deployed_to(deployment)
        yield from _Template(inner, where, within, depth=self._depth + 1).resources()

    def _references(
        self, raw: Mapping[str, Any], place: str, pointer: str, scope: Scope
    ) -> Iterator[Declared]:
        """Yield a deployment whose parameters refer to secrets of vaults, with those alone."""
        given = _dictionary(_dictionary(raw.get("properties")).get("parameters"))
        named = {
            name: {"reference": scope.value(each["reference"], below(place, "parameters", name))}
            for name, each in given.items()
            if isinstance(each, dict) and "reference" in each
        }
        if named:
            content = {
                "type": DEPLOYMENTS,
                "name": scope.value(raw.get("name"), below(pointer, "name")),
                "properties": {"parameters": named},
            }
            yield Declared(content, pointer)

    def _check_needs(self) -> None:
        names = {label.rpartition("/")[2]: label for label in self._needs}
        graph = {
            label: {each if each in self._needs else names.get(each, each) for each in needs}
            for label, needs in self._needs.items()
        }
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            loop = " -> ".join(each.rpartition("/")[2] for each in error.args[1])
            self._problems.add(
                below(self._pointer, "resources"), f"resources depend on each other: {loop:.300}"
            )


def _dictionary(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _target(raw: Mapping[str, Any], scope: Scope, pointer: str) -> Deployment:
    """Return where a nested deployment goes to; another group may be in another region."""
    outer = scope.deployment
    subscription = scope.value(raw.get("subscriptionId"), below(pointer, "subscriptionId"))
    group = scope.value(raw.get("resourceGroup"), below(pointer, "resourceGroup"))
    if subscription is None and group is None:
        return outer
    changed = attrs.evolve(outer, name=f"{outer.name}{pointer}", location=UNKNOWN)
    if subscription is None:
        changed = attrs.evolve(changed, subscription=outer.subscription_id)
    else:
        changed = attrs.evolve(
            changed, subscription=subscription if isinstance(subscription, str) else UNKNOWN
        )
    return attrs.evolve(changed, resource_group=group if isinstance(group, str) else UNKNOWN)
