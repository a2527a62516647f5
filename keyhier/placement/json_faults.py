"""Finds the places of what JSON does not allow and its parser tells of without a place.

Each is asked for once the parser has found such a thing, and finds what the parser found first.
"""

from __future__ import annotations

import json
import re
import sys
from typing import Final

__all__ = ["TEXT", "constant_at", "member_twice_at", "number_at"]

TEXT: Final = r'"(?:[^"\\]|\\.)*+(?:"|\\?\Z)'
"""Matches a text, or one that never ends to the end of the document.

It gives nothing back that it has taken, for which it would have to keep each character's place, and
no text is looked for within one that never ends, which would take the square of its length.
"""

_CONSTANT: Final = re.compile(rf"{TEXT}|-?Infinity|NaN", re.DOTALL)
_TOKEN: Final = re.compile(rf"{TEXT}|[\[\]{{}}:]", re.DOTALL)


def constant_at(text: str) -> int:
    """Return where a number stands that is none of JSON, such as NaN."""
    return _first(_CONSTANT, text)


def number_at(text: str) -> int:
    """Return where a number of too many digits stands."""
    digits = sys.get_int_max_str_digits() + 1
    return _first(re.compile(rf"{TEXT}|-?(?<!\d)\d{{{digits},}}(?![\d.eE])", re.DOTALL), text)


def _first(pattern: re.Pattern[str], text: str) -> int:
    # Within a text everything is allowed.
    places = (found.start() for found in pattern.finditer(text) if found[0][0] != '"')
    return next(places, 0)


def member_twice_at(text: str) -> int:
    """Return where a member stands whose object has another one of its name before it."""
    # The names of the objects that are open, and the places of each; a list has None.
    open_still: list[dict[str, list[int]] | None] = []
    last: re.Match[str] | None = None
    for found in _TOKEN.finditer(text):
        match found[0]:
            case "{":
                open_still.append({})
            case "[":
                open_still.append(None)
            case ":":
                if last and open_still and open_still[-1] is not None:
                    name = json.loads(last[0], strict=False)
                    open_still[-1].setdefault(name, []).append(last.start())
            case "}" | "]":
                # As the parser, which looks at an object once it is read.
                for places in (open_still.pop() or {}).values():
                    if len(places) > 1:
                        return places[1]
        last = found
    return 0
