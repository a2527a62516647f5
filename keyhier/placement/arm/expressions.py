"""The syntax of expressions in ARM templates: ``[concat(parameters('name'), '-kv')]``.

https://learn.microsoft.com/azure/azure-resource-manager/templates/template-expressions
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, TypeAlias

import attrs

from keyhier.errors import InvalidInputError

__all__ = ["Call", "Expression", "Literal", "Member", "is_expression", "parse", "unescaped"]

_MAX_DEPTH: Final = 60
# ARM's limit for an expression: https://learn.microsoft.com/azure/azure-resource-manager/templates/best-practices
_MAX_CHARACTERS: Final = 24_576
_TOKEN: Final = re.compile(
    r"\s*(?:(?P<text>'(?:[^']|'')*')|(?P<number>[+-]?[0-9]{1,19}(?![0-9]))"
    r"|(?P<name>[A-Za-z_$][A-Za-z0-9_$]*)|(?P<mark>[()\[\].,?]))",
    re.DOTALL,
)


@attrs.frozen
class Literal:
    """A text or a number."""

    value: str | int


@attrs.frozen
class Call:
    """A function's call; a user's own function has its namespace before a point."""

    name: str
    arguments: tuple[Expression, ...]


@attrs.frozen
class Member:
    """A member of a value, by name or number; ``optional`` where a missing one is null (``.?``)."""

    of: Expression
    key: Expression
    optional: bool = False


Expression: TypeAlias = Literal | Call | Member
"""What stands between the brackets."""


def is_expression(text: str) -> bool:
    """Whether a text is an expression; ``[[`` begins a text that only looks like one."""
    return text.startswith("[") and text.endswith("]") and not text.startswith("[[")


def unescaped(text: str) -> str:
    """Return what a text that is no expression says."""
    return text[1:] if text.startswith("[[") else text


@lru_cache(maxsize=4096)
def parse(text: str) -> Expression:
    """Read an expression with its brackets.

    Raises:
        InvalidInputError: it is malformed, or too long or nested too deeply.
    """
    if len(text) > _MAX_CHARACTERS:
        raise InvalidInputError(f"an expression has at most {_MAX_CHARACTERS} characters")
    parser = _Parser(text[1:-1])
    found = parser.expression(0)
    parser.end()
    return found


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._position = 0
        self._kind, self._token = "", ""
        self._next()

    def _next(self) -> str:
        taken = self._token
        found = _TOKEN.match(self._text, self._position)
        if found is not None and found.lastgroup is not None:
            self._position = found.end()
            self._kind, self._token = found.lastgroup, found[found.lastgroup]
        elif self._text[self._position :].strip():
            raise self._wrong(self._text[self._position :].strip())
        else:
            self._kind, self._token = "end", ""
        return taken

    def _wrong(self, found: str) -> InvalidInputError:
        what = repr(found[:20]) if found else "its end"
        return InvalidInputError(f"the expression is malformed at {what}")

    def end(self) -> None:
        if self._kind != "end":
            raise self._wrong(self._token)

    def _take(self, mark: str) -> None:
        if self._kind != "mark" or self._token != mark:
            raise self._wrong(self._token)
        self._next()

    def _is(self, mark: str) -> bool:
        return self._kind == "mark" and self._token == mark

    def expression(self, depth: int) -> Expression:
        if depth > _MAX_DEPTH:
            raise InvalidInputError("the expression is nested too deeply")
        found = self._primary(depth)
        while True:
            if self._is("["):
                self._next()
                optional = self._optional()
                found = Member(found, self.expression(depth + 1), optional)
                self._take("]")
            elif self._is("."):
                self._next()
                optional = self._optional()
                if self._kind != "name":
                    raise self._wrong(self._token)
                found = Member(found, Literal(self._next()), optional)
            else:
                return found

    def _optional(self) -> bool:
        if not self._is("?"):
            return False
        self._next()
        return True

    def _primary(self, depth: int) -> Expression:
        match self._kind:
            case "text":
                return Literal(self._next()[1:-1].replace("''", "'"))
            case "number":
                return Literal(int(self._next()))
            case "name":
                name = self._next()
                if self._is("."):
                    self._next()
                    name += f".{self._next()}"
                return Call(name, self._arguments(depth))
            case _:
                raise self._wrong(self._token)

    def _arguments(self, depth: int) -> tuple[Expression, ...]:
        self._take("(")
        found: list[Expression] = []
        while not self._is(")"):
            if found:
                self._take(",")
            found.append(self.expression(depth + 1))
        self._take(")")
        return tuple(found)
