"""Live resources: what a backend implements that can describe the resources of its cloud."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

import attrs

__all__ = ["FetchResources", "LiveResource", "SupportsResources"]


@attrs.frozen
class FetchResources:
    """Which resources of a cloud to fetch.

    Attributes:
        ids: what the cloud calls them: in Azure, ARM ids.
        endpoint: another resource manager than the cloud's own, as a URI like a vault's; or None.
        credential: what gives tokens, or None for the environment's.
    """

    ids: tuple[str, ...]
    endpoint: str | None = None
    credential: object | None = attrs.field(default=None, repr=False)


@attrs.frozen
class LiveResource:
    """A resource as the cloud described it, or why it did not.

    Attributes:
        id: what it is called.
        document: the description, or None.
        reason: why there is none, one sentence without a full stop.
    """

    id: str
    document: Mapping[str, object] | None
    reason: str = ""


@runtime_checkable
class SupportsResources(Protocol):
    """A :class:`~keyhier.driver.Backend` that can describe what else is in its cloud."""

    def resources(self, request: FetchResources) -> Iterable[LiveResource]:
        """Yield the resources, and the disks, sets, vaults and instances that they name or have.

        One that is not there, or may not be read, is yielded without a document, and the others
        are fetched all the same.

        Raises:
            InvalidInputError: an id is none, or the endpoint is none.
            AuthenticationError: no token could be had, or it was not accepted.
            ThrottledError, UnavailableError: the cloud cannot be asked.
            UnsupportedError: a package that the backend needs is not installed.
        """
        ...
