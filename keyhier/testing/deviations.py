"""Deviations: where a vault does not do what the contract asks, said as data and with a reason.

A deviation is no skip. The test runs, and it must fail in the declared way: once the vault does
what the contract asks, the deviation is stale and the test fails until it is taken out.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

import attrs
import pytest

from keyhier import errors
from keyhier.errors import InvalidInputError

__all__ = ["Deviation", "read_deviations"]

_SHIPPED: Final = Path(__file__).with_name("known_deviations")
_ASSERTION: Final = "AssertionError"
_RAISED: Final[dict[str, tuple[type[BaseException], ...]]] = {
    **{name: (getattr(errors, name),) for name in errors.__all__},
    # What pytest.raises reports when nothing is raised is an assertion too, for who reads it.
    _ASSERTION: (AssertionError, pytest.fail.Exception),
}


def _known_error(_: object, __: object, name: str) -> None:
    if not isinstance(name, str) or name not in _RAISED:
        raise InvalidInputError(
            f"a deviation raises one of keyhier's errors or {_ASSERTION}, not {name!r}"
        )


def _said(_: object, attribute: attrs.Attribute[str], text: str) -> None:
    if not isinstance(text, str) or not text.strip():
        raise InvalidInputError(f"a deviation says its {attribute.name}")


@attrs.frozen
class Deviation:
    """One test of the contract that a vault is known to fail.

    Attributes:
        test: the test's name, with its parameters in brackets where it has any, as pytest prints
            it: ``test_a_raw_wrap_gives_back_what_was_wrapped[A256KWP-31]``. Without brackets it
            stands for every case of the test.
        raises: what the test fails with: the name of one of keyhier's errors, or
            ``AssertionError`` where the vault answers and the answer is wrong.
        reason: why, and where that is written down.
    """

    test: str = attrs.field(validator=_said)
    raises: str = attrs.field(validator=_known_error)
    reason: str = attrs.field(validator=_said)

    @property
    def mark(self) -> pytest.MarkDecorator:
        """What makes pytest expect the failure, and object where it does not come."""
        return pytest.mark.xfail(
            reason=f"{self.raises}: {self.reason}", raises=_RAISED[self.raises], strict=True
        )


def read_deviations(source: Path | str) -> tuple[Deviation, ...]:
    """Read a TOML file of ``[[deviation]]`` tables with ``test``, ``raises`` and ``reason``.

    Args:
        source: the file's path, or the name of a list that keyhier ships: ``nss`` or
            ``softhsm``.

    Raises:
        InvalidInputError: it cannot be read, is no TOML, or holds anything else.
    """
    path = _SHIPPED / f"{source}.toml" if str(source) in _names_shipped() else Path(source)
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"{path} cannot be read as TOML: {error}") from error
    tables = content.pop("deviation", [])
    if content or not isinstance(tables, list):
        raise InvalidInputError(f"{path} holds something besides [[deviation]] tables")
    return tuple(_read(table, path) for table in tables)


def _names_shipped() -> set[str]:
    return {path.stem for path in _SHIPPED.glob("*.toml")}


def _read(table: object, path: Path) -> Deviation:
    wanted = {field.name for field in attrs.fields(Deviation)}
    if not isinstance(table, dict) or set(table) != wanted:
        raise InvalidInputError(f"a deviation in {path} has exactly {', '.join(sorted(wanted))}")
    return Deviation(**table)
