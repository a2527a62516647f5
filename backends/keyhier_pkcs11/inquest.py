"""What a failed unwrap died of: what it was given, or the token."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pkcs11.exceptions import PKCS11Error

from keyhier_pkcs11.errors import (
    REJECTED,
    STALE_HANDLE,
    ambiguous,
    clearly_lost,
    lost,
    not_permitted,
)

if TYPE_CHECKING:
    from keyhier.errors import KeyhierError
    from keyhier_pkcs11.session import Connection

__all__ = ["Inquest", "may_be_padding"]


class Inquest:
    """Finds out what a failed unwrap died of: the input, or the token.

    The token is asked for a sign of life after an ambiguous code, and once only for each.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._alive = False

    def lost(self, error: PKCS11Error | KeyhierError) -> bool:
        """Whether the token was lost, after the first attempt."""
        if not isinstance(error, PKCS11Error):
            return lost(error)
        if clearly_lost(error):
            return True
        if not ambiguous(error):
            return False
        self._alive = self._connection.alive()
        return not self._alive

    def is_rejection(self, failure: PKCS11Error) -> bool:
        """Whether the key rejected the bytes, after the last attempt."""
        return isinstance(failure, REJECTED) or (
            ambiguous(failure) and (self._alive or self._connection.alive())
        )


def may_be_padding(failure: PKCS11Error) -> bool:
    """Whether a failed RSA1_5 may have died of its padding, told by the code alone."""
    return not (
        isinstance(failure, STALE_HANDLE) or not_permitted(failure) or clearly_lost(failure)
    ) and (isinstance(failure, REJECTED) or ambiguous(failure))
