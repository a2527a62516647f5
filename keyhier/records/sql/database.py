"""Database: connections, transactions and the clock of SQLite or PostgreSQL."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import (
    BigInteger,
    Connection,
    Engine,
    QueuePool,
    cast,
    create_engine,
    event,
    extract,
    func,
)
from sqlalchemy.sql.elements import ColumnElement

from keyhier.errors import AccessDeniedError, InvalidStateError, NotFoundError
from keyhier.records.sql.errors import translated
from keyhier.records.sql.server_trust import with_trust
from keyhier.records.url import RecordsUrl

__all__ = ["Database"]

_CONNECTIONS: Final = 8


class Database:
    """An open database.

    SQLite has one writer at a time: a writing transaction takes the lock at its beginning
    (``BEGIN IMMEDIATE``), so that what it read is still so when it writes.

    Attributes:
        url: what it was opened by.
        read_only: whether it refuses to be changed.
        now: the clock of the database, in milliseconds since 1970, as an expression; it goes on
            within a transaction.
        is_postgresql: whether it is PostgreSQL.
    """

    def __init__(self, url: RecordsUrl, *, read_only: bool) -> None:
        self.url = url
        self.read_only = read_only
        self.is_postgresql = url.scheme == "postgresql"
        self._engine = _postgresql(url) if self.is_postgresql else _sqlite(url, read_only=read_only)
        self._closed = False
        self.now = _postgresql_now() if self.is_postgresql else _sqlite_now()
        _forget_after_fork(self._engine)

    def close(self) -> None:
        """Close every connection; doing so twice is harmless."""
        self._closed = True
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """Give a transaction that only reads."""
        with self._transaction("BEGIN") as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """Give a transaction that writes, committed at the end and undone by an error.

        Raises:
            AccessDeniedError: the store was opened to be read only.
        """
        if self.read_only:
            raise AccessDeniedError(
                "the store of records was opened to be read only, and cannot be changed"
            )
        with self._transaction("BEGIN IMMEDIATE") as connection:
            yield connection

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[Connection]:
        if self._closed:
            raise InvalidStateError("the store of records is closed")
        options: dict[str, Any] = (
            {"postgresql_readonly": self.read_only} if self.is_postgresql else {"begin": begin}
        )
        with (
            translated(),
            self._engine.connect() as connection,
            connection.execution_options(**options).begin(),
        ):
            yield connection


def _read_document(text: str | bytes) -> Any:
    # Most records have neither labels nor details.
    empty = "{}" if isinstance(text, str) else b"{}"
    return {} if text == empty else json.loads(text)


def _postgresql_now() -> ColumnElement[int]:
    return cast(extract("epoch", func.clock_timestamp()) * 1000, BigInteger)


def _sqlite_now() -> ColumnElement[int]:
    # The Julian day of 1970; unixepoch('subsec') is younger than the SQLite of Debian 12.
    return cast((func.julianday("now") - 2440587.5) * 86400000, BigInteger)


def _postgresql(url: RecordsUrl) -> Engine:
    # Whoever keeps records in SQLite does not need it.
    import psycopg  # noqa: PLC0415
    from psycopg.conninfo import make_conninfo  # noqa: PLC0415

    def connect() -> psycopg.Connection[Any]:
        parameters = with_trust(url.parameters, os.environ)
        if url.password is None:
            return psycopg.connect(make_conninfo(**parameters))
        with url.password.read(f"the database {url}", "password") as password:
            return psycopg.connect(
                make_conninfo(**parameters, password=str(password.view(), "utf-8"))
            )

    return create_engine(
        "postgresql+psycopg://",
        creator=connect,
        hide_parameters=True,
        json_deserializer=_read_document,
        pool_size=_CONNECTIONS,
        pool_pre_ping=True,
        isolation_level="READ COMMITTED",
    )


def _sqlite(url: RecordsUrl, *, read_only: bool) -> Engine:
    if url.path is None:
        # One connection, as each would have a memory of its own.
        name, connections = ":memory:", 1
    else:
        if read_only and not url.path.exists():
            raise NotFoundError(
                f"there is no file {url.path}", remedy="whatever keeps the first record makes it"
            )
        if not read_only:
            _make_private(url.path)
        mode = "ro" if read_only else "rw"
        name, connections = f"file:{quote(str(url.path.absolute()))}?mode={mode}", _CONNECTIONS

    def connect() -> sqlite3.Connection:
        # SQLAlchemy begins transactions below, and hands a connection to one thread at a time.
        made = sqlite3.connect(
            name,
            uri=True,
            timeout=url.timeout,
            isolation_level=None,
            check_same_thread=False,
        )
        made.execute("PRAGMA foreign_keys = ON")
        made.execute("PRAGMA synchronous = FULL")
        if url.path is not None and not read_only:
            made.execute("PRAGMA journal_mode = WAL")
        return made

    engine = create_engine(
        "sqlite://",
        creator=connect,
        hide_parameters=True,
        json_deserializer=_read_document,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
    )

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options()["begin"])

    return engine


def _make_private(path: Path) -> None:
    """Make a new file that only its owner may read; SQLite gives its other files the same mode."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except FileNotFoundError:
        folder = path.parent
    except OSError as error:
        # Whatever is wrong with it, SQLite says it in its own words, unless the mode is to blame.
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise AccessDeniedError(
                f"the file {path} may not be written: {error.strerror}"
            ) from None
        return
    else:
        return
    raise NotFoundError(f"there is no folder {folder}")


def _forget_after_fork(engine: Engine) -> None:
    """Leave connections to the process that made them; a forked child makes its own."""
    reference = weakref.ref(engine)

    def forget() -> None:
        inherited = reference()
        if inherited is not None:
            inherited.dispose(close=False)

    os.register_at_fork(after_in_child=forget)
