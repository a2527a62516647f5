"""Choosing the token that a URI means, among those that a module shows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

from pkcs11.exceptions import (
    GeneralError,
    PKCS11Error,
    TokenNotPresent,
    TokenNotRecognised,
    UserPinNotInitialized,
)

from keyhier.errors import AmbiguousError, NotFoundError
from keyhier_pkcs11.errors import native, translated

if TYPE_CHECKING:
    from pkcs11.types import Token

    from keyhier_pkcs11.address import TokenAddress
    from keyhier_pkcs11.module import Module

__all__ = ["choose_token", "find_token", "patiently", "serial_of"]

_T = TypeVar("_T")

_ATTEMPTS: Final = 5
_PAUSE_SECONDS: Final = 0.02


def patiently(call: Callable[[], _T]) -> _T:
    """Call again, a few times, what SoftHSM refuses while another process writes to the token.

    It may even say that no PIN was ever set; then none was compared, so that no attempt is lost.
    """
    for attempt in range(1, _ATTEMPTS):
        try:
            return call()
        except (GeneralError, UserPinNotInitialized):
            time.sleep(_PAUSE_SECONDS * attempt)
    return call()


def choose_token(module: Module, address: TokenAddress) -> Token:
    """Return the one token that ``address`` names.

    Raises:
        NotFoundError: no token answers to it; the message lists those there are.
        AmbiguousError: several do.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        present, unreadable = _tokens(module)
        found = [token for token in present if _matches(token, address.selection)]
        if len(found) == 1:
            return found[0]
        if found or unreadable is None:
            break
        time.sleep(_PAUSE_SECONDS * attempt)
    if found:
        raise AmbiguousError(
            f"more than one token answers to {address}",
            candidates=[_describe(token) for token in found],
            remedy="add serial= to the URI",
        )
    listed = "; ".join(_describe(token) for token in present) or "none"
    raise NotFoundError(
        f"no token answers to {address}; there are: {listed}",
        native=unreadable,
        remedy="`pkcs11-tool --module … --list-token-slots` shows what the module sees",
    )


def find_token(module: Module, address: TokenAddress) -> Token:
    """Return the one token that ``address`` names.

    SoftHSM reads its tokens when it is initialised, and leaves out one that another process logs
    in to at that moment. So a module that was initialised just now is so again, a few times.

    Raises:
        NotFoundError, AmbiguousError: as :func:`choose_token`.
    """
    attempts = _ATTEMPTS if module.fresh and module.finalizes else 1
    module.fresh = False
    for attempt in range(1, attempts):
        try:
            return choose_token(module, address)
        except NotFoundError:
            time.sleep(_PAUSE_SECONDS * attempt)
            module.restart_since(module.era)
    return choose_token(module, address)


def _tokens(module: Module) -> tuple[list[Token], str | None]:
    with module.calls:
        return _tokens_of_slots(module)


def _tokens_of_slots(module: Module) -> tuple[list[Token], str | None]:
    present: list[Token] = []
    unreadable: str | None = None
    try:
        slots = module.get_slots(token_present=True)
    except PKCS11Error as error:
        raise translated(error, "C_GetSlotList", "listing the tokens") from error
    for slot in slots:
        try:
            token = slot.get_token()
        except (TokenNotPresent, TokenNotRecognised):
            continue
        except PKCS11Error as error:
            # One broken token does not hide the others.
            unreadable = native("C_GetTokenInfo", error)
            continue
        # A key's id names its token by the label, which a blank token does not have yet.
        if token.label:
            present.append(token)
    return present, unreadable


def _matches(token: Token, selection: dict[str, str]) -> bool:
    actual = {
        "token": token.label,
        "serial": serial_of(token),
        "manufacturer": token.manufacturer_id,
        "model": token.model,
    }
    return all(actual[name] == wanted for name, wanted in selection.items())


def serial_of(token: Token) -> str:
    """Return the token's serial number as text."""
    return token.serial.decode("utf-8", "replace").rstrip("\0 ")


def _describe(token: Token) -> str:
    return (
        f"token {token.label!r} serial {serial_of(token)!r} manufacturer "
        f"{token.manufacturer_id!r} in slot {token.slot.slot_id}"
    )
