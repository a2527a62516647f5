"""Rotation policies as the service writes them.

``{"lifetimeActions": [{"trigger": {…}, "action": {"type": …}}], "attributes": {"expiryTime": …}}``:
https://learn.microsoft.com/azure/key-vault/keys/how-to-configure-key-rotation
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from keyhier.errors import IntegrityError, InvalidInputError
from keyhier.rotation_policy import RotationPolicy

__all__ = ["expiry", "read", "write"]

_ACTIONS: Final = {
    "rotate_after": ("Rotate", "timeAfterCreate"),
    "rotate_before_expiry": ("Rotate", "timeBeforeExpiry"),
    "notify_before_expiry": ("Notify", "timeBeforeExpiry"),
}
_PART: Final = re.compile(r"([0-9]+)([YMD])")
_MONTHS: Final = 12


def write(policy: RotationPolicy) -> dict[str, Any]:
    """Return the body that sets ``policy``."""
    actions = [
        {"action": {"type": kind}, "trigger": {trigger: getattr(policy, name)}}
        for name, (kind, trigger) in _ACTIONS.items()
        if getattr(policy, name) is not None
    ]
    attributes = {"expiryTime": policy.expires_after} if policy.expires_after else {}
    return {"lifetimeActions": actions, "attributes": attributes}


def read(body: Mapping[str, Any]) -> RotationPolicy:
    """Return the policy that the service tells.

    Raises:
        IntegrityError: it cannot be read.
    """
    try:
        # The case of an action is another in the answer than in the request.
        told = {
            (action["action"]["type"].title(), trigger): duration
            for action in body.get("lifetimeActions") or ()
            for trigger, duration in action["trigger"].items()
            if duration is not None
        }
        durations = {name: told[kind] for name, kind in _ACTIONS.items() if kind in told}
        expiry = (body.get("attributes") or {}).get("expiryTime")
        return RotationPolicy(**durations, expires_after=expiry)
    except (AttributeError, KeyError, TypeError, InvalidInputError) as error:
        raise IntegrityError("the vault's rotation policy cannot be read") from error


def expiry(policy: RotationPolicy, made: datetime) -> datetime | None:
    """Return when a version expires that a rotation makes at a moment, or None for never."""
    if policy.expires_after is None:
        return None
    parts = {unit: int(number) for number, unit in _PART.findall(policy.expires_after)}
    months = made.month - 1 + parts.get("M", 0)
    year = made.year + parts.get("Y", 0) + months // _MONTHS
    month = months % _MONTHS + 1
    day = min(made.day, calendar.monthrange(year, month)[1])
    return made.replace(year=year, month=month, day=day) + timedelta(days=parts.get("D", 0))
