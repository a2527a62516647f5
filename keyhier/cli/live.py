"""Live resources for a command: fetched by the backend of Azure, read as documents."""

from __future__ import annotations

from collections.abc import Sequence

from keyhier.errors import UnsupportedError
from keyhier.live import FetchResources, SupportsResources
from keyhier.placement.documents import Documents, Trouble
from keyhier.placement.model import Origin
from keyhier.placement.resources import Document
from keyhier.registry import backend_for

__all__ = ["read_live"]


def read_live(ids: Sequence[str], endpoint: str | None) -> Documents:
    """Fetch resources, and the disks, sets, vaults and instances that they name or have.

    What is not there or may not be read is a trouble, and does not keep the others from being read.

    Args:
        ids: ARM ids.
        endpoint: another Azure Resource Manager, with the options of a vault's URI; None for
            Azure's own.

    Raises:
        InvalidInputError: what was given is no id, or the endpoint is none.
        AuthenticationError, ThrottledError, UnavailableError: Azure cannot be asked.
        UnsupportedError: the backend of Azure is not installed.
    """
    backend = backend_for("https")
    if not isinstance(backend, SupportsResources):
        raise UnsupportedError("the backend for https: fetches no resources")
    found: list[Document] = []
    troubles: list[Trouble] = []
    for each in backend.resources(FetchResources(tuple(ids), endpoint)):
        origin = Origin(each.id)
        if each.document is None:
            troubles.append(Trouble(f"it cannot be read: {each.reason}", origin, is_error=False))
        else:
            found.append((each.document, origin))
    return Documents(tuple(found), tuple(troubles))
