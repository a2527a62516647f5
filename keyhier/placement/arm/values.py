"""The values of ARM's expressions: what they are taken for, compared and shown as."""

from __future__ import annotations

import json
from typing import Any

from keyhier.errors import InvalidInputError
from keyhier.placement.arm_id import is_deployments_own
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = [
    "as_flag",
    "as_list",
    "as_number",
    "as_object",
    "as_text",
    "equal",
    "member",
    "shown_as_text",
    "written",
]


def as_text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInputError("a text belongs here")
    return value


def as_number(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError("a number belongs here")
    return value


def as_flag(value: object) -> bool:
    if isinstance(value, str) and value.casefold() in {"true", "false"}:
        return value.casefold() == "true"
    if not isinstance(value, bool):
        raise InvalidInputError("true or false belongs here")
    return value


def as_list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidInputError("an array belongs here")
    return value


def as_object(value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidInputError("an object belongs here")
    return value


def shown_as_text(value: object) -> Maybe[str]:
    if isinstance(value, Unknown):
        return UNKNOWN
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        return written(value)
    return str(value)


def written(value: object) -> Maybe[str]:
    try:
        return json.dumps(value, separators=(",", ":"))
    except TypeError:
        # Somewhere in it is what is unknown.
        return UNKNOWN


def equal(one: object, other: object) -> Maybe[bool]:
    """Whether two values are equal; texts count with case.

    An id of the deployment itself is equal to itself, and to others as may be.
    """
    if isinstance(one, Unknown) or isinstance(other, Unknown):
        return UNKNOWN
    if one == other and type(one) is type(other):
        return UNKNOWN if isinstance(one, list | dict) and written(one) is UNKNOWN else True
    for each in (one, other):
        shown = shown_as_text(each)
        if isinstance(shown, Unknown) or is_deployments_own(shown):
            return UNKNOWN
    return False


def member(of: object, key: object, *, optional: bool = False) -> object:
    """Return a member of a value, by its name without case, or by its number.

    Raises:
        InvalidInputError: there is none.
    """
    if isinstance(of, Unknown) or isinstance(key, Unknown):
        return UNKNOWN
    if isinstance(of, dict) and isinstance(key, str):
        folded = key.casefold()
        for name, value in of.items():
            if name.casefold() == folded:
                return value
    elif isinstance(of, list) and isinstance(key, int) and 0 <= key < len(of):
        return of[key]
    if optional:
        return None
    raise InvalidInputError(f"there is no member {key!r:.80}")
