"""Reads values from documents that are to be complete: no expression stands for any of them."""

from __future__ import annotations

from keyhier.errors import InvalidInputError
from keyhier.placement.arm_id import ArmId
from keyhier.placement.node import Node, properties_in
from keyhier.placement.unknown import Unknown

__all__ = ["given_flag", "given_id", "given_items", "given_text", "needed_text", "properties_of"]


def _unevaluated(node: Node) -> InvalidInputError:
    return node.wrong("a value belongs here, and no expression")


def given_text(node: Node) -> str | None:
    """Return the text, or None where there is none.

    Raises:
        InvalidInputError: it is no text, or an expression.
    """
    text = node.text()
    if isinstance(text, Unknown):
        raise _unevaluated(node)
    return text


def needed_text(node: Node) -> str:
    """Return the text.

    Raises:
        InvalidInputError: there is none.
    """
    text = given_text(node)
    if text is None:
        raise node.wrong("a value belongs here")
    return text


def given_id(node: Node) -> ArmId | None:
    """Return the id of a resource, or None where there is none.

    Raises:
        InvalidInputError: it is none, or an expression.
    """
    identity = node.arm_id()
    if isinstance(identity, Unknown):
        raise _unevaluated(node)
    return identity


def given_flag(node: Node) -> bool | None:
    """Return the truth value, or None where there is none.

    Raises:
        InvalidInputError: it is none, or an expression.
    """
    flag = node.flag()
    if isinstance(flag, Unknown):
        raise _unevaluated(node)
    return flag


def given_items(node: Node) -> list[Node]:
    """Return what a list holds.

    Raises:
        InvalidInputError: it is no list, or an expression.
    """
    items = node.items()
    if isinstance(items, Unknown):
        raise _unevaluated(node)
    return items


def properties_of(document: object) -> Node:
    """Return what holds a resource's properties; see :func:`properties_in`."""
    return properties_in(Node(document))
