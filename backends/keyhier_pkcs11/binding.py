"""Key handles, bound to whatever session does the next operation.

python-pkcs11 ties a key object to the session that found it and builds a new class for each,
with several calls to the token. A handle is good in every session of the login (PKCS#11 v3.1,
section 5.7), so the operations of python-pkcs11 are lent to a bare session and handle instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from pkcs11 import _pkcs11

if TYPE_CHECKING:
    from pkcs11.types import Object, Session

__all__ = ["BoundKey", "handle_of"]


class BoundKey(
    _pkcs11.EncryptMixin,  # type: ignore[misc,name-defined]  # Missing in python-pkcs11's stubs.
    _pkcs11.DecryptMixin,  # type: ignore[misc,name-defined]  # The same.
    _pkcs11.WrapMixin,  # type: ignore[misc,name-defined]  # The same.
    _pkcs11.UnwrapMixin,  # type: ignore[misc,name-defined]  # The same.
):
    """A key of the token in one session, with python-pkcs11's ``encrypt``, ``wrap_key``, ….

    Whether the key may do what is asked is for the token to say.
    """

    # python-pkcs11's operations read these three; as class attributes they hide its properties.
    session: Any = None
    handle: int = 0
    # It only chooses a default mechanism, and every call here names one.
    key_type: Any = None

    def __init__(self, session: Session, handle: int) -> None:
        self.session = session
        self.handle = handle


def handle_of(found: Object) -> int:
    """Return the handle of an object that python-pkcs11 found or made."""
    # Only objects that are no more than a template in memory have none.
    return cast("int", found.handle)
