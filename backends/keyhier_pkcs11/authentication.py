"""Logging in to a token: when a PIN is wanted, what it is compared with, and who is told.

A PIN is given to the token once. What the token refused is not tried again, because an HSM locks
after a few tries; what it accepted is recognised, since a token that is logged in checks none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pkcs11.constants import TokenFlag
from pkcs11.exceptions import PKCS11Error, UserAlreadyLoggedIn
from pkcs11.types import PROTECTED_AUTH

from keyhier.errors import AuthenticationError, InvalidStateError
from keyhier_pkcs11.errors import native, translated
from keyhier_pkcs11.pins import PIN_ERRORS, PinCheck, RefusedPins
from keyhier_pkcs11.token import patiently

if TYPE_CHECKING:
    from pkcs11.types import Session, Token

    from keyhier.pin import PinSource
    from keyhier.secret import SecretBytes

__all__ = ["Authentication", "has_keypad", "reading_pin"]


def has_keypad(token: Token) -> bool:
    """Whether the token asks for the PIN by itself, with a keypad of its own."""
    return TokenFlag.PROTECTED_AUTHENTICATION_PATH in token.flags


@contextmanager
def reading_pin(token: Token, pin: PinSource) -> Iterator[SecretBytes | None]:
    """Read the PIN where the token wants one here, and wipe it afterwards."""
    if has_keypad(token) or not (TokenFlag.LOGIN_REQUIRED in token.flags or pin.given):
        yield None
        return
    with pin.read(f"token {token.label!r}") as secret:
        yield secret


class Authentication:
    """What this process knows of one token's PIN, without keeping it."""

    def __init__(self) -> None:
        self._accepted: PinCheck | None = None
        self._refused = RefusedPins()

    def forget(self) -> None:
        """Forget the PIN that was accepted: nobody is logged in any more."""
        self._accepted = None

    def check(self, token: Token, pin: SecretBytes) -> None:
        """Compare a PIN with the one that is logged in, without asking the token.

        Raises:
            AuthenticationError: it is another.
            InvalidStateError: the token is open without a PIN.
        """
        if self._accepted is None:
            raise InvalidStateError(
                f"token {token.label!r} is open in this process without a PIN",
                remedy="close the other vault first, or open this one without pin-source",
            )
        if not self._accepted.accepts(pin):
            raise AuthenticationError(
                f"the PIN for token {token.label!r} is not the one this process is logged in with"
            )

    def require_untried(self, token: Token, pin: SecretBytes | None) -> None:
        """Raise where the token has refused the PIN before.

        Raises:
            AuthenticationError: it has.
        """
        if pin is not None and self._refused.holds(pin):
            raise AuthenticationError(
                f"token {token.label!r} has refused this PIN before, and it is not tried "
                "again, because an HSM locks after a few tries",
                remedy="correct the PIN at its source",
            )

    def open_anchor(self, token: Token, pin: SecretBytes | None, *, again: bool) -> Session:
        """Open a session and log in with it.

        Args:
            pin: the PIN; None where none is wanted here.
            again: whether this process has been logged in to the token and is still to be.

        Raises:
            AuthenticationError: the token does not accept the PIN.
            UnavailableError: it cannot be reached.
        """
        what = f"token {token.label!r}"
        try:
            if has_keypad(token):
                return token.open(user_pin=PROTECTED_AUTH)
            if pin is not None:
                # What is tried again is no refusal of the PIN, which would count against it.
                return patiently(lambda: token.open(user_pin=pin.reveal().decode()))
            return patiently(token.open)
        except UserAlreadyLoggedIn as error:
            if again and (pin is None or (self._accepted and self._accepted.accepts(pin))):
                # The login outlived the session that was lost.
                return patiently(token.open)
            raise AuthenticationError(
                f"other code of this process is logged in to {what}, so no PIN can be checked",
                native=native("C_Login", error),
            ) from error
        except PIN_ERRORS as error:
            if pin is not None:
                self._refused.add(pin)
            raise AuthenticationError(
                f"{what} does not accept the PIN",
                native=native("C_Login", error),
                remedy="check it before the next try: an HSM locks after a few",
            ) from error
        except PKCS11Error as error:
            raise translated(error, _failing(token), f"logging in to {what}") from error

    def accept(self, pin: SecretBytes | None) -> None:
        """Remember what the token accepted, and forget what it refused before."""
        if pin is not None and not (self._accepted and self._accepted.accepts(pin)):
            self._accepted = PinCheck.of(pin)
        self._refused.clear()


def _failing(token: Token) -> str:
    """Say which call fails of the two that python-pkcs11 makes as one."""
    try:
        token.open().close()
    except PKCS11Error:
        return "C_OpenSession"
    return "C_Login"
