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
    """python-pkcs11's search, which prints a traceback when one that did not begin is let go."""

    begun = False

    def __enter__(self) -> Self:
        super().__enter__()
        self.begun = True
        return self

    def _finalize(self, silent: bool = False) -> None:  # noqa: FBT001, FBT002  # As it is called.
        if self.begun:
            super()._finalize(silent=silent)
        else:
            with suppress(PKCS11Error):
                super()._finalize(silent=silent)


def search(session: Session, template: Template) -> list[Object]:
    """Return all objects with these attributes.

    A list, because a search that is read half keeps the session busy.
    """
    with _Search(session, template, _BATCH) as batches:
        return [found for batch in batches for found in batch]
