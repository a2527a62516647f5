"""Reads rule sets from TOML: those that come with keyhier, and a user's own.

A file is one set, called after the file. ``title`` says what it is for; ``extends`` names a shipped
set whose rules it takes over, except those that ``omits`` lists; each ``[[rule]]`` is one more.
Whatever else stands there is an error that names the line.
"""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Callable, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from keyhier.doctor import Severity
from keyhier.errors import InvalidInputError, KeyhierError, NotFoundError
from keyhier.placement.rules import Rule, RuleSet
from keyhier.placement.vocabulary import Fact, Field, Relation

__all__ = ["DEFAULT_RULES", "read_rule_set", "rule_set", "shipped_rule_sets"]

DEFAULT_RULES: Final = "strict"
"""The set that is used where none is named."""

_FOLDER: Final = Path(__file__).with_name("rule_sets")
_TOP: Final = frozenset({"title", "extends", "omits", "rule"})

Named = TypeVar("Named", bound=StrEnum)


def shipped_rule_sets() -> tuple[str, ...]:
    """Return the names of the sets that come with keyhier."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def rule_set(name: str = DEFAULT_RULES) -> RuleSet:
    """Return the set of that name.

    Raises:
        NotFoundError: keyhier ships no such set; the message lists those there are.
    """
    if name not in shipped_rule_sets():
        known = ", ".join(shipped_rule_sets())
        raise NotFoundError(
            f"no rule set {name!r:.80}; there are {known}",
            remedy="a set of your own is read with read_rule_set(path)",
        )
    return read_rule_set(_FOLDER / f"{name}.toml")


def read_rule_set(path: Path | str) -> RuleSet:
    """Read a rule set; its name is the file's.

    Raises:
        InvalidInputError: the file cannot be read, is no TOML, or holds anything that a rule set
            does not; the message names the line.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidInputError(f"{path} cannot be read as TOML: {error}") from error
    lines = text.splitlines()
    for key in content:
        if key not in _TOP:
            raise _malformed(path, _line_of(lines, key), f"unknown field {key!r}", _TOP)
    tables = content.get("rule", [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise InvalidInputError(f"{path}: a rule begins with [[rule]]")
    rules = [_read_rule(path, lines, number, table) for number, table in enumerate(tables)]
    try:
        base = _base(content)
        return RuleSet(path.stem, _text(content.get("title"), "title"), (*base, *rules))
    except KeyhierError as error:
        raise InvalidInputError(f"{path}: {error.message}") from None


def _base(content: Mapping[str, Any]) -> tuple[Rule, ...]:
    omits = [_text(each, "omits") for each in _list(content.get("omits", []), "omits")]
    if "extends" not in content:
        if omits:
            raise InvalidInputError("omits without extends leaves nothing out")
        return ()
    return rule_set(_text(content["extends"], "extends")).without(*omits).rules


def _read_rule(path: Path, lines: list[str], number: int, table: Mapping[str, Any]) -> Rule:
    start = _line_of_rule(lines, number)
    values: dict[str, Any] = {}
    for key, value in table.items():
        line = _line_of(lines, key, start)
        if key not in _READERS:
            raise _malformed(path, line, f"unknown field {key!r}", _READERS)
        try:
            values[key] = _READERS[key](value, key)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}:{line}: {error.message}") from None
    for key in ("id", "severity", "about", "text", "remedy", "source", "date"):
        if key not in values:
            raise _malformed(path, start, f"a rule without {key!r}", _READERS)
    try:
        return Rule(**values)
    except InvalidInputError as error:
        raise InvalidInputError(f"{path}:{start}: {error.message}") from None


def _malformed(
    path: Path, line: int, what: str, known: Mapping[str, Any] | frozenset[str]
) -> InvalidInputError:
    return InvalidInputError(f"{path}:{line}: {what}; a field is one of {', '.join(sorted(known))}")


def _line_of_rule(lines: list[str], number: int) -> int:
    headers = [n for n, line in enumerate(lines, 1) if re.match(r"\s*\[\[\s*rule\s*\]\]", line)]
    return headers[number] if number < len(headers) else 1


def _line_of(lines: list[str], key: str, start: int = 1) -> int:
    # tomllib tells no lines. What stands in a multi-line text like a key may be taken for it,
    # which costs a wrong number and nothing else.
    pattern = re.compile(rf"""\s*\[*\s*["']?{re.escape(key)}["']?\s*[=\].]""")
    found = (n for n, line in enumerate(lines[start - 1 :], start) if pattern.match(line))
    return next(found, start)


def _text(value: object, name: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{name} is text")
    return value


def _list(value: object, name: str) -> list[object]:
    if not isinstance(value, list):
        raise InvalidInputError(f"{name} is a list")
    return value


def _date(value: object, name: str) -> dt.date:
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise InvalidInputError(f"{name} is a date such as 2026-02-20, without quotes")
    return value


def _word(value: object, name: str, words: type[Named]) -> Named:
    if not isinstance(value, str) or value not in list(words):
        raise InvalidInputError(f"{name} is one of {', '.join(words)}, not {value!r:.80}")
    return words(value)


def _facts(value: object, name: str) -> frozenset[Fact]:
    return frozenset(_word(each, name, Fact) for each in _list(value, name))


_READERS: Final[Mapping[str, Callable[[object, str], Any]]] = {
    "id": _text,
    "severity": lambda value, name: _word(value, name, Severity),
    "about": lambda value, name: _word(value, name, Relation),
    "text": _text,
    "remedy": _text,
    "source": _text,
    "date": _date,
    "same": lambda value, name: _word(value, name, Field),
    "never": _facts,
    "any": _facts,
    "unless": _facts,
}
