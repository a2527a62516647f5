"""Facts of a machine that no document tells, as somebody writes them: ``memory_gb=16``."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeVar

import attrs

from keyhier.azure_disk.machine import Image, Machine, Scenario, Technology
from keyhier.errors import InvalidInputError
from keyhier.placement.model import System
from keyhier.placement.unknown import UNKNOWN

__all__ = ["filled_with", "read_facts", "with_facts"]

Word = TypeVar("Word", System, Image, Technology, Scenario)

_TRUTHS: Final = {"yes": True, "true": True, "no": False, "false": False}


def _truth(text: str) -> bool:
    if text.casefold() not in _TRUTHS:
        raise InvalidInputError("yes or no belongs here")
    return _TRUTHS[text.casefold()]


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1
    if not 0 <= number < float("inf"):
        raise InvalidInputError("a number of 0 or more belongs here")
    return number


def _generation(text: str) -> int:
    if text not in {"1", "2"}:
        raise InvalidInputError("1 or 2 belongs here")
    return int(text)


def _word(kind: type[Word]) -> Callable[[str], Word]:
    def read(text: str) -> Word:
        if text not in list(kind):
            raise InvalidInputError(f"one of {', '.join(kind)} belongs here")
        return kind(text)

    return read


def _uses(text: str) -> frozenset[Technology]:
    words = [] if text == "nothing" else text.split(",")
    return frozenset(map(_word(Technology), words))


# These are told by a plan's scenario and key, and by the documents.
_DERIVED: Final = frozenset({"scenario", "volumes", "kek_bits", "ade", "os_encrypted", "dual_pass"})
_OF_PLANS: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {each.name: _truth for each in attrs.fields(Machine) if each.name not in _DERIVED}
    | {
        "system": _word(System),
        "image": _word(Image),
        "release": str,
        "size": str,
        "generation": _generation,
        "memory_gb": _number,
        "root_usage_gb": _number,
        "uses": _uses,
    }
)

# A check has no plan that would tell the rest.
_OF_CHECKS: Final[Mapping[str, Callable[[str], Any]]] = MappingProxyType(
    {
        **_OF_PLANS,
        "scenario": _word(Scenario),
        "dual_pass": _truth,
        "os_encrypted": _truth,
        "kek_bits": _number,
    }
)


def with_facts(machine: Machine, facts: Mapping[str, Any]) -> Machine:
    """Return a machine of which more is known.

    Raises:
        InvalidInputError: a fact has no name of such a fact.
    """
    for name in facts:
        _reader(name, _OF_PLANS)
    return attrs.evolve(machine, **facts)


def filled_with(machine: Machine, facts: Mapping[str, Any]) -> Machine:
    """Return a machine of which what is not known is told by facts; what is known stays.

    Raises:
        InvalidInputError: a fact has no name of such a fact.
    """
    for name in facts:
        _reader(name, _OF_CHECKS)
    unknown = {name: each for name, each in facts.items() if getattr(machine, name) is UNKNOWN}
    return attrs.evolve(machine, **unknown) if unknown else machine


def _reader(name: str, readers: Mapping[str, Callable[[str], Any]]) -> Callable[[str], Any]:
    if name not in readers:
        raise InvalidInputError(
            f"{name!r:.80} is no fact of a machine; there are {', '.join(sorted(readers))}"
        )
    return readers[name]


def read_facts(pairs: Iterable[str], *, planned: bool = True) -> dict[str, Any]:
    """Read facts, each ``NAME=VALUE`` with a name of :class:`~keyhier.azure_disk.machine.Machine`.

    What the machine uses is a list with commas, such as ``uses=lvm,nfs``, or ``uses=nothing``.

    Args:
        pairs: the facts.
        planned: whether a plan tells the scenario, the generation and the key, which are no facts
            then.

    Raises:
        InvalidInputError: a name is not known, stands twice, or its value does not fit.
    """
    readers = _OF_PLANS if planned else _OF_CHECKS
    facts: dict[str, Any] = {}
    for pair in pairs:
        name, _, text = pair.partition("=")
        reader = _reader(name, readers)
        if name in facts:
            raise InvalidInputError(f"the fact {name} stands twice")
        try:
            facts[name] = reader(text)
        except InvalidInputError as error:
            raise InvalidInputError(f"{name}={text!r:.80}: {error.message}") from None
    return facts
