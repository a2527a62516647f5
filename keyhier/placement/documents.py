"""Finds the resources in a file, whatever kind of file it is.

Read are ARM templates with their parameters, resources as ARM stores them and as ``az … show``
prints them, alone, in a list or under ``value``, Terraform's plans (``terraform show -json``), and
keyhier's own plan files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import attrs

from keyhier.placement.arm.deployment import Deployment, Problem, Problems, TooMuchError
from keyhier.placement.arm.template import is_template, unfold
from keyhier.placement.json_text import JsonText, below
from keyhier.placement.model import Origin
from keyhier.placement.resources import Document
from keyhier.placement.terraform.reader import is_plan, read_plan
from keyhier.placement.unknown import NOT_YET, UNKNOWN

__all__ = ["Documents", "Trouble", "read_documents"]

# `keyhier ade plan` and `keyhier set plan` write it, with the version of the form.
_OWN_PLAN: Final = "keyhier-plan"
_URL: Final = "https://"
# What Terraform keeps as terraform.tfstate, in a form that it promises nobody.
_OWN_STATE: Final = frozenset({"terraform_version", "lineage"})
_LISTS: Final = ("value", "data")


@attrs.frozen
class Trouble:
    """What is wrong in a file, or what of it was not read.

    Attributes:
        text: one sentence without a full stop.
        origin: the place.
        is_error: whether it would not work; what keyhier only does not read is none.
    """

    text: str
    origin: Origin
    is_error: bool = True


@attrs.frozen
class Documents:
    """The resources of a file.

    Attributes:
        found: each with its place.
        troubles: what is wrong, or was not read.
    """

    found: tuple[Document, ...] = ()
    troubles: tuple[Trouble, ...] = ()


def read_documents(
    text: JsonText, deployment: Deployment, parameters: Mapping[str, object]
) -> Documents:
    """Return the resources that a file holds.

    Args:
        text: the file.
        deployment: where it is deployed to, if it is a template.
        parameters: the values of its parameters, if it is a template.
    """
    problems = Problems()
    found: list[Document] = []
    try:
        for content, pointer in _found(text.value, deployment, parameters, problems):
            found.append((content, text.origin(pointer)))  # What was found stays.
    except RecursionError:
        problems.add("", "what is named in the document is nested too deeply")
    except TooMuchError as error:
        problems.add("", error.message)
    if not found and not problems.found:
        none = "no machine, disk, encryption set or vault was found in it"
        own = isinstance(text.value, dict) and text.value.keys() >= _OWN_STATE
        state = "this is Terraform's own state: what is read is what `terraform show -json` prints"
        problems.add("", state if own else none, is_error=False)
    return Documents(tuple(found), tuple(_told(each, text) for each in problems.found))


def _told(problem: Problem, text: JsonText) -> Trouble:
    return Trouble(problem.text, text.origin(problem.pointer), problem.is_error)


def _found(
    document: object, deployment: Deployment, parameters: Mapping[str, object], problems: Problems
) -> Iterator[tuple[object, str]]:
    if isinstance(document, dict) and is_template(document):
        for declared in unfold(document, parameters, deployment, problems):
            yield declared.content, declared.pointer
    elif isinstance(document, dict) and is_plan(document):
        yield from read_plan(document, deployment, problems)
    elif isinstance(document, dict) and _OWN_PLAN in document:
        # What would be there once the plan is done; its own findings are not believed.
        yield from _resources(_as_known(document.get("planned", [])), "/planned", problems)
    else:
        yield from _resources(document, "", problems)


def _as_known(planned: object) -> object:
    """Return what is planned, with UNKNOWN for the id of a key or secret that is not made yet."""
    if isinstance(planned, dict):
        return {name: _as_known(each) for name, each in planned.items()}
    if isinstance(planned, list):
        return [_as_known(each) for each in planned]
    if isinstance(planned, str) and planned.startswith(_URL) and planned.endswith(f"/{NOT_YET}"):
        return UNKNOWN
    return planned


def _resources(document: object, pointer: str, problems: Problems) -> Iterator[tuple[object, str]]:
    if isinstance(document, list):
        for number, each in enumerate(document):
            yield from _resource(each, below(pointer, number), problems)
        return
    if isinstance(document, dict) and "type" not in document:
        for name in _LISTS:
            if isinstance(document.get(name), list):
                yield from _resources(document[name], below(pointer, name), problems)
                return
    yield from _resource(document, pointer, problems)


def _resource(each: object, pointer: str, problems: Problems) -> Iterator[tuple[object, str]]:
    if not isinstance(each, dict):
        problems.add(pointer, "a resource is an object")
    elif isinstance(each.get("type"), str) and "/" in each["type"]:
        yield each, pointer
    elif pointer:
        problems.add(pointer, "this names no type of resource, and is not read", is_error=False)
