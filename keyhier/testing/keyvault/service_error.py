"""The service's errors: a status, a code, a message, and often a more exact inner code."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["ServiceError", "bad_parameter", "conflict", "forbidden", "not_found"]


class ServiceError(Exception):
    """What a request is answered with where it fails.

    Attributes:
        status: of HTTP.
        code, message: what the body's ``error`` says.
        inner: the code of its ``innererror``, or None.
        headers: more headers.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        inner: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Make the error."""
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.inner = inner
        self.headers = dict(headers or {})

    def document(self) -> dict[str, object]:
        """Return the body."""
        error: dict[str, object] = {"code": self.code, "message": self.message}
        if self.inner is not None:
            error["innererror"] = {"code": self.inner}
        return {"error": error}


def bad_parameter(message: str) -> ServiceError:
    """Return the error for a request that is wrong in itself."""
    return ServiceError(400, "BadParameter", message)


def forbidden(message: str, inner: str) -> ServiceError:
    """Return the error for what the state of an object, or of the vault, does not allow."""
    return ServiceError(403, "Forbidden", message, inner)


def not_found(code: str, message: str) -> ServiceError:
    """Return the error for what is not there."""
    return ServiceError(404, code, message)


def conflict(message: str, inner: str | None = None) -> ServiceError:
    """Return the error for a name that is taken, or whose object is changing."""
    return ServiceError(409, "Conflict", message, inner)
