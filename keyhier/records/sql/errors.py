"""Errors of databases in keyhier's terms: by code, with the database's own words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from sqlalchemy import exc

from keyhier.errors import (
    AccessDeniedError,
    AuthenticationError,
    CapacityError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
)

__all__ = ["translated"]

# https://www.sqlite.org/rescode.html; the extended codes begin with these names.
_SQLITE: Final[dict[str, tuple[type[KeyhierError], str]]] = {
    "SQLITE_FULL": (CapacityError, "the disk is full"),
    "SQLITE_TOOBIG": (CapacityError, "a value is too long"),
    "SQLITE_BUSY": (UnavailableError, "another process holds the database locked"),
    "SQLITE_LOCKED": (UnavailableError, "another process holds the database locked"),
    "SQLITE_CANTOPEN": (NotFoundError, "the database file cannot be opened"),
    "SQLITE_READONLY": (AccessDeniedError, "the database may only be read"),
    "SQLITE_PERM": (AccessDeniedError, "the database may not be used"),
    "SQLITE_AUTH": (AccessDeniedError, "the database may not be used"),
    "SQLITE_CORRUPT": (IntegrityError, "the database file is damaged"),
    "SQLITE_NOTADB": (IntegrityError, "the file is no SQLite database"),
    "SQLITE_CONSTRAINT": (ConflictError, "the database refuses a value beside those it holds"),
}

# https://www.postgresql.org/docs/current/errcodes-appendix.html: codes, then classes.
_POSTGRESQL: Final[dict[str, tuple[type[KeyhierError], str]]] = {
    "25006": (AccessDeniedError, "the database may only be read"),
    "28": (AuthenticationError, "the database does not accept who is asking"),
    "3D": (NotFoundError, "there is no such database"),
    "42501": (AccessDeniedError, "the database refuses"),
    "42": (IntegrityError, "the database's tables are not what they should be"),
    "23": (ConflictError, "the database refuses a value beside those it holds"),
    "53100": (CapacityError, "the database's disk is full"),
    "XX001": (IntegrityError, "the database is damaged"),
    "XX002": (IntegrityError, "the database is damaged"),
}

# libpq tells a refused login by its text only, which the server writes.
_REFUSED_LOGINS: Final = (
    "password authentication failed",
    "no password supplied",
    "no pg_hba.conf entry",
    "Peer authentication failed",
    'role "',
)

# What libpq says where sslmode asks for more than the server shows.
_UNTRUSTED: Final = (
    "server does not support SSL",
    "root certificate file",
    "certificate verify failed",
    "does not match host name",
)


@contextmanager
def translated() -> Iterator[None]:
    """Turn what SQLAlchemy and the databases raise into keyhier's errors.

    Raises:
        CapacityError: the disk is full.
        UnavailableError: the database is locked or away, or failed.
        AccessDeniedError, AuthenticationError: it refuses.
        NotFoundError: there is none.
        IntegrityError: it is damaged.
        ConflictError: the database refuses a value beside those it holds.
        InvalidInputError: it cannot hold a value at all.
    """
    try:
        yield
    except exc.TimeoutError:
        error: KeyhierError = UnavailableError("every connection to the database is in use")
    except exc.DataError as raised:
        error = InvalidInputError("the database cannot hold a value", native=_words(raised.orig))
    except exc.DBAPIError as raised:
        # Its own text holds the statement and the values; the database's holds neither.
        error = _translate(raised.orig)
    except UnicodeError:
        # Text that is no UTF-8; what is said of it would hold it.
        error = InvalidInputError("the database cannot hold a value")
    else:
        return
    raise error from None


def _translate(raised: BaseException | None) -> KeyhierError:
    code = getattr(raised, "sqlite_errorname", None)
    if code is not None:
        return _of_sqlite(code, str(raised))
    words = _words(raised)
    state = getattr(raised, "sqlstate", None)
    if state is None:
        if "database" in words and "does not exist" in words:
            return NotFoundError("there is no such database", native=words)
        if any(text in words for text in _REFUSED_LOGINS):
            return AuthenticationError("the database does not accept who is asking", native=words)
        if any(text in words for text in _UNTRUSTED):
            return UnavailableError(
                "the database's server does not prove who it is",
                native=words,
                remedy="name its certificate authority by sslrootcert=/path in the URL; "
                "where it needs to prove less, sslmode= says so",
            )
        return UnavailableError("the database is away", native=words)
    for start in (state, state[:2]):
        if start in _POSTGRESQL:
            kind, message = _POSTGRESQL[start]
            return kind(message, native=f"SQLSTATE {state}: {words}")
    return UnavailableError("the database failed", native=f"SQLSTATE {state}: {words}")


def _of_sqlite(code: str, words: str) -> KeyhierError:
    for name, (kind, message) in _SQLITE.items():
        if code.startswith(name):
            return kind(message, native=f"{code}: {words}")
    if code == "SQLITE_ERROR":
        return IntegrityError("the database's tables are not what they should be", native=words)
    return UnavailableError("the database failed", native=f"{code}: {words}")


def _words(raised: BaseException | None) -> str:
    """Return the first line; those after it (DETAIL) hold values of rows."""
    return next(iter(str(raised).splitlines()), "").strip()
