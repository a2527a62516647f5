"""What every database can keep: text of a bounded length, and JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import attrs

from keyhier.errors import InvalidInputError

__all__ = ["MAX_TEXT", "check_document", "is_text"]

MAX_TEXT: Final = 256
"""In characters; an index of PostgreSQL holds two such texts of four bytes a character."""

_MAX_DOCUMENT: Final = 64 * 1024


def is_text(value: object) -> bool:
    """Say whether it is text that every database keeps and finds, of 1 to 256 characters."""
    return (
        isinstance(value, str)
        and 0 < len(value) <= MAX_TEXT
        and "\0" not in value
        and (value.isascii() or not any("\ud800" <= each <= "\udfff" for each in value))
    )


def check_document(_: object, attribute: attrs.Attribute[Any], value: Mapping[str, Any]) -> None:
    """Refuse what is no JSON object that every database keeps; a validator of attrs.

    Raises:
        InvalidInputError: it is none, or has more than 65,536 characters.
    """
    if value == {}:
        return
    text = ""
    with suppress(TypeError, ValueError, RecursionError):
        written = json.dumps(dict(value), allow_nan=False, ensure_ascii=False)
        # What UTF-8 cannot write raises here.
        written.encode()
        # A list of pairs makes a dictionary, too.
        text = written if isinstance(value, Mapping) else ""
    if not 0 < len(text) <= _MAX_DOCUMENT or "\\u0000" in text:
        raise InvalidInputError(
            f"{attribute.name} is a JSON object of at most {_MAX_DOCUMENT} characters, without NUL"
        )
