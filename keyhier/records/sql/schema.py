"""The schema's version: made, migrated when it is older, refused when it is newer."""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection, Text, inspect, select, table, text
from sqlalchemy.sql import column

from keyhier.errors import IntegrityError, InvalidStateError, UnsupportedError
from keyhier.records.sql.database import Database
from keyhier.records.sql.tables import VERSION_TABLE

__all__ = ["HEAD", "prepare"]

HEAD: Final = "0001"
"""The newest migration, whose tables this code works with; the next one is ``0002``."""

_SCRIPTS: Final = "keyhier.records.sql:migrations"

# Any number that no other user of the database's advisory locks is likely to take.
_LOCK: Final = 0x6B6579686965


def prepare(database: Database) -> None:
    """Bring the schema to the version that this code works with, in one transaction.

    Raises:
        UnsupportedError: it is newer.
        InvalidStateError: it is older or not there, and the database is opened to be read only.
        IntegrityError: what is noted as its version is none.
    """
    with database.reading() as connection:
        found = _version(connection)
    if found == HEAD:
        return
    if database.read_only:
        raise InvalidStateError(
            "the store of records has no tables yet, or older ones",
            remedy="open it once to be written, which makes or migrates them",
        )
    with database.writing() as connection:
        if database.is_postgresql:
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        # Another process may have migrated it since.
        if _version(connection) != HEAD:
            _migrate(connection)


def _version(connection: Connection) -> str | None:
    if not inspect(connection).has_table(VERSION_TABLE):
        return None
    version = column("version_num", Text)
    found = connection.execute(select(version).select_from(table(VERSION_TABLE, version)))
    numbers = list(found.scalars())
    if len(numbers) != 1 or not str(numbers[0]).isdecimal():
        raise IntegrityError(f"{VERSION_TABLE} notes no version of the schema")
    if int(numbers[0]) > int(HEAD):
        raise UnsupportedError(
            f"the store of records has schema {numbers[0]}, and this keyhier knows {HEAD}",
            remedy="use the keyhier that made it, or a newer one",
        )
    return str(numbers[0])


def _migrate(connection: Connection) -> None:
    # Imported late, because it takes a while and most openings have nothing to migrate.
    from alembic import command  # noqa: PLC0415
    from alembic.config import Config  # noqa: PLC0415

    configuration = Config()
    configuration.set_main_option("script_location", _SCRIPTS)
    configuration.attributes["connection"] = connection
    command.upgrade(configuration, HEAD)
