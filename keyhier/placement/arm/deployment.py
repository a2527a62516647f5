"""Where a template is deployed to, and what is wrong with it."""

from __future__ import annotations

from typing import Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.placement.arm_id import own_group, own_subscription
from keyhier.placement.hidden import is_hidden
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = ["Deployment", "Problem", "Problems", "TooMuchError"]

_MAX_VALUES: Final = 2_000_000


class TooMuchError(InvalidInputError):
    """A template unfolds to more than anybody deploys."""


@attrs.frozen
class Deployment:
    """What is known of where a template is deployed to.

    Attributes:
        name: tells it from others whose subscription is not known either.
        subscription: the subscription's id.
        resource_group: the resource group's name.
        location: the region of the resource group.
        tenant: the id of the directory.
    """

    name: str
    subscription: Maybe[str] = UNKNOWN
    resource_group: Maybe[str] = UNKNOWN
    location: Maybe[str] = UNKNOWN
    tenant: Maybe[str] = UNKNOWN

    @property
    def subscription_id(self) -> str:
        """The subscription's id, or what stands for it."""
        known = self.subscription
        return own_subscription(self.name) if isinstance(known, Unknown) else known

    @property
    def group_name(self) -> str:
        """The resource group's name, or what stands for it."""
        known = self.resource_group
        return own_group(self.name) if isinstance(known, Unknown) else known


@attrs.frozen
class Problem:
    """Something in a document that is wrong, or that is not told.

    Attributes:
        pointer: its place (RFC 6901).
        text: one sentence without a full stop.
        is_error: whether a deployment would fail; what keyhier only does not know is none.
    """

    pointer: str
    text: str
    is_error: bool = True


@attrs.define
class Problems:
    """The problems of one document, each once, and how much was evaluated."""

    found: dict[Problem, None] = attrs.field(factory=dict)
    values: int = 0

    def add(self, pointer: str, text: str, *, is_error: bool = True) -> Unknown:
        """Tell a problem; the value that has it is unknown.

        What is wrong with a secret is not told, for that could tell the secret.
        """
        if is_hidden(pointer):
            text = "what stands here cannot be evaluated, and is not shown"
        self.found[Problem(pointer, text, is_error)] = None
        return UNKNOWN

    def count(self) -> None:
        """Count one more value.

        Raises:
            TooMuchError: there were too many.
        """
        self.values += 1
        if self.values > _MAX_VALUES:
            raise TooMuchError(f"the template unfolds to more than {_MAX_VALUES} values")
