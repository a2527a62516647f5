"""Reads rule sets from TOML: those that come with keyhier, and a user's own.

A file is one set, called after the file. ``title`` says what it is for; ``extends`` names a shipped
set whose rules it takes over, except those that ``omits`` lists; each ``[[rule]]`` is one more.
Whatever else stands there is an error that names the place.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Final

from keyhier.doctor import Severity
from keyhier.errors import InvalidInputError, KeyhierError, NotFoundError
from keyhier.placement.rules import Rule, RuleSet
from keyhier.placement.table_file import (
    Reader,
    TableFile,
    read_date,
    read_list,
    read_text,
    read_word,
    read_words,
)
from keyhier.placement.vocabulary import Fact, Field, Relation

__all__ = ["DEFAULT_RULES", "read_rule_set", "rule_set", "shipped_rule_sets"]

DEFAULT_RULES: Final = "strict"
"""The set that is used where none is named."""

_FOLDER: Final = Path(__file__).with_name("rule_sets")
_TOP: Final = frozenset({"title", "extends", "omits", "rule"})

_REQUIRED: Final = ("id", "severity", "about", "text", "remedy", "source", "date")


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
            remedy="a set of your own is a file that ends in .toml, and read_rule_set reads it",
        )
    return read_rule_set(_FOLDER / f"{name}.toml")


def read_rule_set(path: Path | str) -> RuleSet:
    """Read a rule set; its name is the file's.

    Raises:
        InvalidInputError: the file cannot be read, is no TOML, or holds anything that a rule set
            does not; the message names the place.
    """
    file = TableFile.read(Path(path), _TOP)
    tables = file.tables("rule", _READERS, _REQUIRED)
    rules = [_rule(file, place, fields) for place, fields in tables]
    try:
        title = read_text(file.content.get("title"), "title")
        return RuleSet(file.path.stem, title, (*_base(file.content), *rules))
    except KeyhierError as error:
        raise InvalidInputError(f"{file.path}: {error.message}") from None


def _base(content: Mapping[str, Any]) -> tuple[Rule, ...]:
    omits = [read_text(each, "omits") for each in read_list(content.get("omits", []), "omits")]
    if "extends" not in content:
        if omits:
            raise InvalidInputError("omits without extends leaves nothing out")
        return ()
    return rule_set(read_text(content["extends"], "extends")).without(*omits).rules


def _rule(file: TableFile, place: str, fields: Mapping[str, Any]) -> Rule:
    try:
        return Rule(**fields)
    except InvalidInputError as error:
        raise InvalidInputError(f"{file.path}:{place}: {error.message}") from None


_READERS: Final[Mapping[str, Reader]] = {
    "id": read_text,
    "severity": read_word(Severity),
    "about": read_word(Relation),
    "text": read_text,
    "remedy": read_text,
    "source": read_text,
    "date": read_date,
    "same": read_word(Field),
    "never": read_words(Fact),
    "any": read_words(Fact),
    "unless": read_words(Fact),
}
