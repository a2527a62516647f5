"""Rotation policies: when a key gets a new version by itself, and when that version expires."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

import attrs

from keyhier.testing.keyvault.messages import Document, object_of
from keyhier.testing.keyvault.service_error import bad_parameter

__all__ = ["Duration", "Policy"]

_DURATION: Final = re.compile(
    r"P(?=\d)(?:(\d{1,3})Y)?(?:(\d{1,3})M)?(?:(\d{1,3})W)?(?:(\d{1,3})D)?"
)
_NOTIFY: Final[Document] = {"trigger": {"timeBeforeExpiry": "P30D"}, "action": {"type": "Notify"}}
_TRIGGERS: Final = frozenset({"timeAfterCreate", "timeBeforeExpiry"})


@attrs.frozen
class Duration:
    """A duration of ISO 8601 in years, months, weeks and days, up to 999 of each."""

    text: str
    months: int
    days: int

    @classmethod
    def parse(cls, text: object) -> Duration:
        """Read a duration such as ``P90D``.

        Raises:
            ServiceError: it is none.
        """
        match = _DURATION.fullmatch(text) if isinstance(text, str) else None
        if not isinstance(text, str) or match is None:
            raise bad_parameter(f"The value {text} is not an ISO 8601 duration.")
        years, months, weeks, days = (int(part or 0) for part in match.groups())
        return cls(text, 12 * years + months, 7 * weeks + days)

    def after(self, moment: float, *, sign: int = 1) -> float:
        """Return the time this much after ``moment``, or before it where ``sign`` is -1."""
        start = datetime.fromtimestamp(moment, UTC)
        years, month = divmod(start.month - 1 + sign * self.months, 12)
        # The last of a month is at most the 28th here, as every month has one.
        day = start.day if self.months == 0 else min(start.day, 28)
        moved = start.replace(year=start.year + years, month=month + 1, day=day)
        return (moved + sign * timedelta(days=self.days)).timestamp()

    @property
    def least_days(self) -> int:
        """How many days it has at least, whatever its months are."""
        return 28 * self.months + self.days

    @property
    def most_days(self) -> int:
        """How many days it has at most."""
        return 31 * self.months + self.days


@attrs.define
class Policy:
    """The rotation policy of a key.

    Attributes:
        actions: the ``lifetimeActions``, as the service shows them.
        expiry: how long each new version is valid, or None for ever.
        created, updated: in seconds since 1970, or None for the policy that every key begins with.
    """

    actions: list[Document] = attrs.field(factory=lambda: [_NOTIFY])
    expiry: Duration | None = None
    created: int | None = None
    updated: int | None = None

    @classmethod
    def read(cls, document: Document, least_days: int, now: float) -> Policy:
        """Read a policy.

        Args:
            document: the body of a request.
            least_days: what every duration has at least.
            now: seconds since 1970.

        Raises:
            ServiceError: it is none.
        """
        text = object_of(document, "attributes").get("expiryTime")
        expiry = None if text is None else _checked(text, least_days)
        given = document.get("lifetimeActions") or []
        if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
            raise bad_parameter("The parameter lifetimeActions is not a list of objects.")
        actions = [_action(each, least_days, expiry) for each in given]
        types = [action["action"]["type"] for action in actions]
        if len(set(types)) < len(types):
            raise bad_parameter("A rotation policy has at most one action of each type.")
        if "Notify" not in types:
            actions.append(_NOTIFY)
        return cls(actions, expiry, int(now), int(now))

    def due(self, created: int, expires: int | None) -> float | None:
        """Return when the version with these times is followed by a new one, or None."""
        for action in self.actions:
            if action["action"]["type"] != "Rotate":
                continue
            ((trigger, text),) = action["trigger"].items()
            duration = Duration.parse(text)
            if trigger == "timeAfterCreate":
                return duration.after(created)
            if expires is not None:
                return duration.after(expires, sign=-1)
        return None

    def expires(self, created: float) -> int | None:
        """Return the expiry of a version that is made at ``created``."""
        return None if self.expiry is None else int(self.expiry.after(created))

    def document(self, url: str) -> Document:
        """Return the policy as the service shows it."""
        attributes: Document = {}
        if self.expiry is not None:
            attributes["expiryTime"] = self.expiry.text
        if self.created is not None:
            attributes |= {"created": self.created, "updated": self.updated}
        return {"id": url, "lifetimeActions": self.actions, "attributes": attributes}


def _checked(text: object, least_days: int) -> Duration:
    duration = Duration.parse(text)
    if duration.least_days < least_days:
        raise bad_parameter(f"The duration {text} is too short: at least {least_days} days.")
    return duration


def _action(given: Document, least_days: int, expiry: Duration | None) -> Document:
    kind = str(object_of(given, "action").get("type")).capitalize()
    triggers = {
        name: value for name, value in object_of(given, "trigger").items() if value is not None
    }
    if kind not in {"Rotate", "Notify"} or len(triggers) != 1 or not triggers.keys() <= _TRIGGERS:
        raise bad_parameter(
            "An action of a rotation policy has a type, Rotate or Notify, and one trigger, "
            "timeAfterCreate or timeBeforeExpiry."
        )
    ((trigger, text),) = triggers.items()
    duration = _checked(text, least_days)
    # A new version that were due at once would be followed by another for ever.
    if (
        kind == "Rotate"
        and trigger == "timeBeforeExpiry"
        and (expiry is None or expiry.least_days <= duration.most_days)
    ):
        raise bad_parameter("The trigger timeBeforeExpiry needs an expiryTime that is longer.")
    return {"trigger": {trigger: text}, "action": {"type": kind}}
