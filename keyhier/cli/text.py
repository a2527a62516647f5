"""Text of others on a terminal: labels and descriptions are data and rule nothing."""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["counted", "moment", "printable"]


def printable(text: str) -> str:
    """Return ``text`` with every character that is not printable written as an escape.

    Control characters, marks that turn the direction of writing, and lone surrogates are not.
    """
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def counted(number: int, noun: str) -> str:
    """Return a number of things: ``1 record``, ``2 records``, ``1 entry``, ``2 entries``."""
    if number == 1:
        return f"1 {noun}"
    return f"{number} {noun[:-1]}ies" if noun.endswith("y") else f"{number} {noun}s"


def moment(when: datetime | None) -> str | None:
    """Return a time as RFC 3339 writes it, in UTC and whole seconds."""
    return None if when is None else when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
