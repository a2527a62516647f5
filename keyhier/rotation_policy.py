"""RotationPolicy: when a vault makes a new version of a key by itself."""

from __future__ import annotations

import re
from typing import Final

import attrs

from keyhier.errors import InvalidInputError

__all__ = ["RotationPolicy"]

_DURATION: Final = re.compile(
    r"P(?=[0-9])(?:[0-9]{1,4}Y)?(?:[0-9]{1,4}M)?(?:[0-9]{1,5}D)?", re.ASCII
)


def _is_duration(_: object, attribute: attrs.Attribute[str | None], text: str | None) -> None:
    if text is not None and not (isinstance(text, str) and _DURATION.fullmatch(text)):
        raise InvalidInputError(
            f"{attribute.name} is a duration of ISO 8601 in years, months and days, such as P90D"
        )


@attrs.frozen
class RotationPolicy:
    """When a key gets a new version by itself, and how long its versions are for.

    Durations are ISO 8601's in years, months and days (``P2Y``, ``P18M``, ``P90D``), because a
    month is no fixed number of days. An old version goes on to open what it wrapped.

    Attributes:
        rotate_after: so long after a version was made the next one is made.
        rotate_before_expiry: so long before a version expires the next one is made.
        notify_before_expiry: so long before a version expires the vault says so.
        expires_after: how long a new version may wrap.
    """

    rotate_after: str | None = attrs.field(default=None, validator=_is_duration)
    rotate_before_expiry: str | None = attrs.field(default=None, validator=_is_duration)
    notify_before_expiry: str | None = attrs.field(default=None, validator=_is_duration)
    expires_after: str | None = attrs.field(default=None, validator=_is_duration)

    def __attrs_post_init__(self) -> None:
        if self.rotate_after is not None and self.rotate_before_expiry is not None:
            raise InvalidInputError("a key is rotated after a time or before its expiry, not both")
        if self.rotate_before_expiry is not None and self.expires_after is None:
            raise InvalidInputError("what is rotated before it expires has to expire")
