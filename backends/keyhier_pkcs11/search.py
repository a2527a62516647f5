"""Searching for objects, read to the end and quiet when it fails."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, Self

from pkcs11 import _pkcs11
from pkcs11.exceptions import PKCS11Error

if TYPE_CHECKING:
    from pkcs11.types import Object, Session

    from keyhier_pkcs11.templates import Template

__all__ = ["search"]

_BATCH: Final = 32


class _Search(
    _pkcs11.SearchIter,  # type: ignore[misc,name-defined]  # Missing in python-pkcs11's stubs.
):
    """python-pkcs11's search, ended at once also where it did not begin.

    Else it would be ended when it is let go, perhaps by another thread, which may not, or in
    another login, where its session's number may mean another session.
    """

    def __enter__(self) -> Self:
        try:
            super().__enter__()
        except PKCS11Error:
            with suppress(PKCS11Error):
                self._finalize()
            raise
        return self


def search(session: Session, template: Template) -> list[Object]:
    """Return all objects with these attributes.

    A list, because a search that is read half keeps the session busy.
    """
    with _Search(session, template, _BATCH) as batches:
        return [found for batch in batches for found in batch]
