"""Reads tables of rules from TOML, and tells the line and column of what is wrong with them."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, TypeVar

import attrs

from keyhier.errors import InvalidInputError

__all__ = ["Reader", "TableFile", "read_date", "read_list", "read_text", "read_word", "read_words"]

Reader = Callable[[object, str], Any]
"""Reads a field: takes its value and name, raises InvalidInputError."""

Named = TypeVar("Named", bound=StrEnum)


@attrs.frozen
class TableFile:
    """A TOML file of tables.

    Attributes:
        path: where it lies.
        lines: its text.
        content: what the text says.
    """

    path: Path
    lines: list[str] = attrs.field(repr=False)
    content: Mapping[str, Any] = attrs.field(repr=False)

    @classmethod
    def read(cls, path: Path, known: Collection[str]) -> TableFile:
        """Read a file that holds these fields and no others.

        Raises:
            InvalidInputError: it cannot be read, is no TOML, or holds another field.
        """
        try:
            text = path.read_text(encoding="utf-8")
            content = tomllib.loads(text)
        except FileNotFoundError:
            raise InvalidInputError(f"there is no file {path}") from None
        except OSError as error:
            raise InvalidInputError(f"{path} cannot be read: {error.strerror}") from None
        except (ValueError, RecursionError) as error:
            raise InvalidInputError(f"{path} cannot be read as TOML: {error}") from error
        file = cls(path, text.splitlines(), content)
        for key in content:
            if key not in known:
                raise file._wrong(file._place_of(key), f"unknown field {key!r}", known)
        return file

    def tables(
        self, name: str, readers: Mapping[str, Reader], required: Collection[str]
    ) -> list[tuple[str, dict[str, Any]]]:
        """Read the ``[[name]]`` tables: for each its place, as line and column, and its fields.

        Raises:
            InvalidInputError: a field is unknown, missing or malformed.
        """
        tables = self.content.get(name, [])
        if not isinstance(tables, list) or not all(isinstance(each, dict) for each in tables):
            raise InvalidInputError(f"{self.path}: a {name} begins with [[{name}]]")
        headers = re.compile(rf"\s*\[\[\s*{re.escape(name)}\s*\]\]")
        starts = [n for n, line in enumerate(self.lines, 1) if headers.match(line)]
        # A header may be written in other ways, which costs the number of its line.
        starts += [1] * len(tables)
        return [
            (f"{start}:1", self._fields(start, name, table, readers, required))
            for start, table in zip(starts, tables, strict=False)
        ]

    def _fields(
        self,
        start: int,
        name: str,
        table: Mapping[str, Any],
        readers: Mapping[str, Reader],
        required: Collection[str],
    ) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        for key, value in table.items():
            place = self._place_of(key, start)
            if key not in readers:
                raise self._wrong(place, f"unknown field {key!r}", readers)
            try:
                fields[key] = readers[key](value, key)
            except InvalidInputError as error:
                raise InvalidInputError(f"{self.path}:{place}: {error.message}") from None
        for key in required:
            if key not in fields:
                raise self._wrong(f"{start}:1", f"a {name} without {key!r}", readers)
        return fields

    def _wrong(self, place: str, what: str, known: Collection[str]) -> InvalidInputError:
        fields = ", ".join(sorted(known))
        return InvalidInputError(f"{self.path}:{place}: {what}; a field is one of {fields}")

    def _place_of(self, key: str, start: int = 1) -> str:
        # tomllib tells no places. What stands in a multi-line text like a key may be taken for it,
        # which costs a wrong number and nothing else.
        pattern = re.compile(rf"""\s*\[*\s*(?P<key>["']?{re.escape(key)}["']?)\s*[=\].]""")
        for number, text in enumerate(self.lines[start - 1 :], start):
            found = pattern.match(text)
            if found:
                return f"{number}:{found.start('key') + 1}"
        return f"{start}:1"


def read_text(value: object, name: str) -> str:
    """Read text that is not empty."""
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError(f"{name} is text")
    return value


def read_list(value: object, name: str) -> list[object]:
    """Read a list."""
    if not isinstance(value, list):
        raise InvalidInputError(f"{name} is a list")
    return value


def read_date(value: object, name: str) -> dt.date:
    """Read a date."""
    if not isinstance(value, dt.date) or isinstance(value, dt.datetime):
        raise InvalidInputError(f"{name} is a date such as 2026-02-20, without quotes")
    return value


def read_word(words: type[Named]) -> Callable[[object, str], Named]:
    """Return a reader of one of these words."""

    def read(value: object, name: str) -> Named:
        if not isinstance(value, str) or value not in list(words):
            raise InvalidInputError(f"{name} is one of {', '.join(words)}, not {value!r:.80}")
        return words(value)

    return read


def read_words(words: type[Named]) -> Callable[[object, str], frozenset[Named]]:
    """Return a reader of a list of these words."""
    one: Final = read_word(words)

    def read(value: object, name: str) -> frozenset[Named]:
        return frozenset(one(each, name) for each in read_list(value, name))

    return read
