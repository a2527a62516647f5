"""What an answer of the service, or none, means for keyhier.

Codes: ``{"error": {"code", "message", "innererror": {"code"}}}``, see
https://learn.microsoft.com/azure/key-vault/general/rest-error-codes.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as TimedOut

from keyhier.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    AuthenticationError,
    ConflictError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
    UnsupportedError,
)

if TYPE_CHECKING:
    from keyhier_azure.rights import Right

__all__ = ["Failure", "is_passing", "refused", "retry_after", "unanswered", "unverified"]

Failure = HTTPError | OSError
"""What is raised instead of an answer."""

_CLIENT_ERROR: Final = 400
_SERVER_ERROR: Final = 500

_REQUEST_ID: Final = "x-ms-request-id"
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,80}")
_REASONS: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    408: "Request Timeout",
    409: "Conflict",
    413: "Content Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    502: "Bad Gateway",
    503: "Service Unavailable",
    504: "Gateway Timeout",
}

# The state of a key or a secret, and no matter of who asks.
_STATES: Final = {
    "KeyDisabled": "the key version is disabled",
    "SecretDisabled": "the secret version is disabled",
    "KeyNotYetValid": "the key version is not valid yet",
    "KeyExpired": "the key version has expired",
    "SecretNotYetValid": "the secret version is not valid yet",
    "SecretExpired": "the secret version has expired",
}
_DELETED: Final = "ObjectIsDeletedButRecoverable"
_PASSING: Final = {
    "ObjectIsBeingDeleted": "is being deleted",
    "ObjectIsBeingRecovered": "is being recovered",
}


def refused(
    request: str, status: int, body: object, headers: Mapping[str, str], right: Right
) -> KeyhierError:
    """Return the error for an answer whose status is 400 or above.

    Args:
        request: the method and the path.
        status: the HTTP status.
        body: the decoded body, of whatever form.
        headers: the answer's headers.
        right: what the request needed.
    """
    code, inner = _codes(body)
    native = _native(request, status, inner or code, headers.get(_REQUEST_ID))
    match status:
        case 401:
            return AuthenticationError(
                "the vault does not accept the token, or got none",
                native=native,
                remedy="see whether the credential is of the vault's tenant",
            )
        case 403:
            return _forbidden(inner, native, right)
        case 404:
            return NotFoundError("the vault has nothing of that name or version", native=native)
        case 409:
            return _conflict(inner, native)
        case 429:
            return ThrottledError(
                "the vault asks to slow down",
                retry_after=retry_after(headers),
                native=native,
                remedy="the vault's limits are for everybody who uses it; spread the work",
            )
        case 405:
            return UnsupportedError("this kind of vault cannot do that", native=native)
        case _ if status < _CLIENT_ERROR:
            return UnavailableError("the vault's answer is a redirection", native=native)
        case _ if status < _SERVER_ERROR:
            return InvalidInputError("the vault refuses what it was given", native=native)
        case _:
            return UnavailableError("the vault failed", native=native, remedy="try again")


def is_passing(body: object) -> bool:
    """Whether the name is taken only until something ends that the vault does just now."""
    return _codes(body)[1] in _PASSING


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a 429 asks to wait, or None where it does not say."""
    text = headers.get("Retry-After", "")
    return float(text) if text.isascii() and text.isdigit() else None


def _forbidden(inner: str, native: str, right: Right) -> KeyhierError:
    if inner in _STATES:
        return InvalidStateError(_STATES[inner], native=native)
    if inner == "KeyOperationForbidden":
        return UnsupportedError(
            f"the key is not made for that: {right.permission!r} is not among its operations",
            native=native,
        )
    if inner == "ForbiddenByFirewall":
        return AccessDeniedError(
            "the vault's firewall refuses this address",
            native=native,
            remedy="add the address or a private endpoint to the vault's network rules",
        )
    return AccessDeniedError(
        f"the vault refuses: {right} is missing", native=native, remedy=right.remedy
    )


def _conflict(inner: str, native: str) -> KeyhierError:
    if inner == _DELETED:
        return AlreadyExistsError(
            "the name is taken by something that is soft-deleted",
            native=native,
            remedy="recover it, or purge it for ever, and its name is free",
        )
    if inner in _PASSING:
        return ConflictError(
            f"what has that name {_PASSING[inner]} just now", native=native, remedy="try again"
        )
    return ConflictError("somebody else changed it at the same time", native=native)


def _codes(body: object) -> tuple[str, str]:
    """Return the code and the inner code; what is no code is left out, as it may hold anything."""
    error = _mapping(_mapping(body).get("error"))
    found = (error.get("code"), _mapping(error.get("innererror")).get("code"))
    code, inner = (
        text if isinstance(text, str) and _CODE.fullmatch(text) else "" for text in found
    )
    return code, inner


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _native(request: str, status: int, code: str, request_id: str | None) -> str:
    text = f"{request}: {status} {_REASONS.get(status, '')}".rstrip()
    if code and code != _REASONS.get(status):
        text += f" ({code})"
    if request_id and _CODE.fullmatch(request_id):
        text += f", request {request_id}"
    return text


def unanswered(request: str, error: Failure) -> KeyhierError:
    """Return the error for a request that got no answer, or was never sent.

    Args:
        request: the method and the path.
        error: what was raised.
    """
    native = f"{request}: {type(error).__name__}"
    if unverified(error):
        return UnavailableError(
            "the vault's certificate cannot be verified",
            native=native,
            remedy="nothing was sent; a private authority is named by ca-file= in the URI",
        )
    # It is one of those that took too long, to urllib3.
    if isinstance(error, TimedOut) and not isinstance(error, NewConnectionError):
        return UnavailableError(
            "the vault did not answer in time",
            native=native,
            remedy="what was begun may still be done, so look first",
        )
    return UnavailableError(
        "the vault cannot be reached, or did not answer",
        native=native,
        remedy="see whether the URI names it, and whether it runs",
    )


def unverified(error: Failure) -> bool:
    """Whether the server's certificate was not to be trusted."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLCertVerificationError):
        cause = cause.__cause__ or cause.__context__
    return cause is not None
