"""Node: a value in a JSON document together with its place there.

ARM compares the names of properties without case, and so does this. What an expression of a
template yields (``[parameters('location')]``), and the value UNKNOWN itself, read as UNKNOWN.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.placement.arm_id import ArmId
from keyhier.placement.hidden import is_hidden
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = ["MalformedError", "Node", "printable", "properties_in"]

_MAX_SHOWN: Final = 80


def printable(text: str) -> str:
    """Return text from a document without what could forge lines or colours where it is shown."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


class MalformedError(InvalidInputError):
    """A document holds what does not belong there.

    Attributes:
        pointer: the place in the document (RFC 6901).
        what: what is wrong there.
    """

    def __init__(self, pointer: str, what: str, *, remedy: str | None = None) -> None:
        super().__init__(f"{pointer or 'the document'}: {what}", remedy=remedy)
        self.pointer = pointer
        self.what = what

    def __reduce__(self) -> tuple[type[MalformedError], tuple[str, str], dict[str, Any]]:
        return type(self), (self.pointer, self.what), vars(self)


@attrs.define(eq=False)  # A large file has millions of them, and frozen ones take twice as long.
class Node:
    """A value, or its absence, at a place of a document.

    Attributes:
        value: the value; None where there is none, or where it is null.
        pointer: the place (RFC 6901).
    """

    value: object
    pointer: str = ""

    @property
    def known(self) -> Maybe[object]:
        """The value, or UNKNOWN where an expression stands for it."""
        value = self.value
        if isinstance(value, str) and value[:1] == "[" and value[:2] != "[[":
            return UNKNOWN
        return value

    @property
    def absent(self) -> bool:
        """Whether nothing stands there."""
        return self.value is None

    def wrong(self, what: str) -> MalformedError:
        """Return the error that says what should stand here, and what does, if it is no secret."""
        if is_hidden(self.pointer):
            return MalformedError(self.pointer, f"{what}, and what stands there is not shown")
        if isinstance(self.value, Mapping | list | tuple):
            # Secrets may be among what it holds.
            return self.wrong_kind(what)
        shown = repr(self.value)
        shown = shown if len(shown) <= _MAX_SHOWN else shown[:_MAX_SHOWN] + "…"
        return MalformedError(self.pointer, f"{what}, not {shown}")

    def wrong_kind(self, what: str) -> MalformedError:
        """Return the error that says what should stand here, and of what kind is what does."""
        match self.value:
            case str():
                kind = "a text"
            case Mapping():
                kind = "an object"
            case list() | tuple():
                kind = "a list"
            case _:
                kind = "a number or a truth value"
        return MalformedError(self.pointer, f"{what}, not {kind}")

    def at(self, *names: str) -> Node:
        """Return what stands below, under these names; nothing below nothing.

        Raises:
            InvalidInputError: something on the way is no object.
        """
        value, pointer = self.value, self.pointer
        for name in names:
            # Nearly all are dictionaries, whose members are spelled as the documentation has them.
            if type(value) is dict and name in value:
                value, spelled = value[name], name
            elif value is None:
                spelled = name
            else:
                value, spelled = _below(value, pointer, name)
            pointer = f"{pointer}/{spelled}"
        return Node(value, pointer)

    def text(self) -> Maybe[str | None]:
        """Return the text; an empty one is none.

        Raises:
            InvalidInputError: it is no text.
        """
        value = self.value
        if value is None:
            return None
        if isinstance(value, str) and value[:1] != "[":
            return value or None
        value = self.known
        if isinstance(value, str):
            return value
        if isinstance(value, Unknown):
            return value
        raise self.wrong("text belongs here")

    def flag(self) -> Maybe[bool | None]:
        """Return the truth value; ``"true"`` and ``"false"`` are taken too, as ARM takes them.

        Raises:
            InvalidInputError: it is neither true nor false.
        """
        value = self.known
        if isinstance(value, str) and value.casefold() in {"true", "false"}:
            return value.casefold() == "true"
        if value is None or isinstance(value, bool | Unknown):
            return value
        raise self.wrong("true or false belongs here")

    def items(self) -> Maybe[list[Node]]:
        """Return what a list holds; nothing holds nothing.

        Raises:
            InvalidInputError: it is no list.
        """
        value = self.known
        if isinstance(value, Unknown):
            return value
        if value is None:
            return []
        if isinstance(value, str) or not isinstance(value, Sequence):
            raise self.wrong_kind("a list belongs here")
        return [Node(each, f"{self.pointer}/{n}") for n, each in enumerate(value)]

    def arm_id(self) -> Maybe[ArmId | None]:
        """Return the id of a resource.

        Raises:
            InvalidInputError: it is none.
        """
        text = self.text()
        if text is None or isinstance(text, Unknown):
            return text
        try:
            return ArmId.parse(text)
        except InvalidInputError as error:
            if is_hidden(self.pointer):
                raise self.wrong("the id of a resource belongs here") from None
            raise MalformedError(self.pointer, error.message, remedy=error.remedy) from None


def _below(value: object, pointer: str, name: str) -> tuple[object, str]:
    """Return what stands below a value under a name, and the name as it is spelled there."""
    if type(value) is not dict and not isinstance(value, Mapping):
        node = Node(value, pointer)
        if isinstance(node.known, Unknown):
            return UNKNOWN, name
        # In place of an object that holds secrets, a text may hold them as well.
        raise node.wrong_kind("an object belongs here")
    folded, length = name.casefold(), len(name)
    for key in value:
        # The names that are looked for are ASCII, which folds into as many characters.
        if len(key) == length and key.casefold() == folded:
            return value[key], key
    return None, name


def properties_in(node: Node) -> Node:
    """Return what holds a resource's properties: ``az`` prints them beside its name."""
    properties = node.at("properties")
    return node if properties.absent else properties
