"""How a user names a store of records: ``sqlite:/path``, ``postgresql://host/name``, ``memory:``.

A password is never part of it, so a URL can be printed, logged, and seen in a list of processes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import attrs

from keyhier.errors import InvalidInputError
from keyhier.pin import PinSource

__all__ = ["RecordsUrl"]

_MAX_CHARACTERS: Final = 2048
_TIMEOUT: Final = 10.0
_SECONDS: Final = re.compile(r"timeout=([0-9]{1,4}(?:\.[0-9]{1,3})?)")
_BROKEN_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")

# Of libpq's parameters (https://www.postgresql.org/docs/current/libpq-connect.html, section
# 34.1.2) those that say where the server is and how it is trusted, and none that holds a secret.
_POSTGRESQL: Final = frozenset(
    {
        "application_name",
        "channel_binding",
        "connect_timeout",
        "gssencmode",
        "host",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "passfile",
        "port",
        "require_auth",
        "service",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
        "tcp_user_timeout",
        "user",
    }
)
_PASSWORDS: Final = "use password-source=file:/path or env:NAME, a pgpass file, or a service"
_PASSWORD_SOURCE: Final = "password-source"  # noqa: S105  # It is the attribute's name.


@attrs.frozen
class RecordsUrl:
    """The URL of a store, taken apart; it holds no secret.

    Attributes:
        text: as it was given.
        scheme: ``sqlite``, ``postgresql`` or ``memory``.
        path: the file of SQLite, or None.
        timeout: how many seconds SQLite waits while another process writes.
        parameters: what libpq is given, for PostgreSQL.
        password: where the password comes from, or None: then libpq looks where it always does
            (``PGPASSWORD``, ``~/.pgpass``, a service file).
    """

    text: str
    scheme: str = attrs.field(repr=False)
    path: Path | None = attrs.field(default=None, repr=False)
    timeout: float = attrs.field(default=_TIMEOUT, repr=False)
    parameters: Mapping[str, str] = attrs.field(factory=dict, repr=False, hash=False)
    password: PinSource | None = attrs.field(default=None, repr=False)

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str) -> RecordsUrl:
        """Take a URL apart.

        Raises:
            InvalidInputError: it is none of the three forms, has an unknown or repeated attribute,
                or holds a password.
        """
        if not isinstance(text, str) or not 0 < len(text) <= _MAX_CHARACTERS:
            raise InvalidInputError(
                f"a store of records is named by a URL of at most {_MAX_CHARACTERS} characters"
            )
        if not text.isprintable() or _BROKEN_ESCAPE.search(text):
            raise InvalidInputError(
                "the URL of a store of records holds control characters or a broken escape"
            )
        scheme, colon, rest = text.partition(":")
        match scheme.lower() if colon else "":
            case "memory" if not rest:
                return cls(text, "memory")
            case "sqlite":
                return _sqlite(text, rest)
            case "postgresql" | "postgres":
                return _postgresql(text, rest)
        raise InvalidInputError(
            "this names no store of records",
            remedy="use sqlite:/path/to/file, postgresql://host/database, or memory:",
        )


def _sqlite(text: str, rest: str) -> RecordsUrl:
    place, _, query = rest.partition("?")
    name = unquote(place)
    if name.startswith("//"):
        # As in file:///path (RFC 8089); SQLAlchemy's own spelling of an absolute path has one more.
        name = f"/{name.lstrip('/')}" if name.startswith("///") else ""
    if not name or "#" in rest or "\0" in name or name == ":memory:":
        raise InvalidInputError("a store in SQLite is named by its file: sqlite:/path/to/file")
    return RecordsUrl(text, "sqlite", Path(name), _timeout(query) if query else _TIMEOUT)


def _timeout(query: str) -> float:
    found = _SECONDS.fullmatch(query)
    if found is None:
        raise InvalidInputError(
            "a sqlite: URL has one attribute: timeout=SECONDS, how long to wait for another writer"
        )
    return float(found[1])


def _postgresql(text: str, rest: str) -> RecordsUrl:
    try:
        parts = urlsplit(f"postgresql:{rest}")
        host, port, user = parts.hostname, parts.port, parts.username
    except ValueError:
        parts = None
    # Outside of the handler, whose exception could show a password.
    if parts is None or not rest.startswith("//") or parts.fragment:
        raise InvalidInputError("a store in PostgreSQL is named postgresql://HOST/DATABASE")
    if "@" in parts.path + parts.query:
        # Of a password with a "/" or a "?" in it, which ends the part where it is looked for.
        raise InvalidInputError(
            "an @ stands before the host only, and a password not at all in the URL of a store",
            remedy=f"{_PASSWORDS}; write %40 for an @ elsewhere",
        )
    given = parse_qsl(parts.query, keep_blank_values=True)
    if parts.password is not None or any(_is_password(name) for name, _ in given):
        raise InvalidInputError(
            "a password does not belong in the URL of a store",
            remedy=_PASSWORDS,
        )
    parameters = {
        "host": unquote(host or ""),
        "port": str(port or ""),
        "user": unquote(user or ""),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    parameters = {name: value for name, value in parameters.items() if value}
    source = None
    for name, value in given:
        if name != _PASSWORD_SOURCE and name not in _POSTGRESQL:
            listed = ", ".join((*sorted(_POSTGRESQL), _PASSWORD_SOURCE))
            raise InvalidInputError(f"unknown attribute {name!r:.60}; known are {listed}")
        if name in parameters or (name == _PASSWORD_SOURCE and source):
            raise InvalidInputError(f"the attribute {name!r} stands in the URL twice")
        if name == _PASSWORD_SOURCE:
            source = PinSource(value)
        else:
            parameters[name] = value
    return RecordsUrl(text, "postgresql", parameters=MappingProxyType(parameters), password=source)


def _is_password(name: str) -> bool:
    return name.lower() in ("password", "sslpassword", "oauth_client_secret")
