"""Text of others on a terminal: labels and descriptions are data and rule nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime

from keyhier.errors import InvalidInputError

__all__ = ["moment", "parse_context", "printable"]


def printable(text: str) -> str:
    """Return ``text`` with every character that is not printable written as an escape.

    Control characters, marks that turn the direction of writing, and lone surrogates are not.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def moment(when: datetime | None) -> str | None:
    """Return a time as RFC 3339 writes it, in UTC and whole seconds."""
    return None if when is None else when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_context(pairs: Iterable[str] | None) -> Mapping[str, str]:
    """Read ``NAME=VALUE`` pairs; a value may hold further equals signs.

    Raises:
        InvalidInputError: a pair has no equals sign or no name, or a name stands there twice.
    """
    context: dict[str, str] = {}
    for pair in pairs or ():
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise InvalidInputError(f"--context takes NAME=VALUE, not {pair!r:.80}")
        if name in context:
            raise InvalidInputError(f"--context names {name!r:.80} twice")
        context[name] = value
    return context
