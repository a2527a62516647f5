"""What keys and secrets have in common: attributes, tags and names."""

from __future__ import annotations

import re
from typing import Final

import attrs

from keyhier.testing.keyvault.messages import Document, object_of
from keyhier.testing.keyvault.service_error import bad_parameter

__all__ = ["Attributes", "Kind", "checked_name", "read_tags"]

_NAME: Final = re.compile(r"[0-9A-Za-z-]{1,127}")
_MOST_TAGS: Final = 15
# The end of the year 9999, after which no calendar goes on.
_LAST_SECOND: Final = 253_402_300_799


@attrs.frozen
class Kind:
    """What tells keys from secrets.

    Attributes:
        noun: as messages begin with it.
        path: the first part of the paths.
        longest_tag: characters that the name and the value of a tag may have.
    """

    noun: str
    path: str
    longest_tag: int

    @property
    def id_member(self) -> str:
        """The member of a listing that holds the id."""
        return "kid" if self.noun == "Key" else "id"


@attrs.define
class Attributes:
    """The attributes of one version; times are seconds since 1970."""

    created: int
    updated: int
    enabled: bool = True
    not_before: int | None = None
    expires: int | None = None

    @classmethod
    def of(cls, document: Document, now: float) -> Attributes:
        """Read the attributes of a new version from a request's body.

        Raises:
            ServiceError: one is of the wrong type, or the key would never be valid.
        """
        attributes = cls(created=int(now), updated=int(now))
        attributes.update(document, now)
        return attributes

    def update(self, document: Document, now: float) -> None:
        """Replace what a request's body gives, and only that; raises as :meth:`of`."""
        given = object_of(document, "attributes")
        enabled = given.get("enabled", self.enabled)
        not_before = given.get("nbf", self.not_before)
        expires = given.get("exp", self.expires)
        # A boolean is an int for Python, and none for JSON.
        if not isinstance(enabled, bool | None) or not all(
            time is None or (type(time) is int and 0 <= time <= _LAST_SECOND)
            for time in (not_before, expires)
        ):
            raise bad_parameter("An attribute is of the wrong type, or no time.")
        if not_before is not None and expires is not None and not_before >= expires:
            raise bad_parameter("The attribute nbf must be before the attribute exp.")
        self.enabled = True if enabled is None else enabled
        self.not_before, self.expires, self.updated = not_before, expires, int(now)

    def within_validity(self, now: float) -> bool:
        """Tell whether ``now`` is neither before nbf nor at or after exp."""
        return (self.not_before is None or self.not_before <= now) and not self.expired(now)

    def expired(self, now: float) -> bool:
        """Tell whether exp has come."""
        return self.expires is not None and self.expires <= now

    def document(self) -> Document:
        """Return them as every answer shows them."""
        shown: Document = {"enabled": self.enabled}
        if self.not_before is not None:
            shown["nbf"] = self.not_before
        if self.expires is not None:
            shown["exp"] = self.expires
        return shown | {"created": self.created, "updated": self.updated}


def checked_name(name: str) -> str:
    """Return the name of a key or secret.

    Raises:
        ServiceError: it is not 1 to 127 letters, digits and hyphens.
    """
    if not _NAME.fullmatch(name):
        raise bad_parameter(f"The request URI contains an invalid name: {name}")
    return name


def read_tags(given: object, kind: Kind) -> dict[str, str] | None:
    """Read the tags of a request; none given is None.

    Raises:
        ServiceError: there are more than 15, or one is too long or no text.
    """
    if given is None:
        return None
    if not isinstance(given, dict) or not all(isinstance(value, str) for value in given.values()):
        raise bad_parameter("The parameter tags is not an object of strings.")
    if len(given) > _MOST_TAGS:
        raise bad_parameter(f"Too many tags: {len(given)}. At most {_MOST_TAGS} are allowed.")
    if any(len(text) > kind.longest_tag for pair in given.items() for text in pair):
        raise bad_parameter(
            f"The name and the value of a tag may have at most {kind.longest_tag} characters."
        )
    return dict(given)
