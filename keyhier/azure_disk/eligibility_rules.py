"""Eligibility rules as data: why a machine cannot be encrypted, and by which method."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import attrs

from keyhier.azure_disk.machine import FACTS, Machine
from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.placement.table_file import (
    Reader,
    TableFile,
    read_date,
    read_list,
    read_text,
    read_words,
)
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, all_of

__all__ = [
    "DEFAULT_RULES",
    "EligibilityRules",
    "Method",
    "Obstacle",
    "Support",
    "eligibility_rules",
    "read_eligibility_rules",
    "shipped_eligibility_rules",
]

DEFAULT_RULES: Final = "2026"
"""The rules that are used where none are named."""

_FOLDER: Final = Path(__file__).with_name("eligibility_sets")


class Method(StrEnum):
    """How disks can be encrypted."""

    ADE = "ade"
    """Azure Disk Encryption: in the guest."""

    CMK = "cmk"
    """Server-side encryption with a customer-managed key, of an encryption set."""

    HOST = "encryption-at-host"
    """Encryption at host."""


@attrs.frozen
class _Bound:
    """A number's bound: ``below`` it, or ``at_least`` it."""

    below: float | None = None
    at_least: float | None = None

    def __str__(self) -> str:
        words = {"at least": self.at_least, "below": self.below}
        return " and ".join(
            f"{word} {bound:g}" for word, bound in words.items() if bound is not None
        )

    def holds(self, value: float) -> bool:
        return (self.below is None or value < self.below) and (
            self.at_least is None or value >= self.at_least
        )


Condition: TypeAlias = _Bound | frozenset[object]


@attrs.frozen
class Obstacle:
    """Why a machine cannot be encrypted: where all conditions hold, it cannot.

    Attributes:
        id: its name, which stays what it is.
        methods: the methods that it stands in the way of.
        when: facts of the machine, and what they are then.
        text: one sentence without a full stop.
        source: the page that says so.
        date: when that page said so.
        confirmed: whether that page was seen as it was then, and not only as it is today.
    """

    id: str
    methods: frozenset[Method]
    when: Mapping[str, Condition]
    text: str
    source: str
    date: dt.date
    confirmed: bool = True

    def __attrs_post_init__(self) -> None:
        if not self.source.startswith("https://"):
            raise InvalidInputError(f"the obstacle {self.id} names no page as its source")

    def holds(self, machine: Machine) -> Maybe[bool]:
        """Whether it stands in the way of this machine."""
        return all_of(*(_holds(getattr(machine, name), asked) for name, asked in self.when.items()))

    def missing(self, machine: Machine) -> list[str]:
        """Return the facts that would have to be known to tell."""
        return [name for name in self.when if getattr(machine, name) is UNKNOWN]


def _holds(value: object, asked: Condition) -> Maybe[bool]:
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(asked, _Bound):
        return isinstance(value, int | float) and asked.holds(value)
    if isinstance(value, frozenset):
        return bool(value & asked)
    return value in asked


@attrs.frozen
class Support:
    """Releases of a distribution that Azure Disk Encryption supports.

    Attributes:
        distribution: such as ``ubuntu``.
        releases: such as ``22.04``.
        data_only: whether the OS volume cannot be encrypted.
        source: the page that says so.
        date: when that page said so.
        confirmed: as :attr:`Obstacle.confirmed`.
    """

    distribution: str
    releases: tuple[str, ...]
    source: str
    date: dt.date
    data_only: bool = False
    confirmed: bool = True


@attrs.frozen
class EligibilityRules:
    """What the pages of one time say.

    Attributes:
        name: the year.
        title: what they are, one sentence without a full stop.
        obstacles: why a machine cannot be encrypted.
        supported: which systems can be encrypted by Azure Disk Encryption.
    """

    name: str
    title: str
    obstacles: tuple[Obstacle, ...]
    supported: tuple[Support, ...]

    def support(self, release: str) -> Support | None:
        """Return what is said of a release, such as ``ubuntu 22.04``; None where nothing is."""
        for each in self.supported:
            if release.casefold() in {f"{each.distribution} {one}" for one in each.releases}:
                return each
        return None


def shipped_eligibility_rules() -> tuple[str, ...]:
    """Return the names of the rules that come with keyhier, the oldest first."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


@cache
def eligibility_rules(name: str = DEFAULT_RULES) -> EligibilityRules:
    """Return the rules of that name.

    Raises:
        NotFoundError: there are none; the message lists those there are.
    """
    if name not in shipped_eligibility_rules():
        known = ", ".join(shipped_eligibility_rules())
        raise NotFoundError(f"no eligibility rules {name!r:.80}; there are {known}")
    return read_eligibility_rules(_FOLDER / f"{name}.toml")


def read_eligibility_rules(path: Path | str) -> EligibilityRules:
    """Read rules from TOML; their name is the file's.

    Raises:
        InvalidInputError: the file cannot be read, is no TOML, or holds anything that such rules
            do not; the message names the place.
    """
    file = TableFile.read(Path(path), {"title", "obstacle", "support"})
    obstacles = []
    for place, fields in file.tables("obstacle", _OBSTACLE, set(_OBSTACLE) - {"confirmed"}):
        try:
            obstacles.append(Obstacle(**fields))
        except InvalidInputError as error:
            raise InvalidInputError(f"{file.path}:{place}: {error.message}") from None
    ids = [each.id for each in obstacles]
    if len(set(ids)) < len(ids):
        raise InvalidInputError(f"{file.path}: an obstacle stands there twice")
    supported = [
        Support(**fields)
        for _, fields in file.tables(
            "support", _SUPPORT, set(_SUPPORT) - {"data_only", "confirmed"}
        )
    ]
    title = file.content.get("title")
    return EligibilityRules(
        file.path.stem, read_text(title, "title"), tuple(obstacles), tuple(supported)
    )


def _read_when(value: object, name: str) -> Mapping[str, Condition]:
    if not isinstance(value, dict):
        raise InvalidInputError(f"{name} is a table of facts")
    for fact in value:
        if fact not in FACTS:
            raise InvalidInputError(
                f"{name} asks the unknown fact {fact!r:.80}; known are {', '.join(sorted(FACTS))}"
            )
    return MappingProxyType({fact: _read_condition(asked, fact) for fact, asked in value.items()})


def _read_condition(value: Any, name: str) -> Condition:
    match value:
        case bool() | str() | int():
            return frozenset({value})
        case list() if value and all(isinstance(each, bool | str | int) for each in value):
            return frozenset(value)
        case {"below": int() | float() as bound} if len(value) == 1:
            return _Bound(below=bound)
        case {"at_least": int() | float() as bound} if len(value) == 1:
            return _Bound(at_least=bound)
        case {"at_least": int() | float() as least, "below": int() | float() as bound} if (
            len(value) == 2
        ):
            return _Bound(below=bound, at_least=least)
    raise InvalidInputError(
        f"{name} is asked for a value, one of several in a list, or {{ below = …, at_least = … }}"
    )


def _read_texts(value: object, name: str) -> tuple[str, ...]:
    return tuple(read_text(each, name) for each in read_list(value, name))


def _read_flag(value: object, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInputError(f"{name} is true or false")
    return value


_OBSTACLE: Final[Mapping[str, Reader]] = {
    "id": read_text,
    "methods": read_words(Method),
    "when": _read_when,
    "text": read_text,
    "source": read_text,
    "date": read_date,
    "confirmed": _read_flag,
}
_SUPPORT: Final[Mapping[str, Reader]] = {
    "distribution": read_text,
    "releases": _read_texts,
    "data_only": _read_flag,
    "source": read_text,
    "date": read_date,
    "confirmed": _read_flag,
}
