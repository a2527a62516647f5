"""ArmId: the id of a resource in Azure, taken apart and compared without case.

``/subscriptions/{id}/resourceGroups/{group}/providers/{namespace}/{type}/{name}``, with more pairs
of type and name for what lies inside another resource
(https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules).
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final

import attrs

from keyhier.errors import InvalidInputError

__all__ = ["ArmId", "is_deployments_own", "own_group", "own_subscription"]

# No subscription and no group has such a name, and two of one deployment are the same.
_OWN: Final = "{the deployment's own "

_MAX_CHARACTERS: Final = 2048
_WORDS: Final = ["subscriptions", "resourcegroups", "providers"]
_FORM: Final = "/subscriptions/…/resourceGroups/…/providers/NAMESPACE/TYPE/NAME"


def own_subscription(deployment: str) -> str:
    """Return what stands for the subscription that a template is deployed to, as nobody knows it.

    Ids that are made with it are found again within the deployment, and rules that compare
    subscriptions take it for unknown.
    """
    return f"{_OWN}subscription: {_short(deployment)}}}"


def own_group(deployment: str) -> str:
    """Return what stands for the resource group that a template is deployed to."""
    return f"{_OWN}group: {_short(deployment)}}}"


def _short(deployment: str) -> str:
    return hashlib.sha256(deployment.encode(errors="surrogatepass")).hexdigest()[:16]


def is_deployments_own(text: str) -> bool:
    """Whether a text holds what stands for a subscription or a group that nobody knows."""
    return _OWN in text


@attrs.frozen(cache_hash=True, order=False)
class ArmId:
    """A resource's id. Two spellings of one id are equal.

    Attributes:
        subscription: the subscription's id, as it was written.
        resource_group: the resource group's name.
        type: the namespace and the types: ``Microsoft.Compute/disks``.
        names: the name for each type; the last is the resource's own.
    """

    subscription: str = attrs.field(eq=str.casefold)
    resource_group: str = attrs.field(eq=str.casefold)
    type: str = attrs.field(eq=str.casefold)
    names: tuple[str, ...] = attrs.field(eq=lambda names: tuple(map(str.casefold, names)))

    @classmethod
    def parse(cls, text: str) -> ArmId:
        """Read a resource's id.

        Raises:
            InvalidInputError: it is none; the message says which part is missing.
        """
        if not isinstance(text, str) or len(text) > _MAX_CHARACTERS:
            raise InvalidInputError(f"a resource's id has at most {_MAX_CHARACTERS} characters")
        return _read(text)

    def __str__(self) -> str:
        namespace, *types = self.type.split("/")
        pairs = (f"{kind}/{name}" for kind, name in zip(types, self.names, strict=True))
        return "/".join(
            [
                f"/subscriptions/{self.subscription}/resourceGroups/{self.resource_group}",
                f"providers/{namespace}",
                *pairs,
            ]
        )

    @property
    def is_complete(self) -> bool:
        """Whether subscription and group are known."""
        return not is_deployments_own(f"{self.subscription}/{self.resource_group}")

    @property
    def name(self) -> str:
        """The resource's own name."""
        return self.names[-1]

    def is_a(self, resource_type: str) -> bool:
        """Whether the resource is of this type, such as ``Microsoft.Compute/disks``."""
        return self.type.casefold() == resource_type.casefold()


def _malformed(text: str, what: str) -> InvalidInputError:
    return InvalidInputError(f"{text!r:.300} is no id of a resource: {what}", remedy=_REMEDY)


_REMEDY: Final = f"an id has the form {_FORM}; `az resource show --query id` prints one"


@lru_cache(maxsize=65536)  # One vault or set stands in the documents of many machines.
def _read(text: str) -> ArmId:
    parts = text.removesuffix("/").split("/")
    rest = parts[7:]
    if (
        parts[0]
        or [each.casefold() for each in parts[1:6:2]] != _WORDS
        or not rest
        or len(rest) % 2
        or not all(map(str.strip, parts[1:]))
    ):
        raise _malformed(text, _missing(parts))
    return ArmId(parts[2], parts[4], "/".join([parts[6], *rest[::2]]), tuple(rest[1::2]))


def _missing(parts: list[str]) -> str:
    """Return what is wrong with the parts of what is no id."""
    if parts[0] or len(parts) < 2:
        return "it does not begin with /subscriptions"
    for position, word in ((1, "subscriptions"), (3, "resourceGroups"), (5, "providers")):
        if len(parts) <= position or parts[position].casefold() != word.casefold():
            return f"{word!r} is missing"
        if len(parts) <= position + 1 or not parts[position + 1].strip():
            return f"nothing stands behind {word!r}"
    if len(parts) == 7 or not len(parts) % 2:
        return "type and name do not come in pairs"
    return "a type or a name is empty"
