"""The encryption sets of a database."""

from __future__ import annotations

from sqlalchemy import delete, exc, exists, insert, select, update

from keyhier.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from keyhier.identifiers import KeyId
from keyhier.records.checks import is_text
from keyhier.records.sql.database import Database
from keyhier.records.sql.rows import name_of, set_of, set_row_of
from keyhier.records.sql.tables import records, sets
from keyhier.records.stored import StoredSet

__all__ = ["SqlSets"]


class SqlSets:
    """The :class:`~keyhier.records.protocol.Sets` of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, stored: StoredSet) -> StoredSet:
        """Keep a new set and return it as kept."""
        if not is_text(stored.name):
            raise InvalidInputError(f"{stored.name!r:.60} is no name of a set")
        now = self._database.now
        new = insert(sets).values(
            name=stored.name, **set_row_of(stored), generation=1, created=now, updated=now
        )
        with self._database.writing() as connection:
            try:
                row = connection.execute(new.returning(sets)).one()
            except exc.IntegrityError:
                row = None
            if row is None:
                raise AlreadyExistsError(f"there is an encryption set {stored.name!r} already")
            return set_of(row)

    def get(self, name: str) -> StoredSet:
        """Return a set."""
        with self._database.reading() as connection:
            row = connection.execute(select(sets).where(sets.c.name == name)).one_or_none()
        if row is None:
            raise NotFoundError(
                f"there is no encryption set {name!r}", remedy="list the sets there are"
            )
        return set_of(row)

    def replace(self, stored: StoredSet) -> StoredSet:
        """Change a set that was read before, and return it as kept."""
        change = (
            update(sets)
            .where(sets.c.name == stored.name, sets.c.generation == stored.generation)
            .values(
                **set_row_of(stored), generation=stored.generation + 1, updated=self._database.now
            )
            .returning(sets)
        )
        with self._database.writing() as connection:
            row = connection.execute(change).one_or_none()
        if row is None:
            raise _changed(stored)
        return set_of(row)

    def delete(self, stored: StoredSet) -> None:
        """Delete a set that was read before and is empty."""
        with self._database.writing() as connection:
            gone = connection.execute(
                delete(sets).where(
                    sets.c.name == stored.name, sets.c.generation == stored.generation
                )
            )
            if not gone.rowcount:
                raise _changed(stored)
            full = select(exists().where(records.c.encryption_set == stored.name))
            if connection.execute(full).scalar_one():
                raise InvalidStateError(
                    f"there are records in the encryption set {stored.name!r}",
                    remedy="take them out of it first",
                )

    def all(self, key: KeyId | None = None) -> list[StoredSet]:
        """Return the sets by name: all, or those that refer to a key."""
        wanted = select(sets).order_by(sets.c.name)
        if key is not None:
            wanted = wanted.where(sets.c.key_name == name_of(key))
        with self._database.reading() as connection:
            return [set_of(row) for row in connection.execute(wanted)]


def _changed(stored: StoredSet) -> ConflictError:
    return ConflictError(
        f"the encryption set {stored.name!r} was changed or deleted since it was read",
        remedy="read it again and repeat the change",
    )
