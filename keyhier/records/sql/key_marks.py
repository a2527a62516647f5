"""States of key versions, and what keeps new uses away from one that is to go."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import attrs
from sqlalchemy import Connection, delete, insert, select, text

from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.identifiers import KeyId
from keyhier.records.checks import check_document
from keyhier.records.sql.database import Database
from keyhier.records.sql.rows import mark_of
from keyhier.records.sql.tables import key_marks
from keyhier.records.stored import KeyMark, KeyState

__all__ = ["SqlKeyMarks", "require_unmarked"]


def _lock_number(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big", signed=True)


def require_unmarked(database: Database, connection: Connection, keys: Iterable[KeyId]) -> None:
    """Refuse new envelopes under a key version that is to go, until the transaction ends.

    Raises:
        InvalidStateError: one of the versions is marked.
    """
    wanted = sorted({str(key) for key in keys})
    if database.is_postgresql:
        # A mark waits for these, so that nothing is written under the version once it is set.
        for key in wanted:
            connection.execute(
                text("SELECT pg_advisory_xact_lock_shared(:lock)"), {"lock": _lock_number(key)}
            )
    found = connection.execute(select(key_marks).where(key_marks.c.key.in_(wanted))).first()
    if found is not None:
        raise InvalidStateError(
            f"{found.key} is {found.state}, and no record gets an envelope under it any more",
            remedy="wrap under the key's latest version",
        )


class SqlKeyMarks:
    """The :class:`~keyhier.records.protocol.KeyMarks` of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def mark(
        self, key: KeyId, state: KeyState, details: Mapping[str, Any] | None = None
    ) -> KeyMark:
        """Note a version's state; see :meth:`KeyMarks.mark`."""
        if not key.version:
            raise InvalidInputError(f"{key} names no exact version")
        kept = details or {}
        check_document(self, attrs.fields(KeyMark).details, kept)
        name = str(key)
        with self._database.writing() as connection:
            if self._database.is_postgresql:
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _lock_number(name)}
                )
            connection.execute(delete(key_marks).where(key_marks.c.key == name))
            connection.execute(
                insert(key_marks).values(
                    key=name,
                    state=str(state),
                    since=self._database.now,
                    details=dict(kept),
                )
            )
            found = connection.execute(select(key_marks).where(key_marks.c.key == name))
            return mark_of(found.one())

    def unmark(self, key: KeyId) -> None:
        """Note nothing of a version any more."""
        with self._database.writing() as connection:
            connection.execute(delete(key_marks).where(key_marks.c.key == str(key)))

    def get(self, key: KeyId) -> KeyMark | None:
        """Return what is noted of a version, or None."""
        with self._database.reading() as connection:
            found = connection.execute(select(key_marks).where(key_marks.c.key == str(key)))
            row = found.one_or_none()
        return None if row is None else mark_of(row)

    def all(self) -> list[KeyMark]:
        """Return what is noted of any version."""
        with self._database.reading() as connection:
            found = connection.execute(select(key_marks).order_by(key_marks.c.key))
            return [mark_of(row) for row in found]
