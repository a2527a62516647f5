"""The errors of keyhier: one small tree, a closed set.

::

    KeyhierError
    ├── NotFoundError          no such vault, token, key, version or file
    ├── AlreadyExistsError     the name is taken
    ├── ConflictError          somebody else changed it first
    ├── AccessDeniedError      the vault knows who is asking, and refuses
    ├── AuthenticationError    the vault does not accept the PIN, token or passphrase
    ├── InvalidInputError      what was given is malformed, whatever the vault holds
    ├── InvalidStateError      the key or vault is disabled, deleted, closed or wiped
    ├── UnsupportedError       this vault, token or key cannot do that
    ├── AmbiguousError         more than one thing answers to that name
    ├── CapacityError          too much for the key or the format
    ├── UnwrapError            the wrapped key did not open; nothing is said about why
    ├── IntegrityError         what is stored contradicts itself
    ├── ThrottledError         the vault asks to slow down
    ├── UnavailableError       the vault cannot be reached, or failed
    └── PlacementError         a thing is where the rules do not allow it

An error carries, where there is one, the *native* call and code that failed
(``C_GenerateKey: CKR_DEVICE_ERROR``) and a *remedy*: what to do next. No error
carries a secret, a PIN or a token. Errors can be pickled, so that they survive
the way back from a worker process.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "AmbiguousError",
    "AuthenticationError",
    "CapacityError",
    "ConflictError",
    "IntegrityError",
    "InvalidInputError",
    "InvalidStateError",
    "KeyhierError",
    "NotFoundError",
    "PlacementError",
    "ThrottledError",
    "UnavailableError",
    "UnsupportedError",
    "UnwrapError",
]


class KeyhierError(Exception):
    """The root of every error that keyhier raises.

    Attributes:
        message: one sentence, without a full stop.
        native: the native call and code, such as ``C_Login: CKR_PIN_INCORRECT``, or None.
        remedy: what to do next, or None.
    """

    def __init__(
        self, message: str, *, native: str | None = None, remedy: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.native = native
        self.remedy = remedy

    def _statement(self) -> str:
        return self.message

    def __str__(self) -> str:
        text = self._statement()
        if self.native:
            text += f" ({self.native})"
        if self.remedy:
            text += f"; {self.remedy}"
        return text


class NotFoundError(KeyhierError):
    """There is no such vault, token, key, version or file."""


class AlreadyExistsError(KeyhierError):
    """The name is taken."""


class ConflictError(KeyhierError):
    """Somebody else changed it between the look and the change."""


class AccessDeniedError(KeyhierError):
    """The vault knows who is asking, and refuses."""


class AuthenticationError(KeyhierError):
    """The vault does not accept the PIN, token or passphrase, or none was given."""


class InvalidInputError(KeyhierError):
    """What was given is malformed, whatever the vault holds."""


class InvalidStateError(KeyhierError):
    """The key, secret or vault is disabled, deleted, closed or wiped."""


class UnsupportedError(KeyhierError):
    """This vault, token or key cannot do what was asked; the message names what is missing."""


class AmbiguousError(KeyhierError):
    """More than one thing answers to what was given.

    Attributes:
        candidates: a description of each thing that answers to it.
    """

    def __init__(
        self,
        message: str,
        *,
        candidates: Iterable[str] = (),
        native: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, native=native, remedy=remedy)
        self.candidates = tuple(candidates)

    def _statement(self) -> str:
        return f"{self.message}: {', '.join(self.candidates)}" if self.candidates else self.message


class CapacityError(KeyhierError):
    """Too much for the key, the envelope or the number of uses that a key allows."""


class UnwrapError(KeyhierError):
    """The wrapped key did not open. By design it says nothing about why (promise 3)."""

    def __init__(self) -> None:
        super().__init__(
            "the wrapped key did not open",
            remedy="`keyhier inspect` shows the key version and the context it was made for",
        )
        # Unpickling calls the class with `args`, and this class takes none.
        self.args = ()


class IntegrityError(KeyhierError):
    """What is stored contradicts itself, such as a public key that is not the private key's."""


class ThrottledError(KeyhierError):
    """The vault asks to slow down.

    Attributes:
        retry_after: seconds to wait before the next try, or None where the vault did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        native: str | None = None,
        remedy: str | None = None,
    ) -> None:
        super().__init__(message, native=native, remedy=remedy)
        self.retry_after = retry_after


class UnavailableError(KeyhierError):
    """The vault cannot be reached, or failed in a way that a later try may not meet."""


class PlacementError(KeyhierError):
    """A key or a disk is, or would be, where the rules do not allow it."""
