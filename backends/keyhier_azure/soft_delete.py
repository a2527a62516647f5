"""Deleting, recovering and purging, which keys and secrets have in common.

Each is accepted at once and done a while later; here it is waited for, so that what follows meets
the state that it was told of (https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import attrs

from keyhier.errors import (
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    UnavailableError,
)
from keyhier.identifiers import check_key_name
from keyhier_azure.connection import Answer, Calls, Request
from keyhier_azure.errors import is_passing
from keyhier_azure.keys import UNREADABLE
from keyhier_azure.rights import Right

__all__ = ["KEYS", "SECRETS", "Kind", "SoftDelete", "names_of", "send_once_settled", "versions_of"]

_WAITS: Final = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, *[2.0] * 60)
"""Seconds between one look and the next: two minutes in all."""

_NOT_FOUND: Final = 404
_FORBIDDEN: Final = 403
_OK: Final = 200


@attrs.frozen
class Kind:
    """Keys or secrets.

    Attributes:
        noun: one of them, for messages.
        live, deleted: the first part of their paths.
        id_member: the member of a listing that holds the id.
        get, list_, delete, recover, purge: what each needs.
    """

    noun: str
    live: str
    deleted: str
    id_member: str
    get: Right
    list_: Right
    delete: Right
    recover: Right
    purge: Right


KEYS: Final = Kind(
    "key",
    "keys",
    "deletedkeys",
    "kid",
    Right.GET_KEY,
    Right.LIST_KEYS,
    Right.DELETE_KEY,
    Right.RECOVER_KEY,
    Right.PURGE_KEY,
)
SECRETS: Final = Kind(
    "secret",
    "secrets",
    "deletedsecrets",
    "id",
    Right.GET_SECRET,
    Right.LIST_SECRETS,
    Right.DELETE_SECRET,
    Right.RECOVER_SECRET,
    Right.PURGE_SECRET,
)


class SoftDelete:
    """One operation on what is deleted or shall be."""

    def __init__(self, calls: Calls, kind: Kind) -> None:
        self._calls = calls
        self._kind = kind

    def delete(self, name: str) -> None:
        """Delete an object and wait until it is deleted.

        Raises:
            NotFoundError: there is none, or it is deleted already.
        """
        kind = self._kind
        self._change("DELETE", f"/{kind.live}/{name}", kind.delete)
        self._wait(kind.deleted, name, _OK, "deleted")

    def recover(self, name: str) -> None:
        """Bring a soft-deleted object back and wait until it is there.

        Raises:
            NotFoundError: no soft-deleted object has that name.
        """
        kind = self._kind
        self._change("POST", f"/{kind.deleted}/{name}/recover", kind.recover)
        self._wait(kind.live, name, _OK, "recovered")

    def purge(self, name: str) -> None:
        """Destroy a soft-deleted object and wait until its name is free.

        Raises:
            NotFoundError: no soft-deleted object has that name.
        """
        kind = self._kind
        self._change("DELETE", f"/{kind.deleted}/{name}", kind.purge)
        self._wait(kind.deleted, name, _NOT_FOUND, "purged")

    def names(self) -> Iterator[str]:
        """Return the names of what is soft-deleted, in order."""
        kind = self._kind
        return iter(names_of(self._calls.pages(f"/{kind.deleted}", kind.list_), kind))

    def missing(self, name: str, not_found: KeyhierError) -> KeyhierError:
        """Say of something that was not found whether it is soft-deleted."""
        kind = self._kind
        answer = self._look(kind.deleted, name)
        if answer.status != _OK:
            return not_found
        return InvalidStateError(
            f"the {kind.noun} {name!r} is soft-deleted",
            native=not_found.native,
            remedy="recover it, or purge it for ever, and its name is free",
        )

    def _look(self, collection: str, name: str) -> Answer:
        return self._calls.send(Request("GET", f"/{collection}/{name}", self._kind.get))

    def _change(self, method: str, path: str, right: Right) -> None:
        # Done twice, it would be told as missing the second time.
        self._calls.send(Request(method, path, right, repeatable=False)).content()

    def _wait(self, collection: str, name: str, until: int, what: str) -> None:
        for seconds in _WAITS:
            # Who may delete need not be one who may look, and what is disabled is there.
            if self._look(collection, name).status in (until, _FORBIDDEN):
                return
            if not self._calls.pause(seconds):
                break
        raise UnavailableError(
            f"the vault has not {what} the {self._kind.noun} {name!r} yet",
            remedy="it was accepted; look again in a while",
        )


def send_once_settled(calls: Calls, request: Request) -> Answer:
    """Send what needs a free name, again while what has it is on its way out or back."""
    answer = calls.send(request)
    for seconds in _WAITS:
        if not is_passing(answer.body) or not calls.pause(seconds):
            break
        answer = calls.send(request)
    return answer


def names_of(items: Iterable[Mapping[str, Any]], kind: Kind) -> list[str]:
    """Return the names in a list of keys or secrets, sorted.

    Raises:
        IntegrityError: it is no such list.
    """
    return sorted({name for name, _ in _ids(items, kind)})


def versions_of(items: Iterable[Mapping[str, Any]], kind: Kind) -> list[str]:
    """Return the versions in a list of versions, as they come; raises as :func:`names_of`."""
    return [version for _, version in _ids(items, kind)]


def _ids(items: Iterable[Mapping[str, Any]], kind: Kind) -> Iterator[tuple[str, str]]:
    try:
        for item in items:
            # They become parts of paths.
            _, _, _, _, name, *version = item[kind.id_member].split("/")
            yield check_key_name(name), check_key_name(version[0]) if version else ""
    except (*UNREADABLE, InvalidInputError) as error:
        raise IntegrityError(f"the vault's list of {kind.live} cannot be read") from error
