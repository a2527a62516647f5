"""SqlRecords: a store of records in a database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from types import TracebackType
from typing import Any, Final, Self

import attrs
from sqlalchemy import (
    ColumnElement,
    Connection,
    case,
    delete,
    exc,
    false,
    func,
    insert,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)

from keyhier.errors import AlreadyExistsError, ConflictError, NotFoundError
from keyhier.identifiers import KeyId
from keyhier.records.record import CensusRow, Query, Record
from keyhier.records.sql.database import Database
from keyhier.records.sql.journal import SqlJournal
from keyhier.records.sql.key_marks import SqlKeyMarks, require_unmarked
from keyhier.records.sql.rows import (
    milliseconds_of,
    moment,
    name_of,
    record_of,
    row_of,
)
from keyhier.records.sql.schema import prepare
from keyhier.records.sql.selection import Selection
from keyhier.records.sql.sets import SqlSets
from keyhier.records.sql.tables import labels, records
from keyhier.records.url import RecordsUrl

__all__ = ["SqlRecords"]

_PAGE: Final = 1000
_EVERYTHING: Final = Query()


class SqlRecords:
    """A :class:`~keyhier.records.protocol.Records` in SQLite or PostgreSQL, with all else that a
    store can keep; made by :func:`keyhier.records.open_records`.

    It can be used by several threads at once. In a forked child it makes new connections, except
    for ``memory:``, which stays with the process that made it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.journal = SqlJournal(database)
        self.key_marks = SqlKeyMarks(database)
        self.sets = SqlSets(database)

    @classmethod
    def open(cls, url: RecordsUrl, *, read_only: bool) -> Self:
        """Open a database and bring its schema up to date; see :func:`open_records`."""
        database = Database(url, read_only=read_only)
        try:
            prepare(database)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def __repr__(self) -> str:
        return f"<SqlRecords {self.url}>"

    @property
    def url(self) -> str:
        """What it was opened by; holds no password."""
        return str(self._database.url)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the store go; doing so twice is harmless."""
        self._database.close()

    def now(self) -> datetime:
        """Return the time by the database's clock; see :meth:`Records.now`."""
        with self._database.reading() as connection:
            return self._read_clock(connection)

    # ------------------------------------------------------------------ changes

    def add(self, *new: Record) -> list[Record]:
        """Keep new records; see :meth:`Records.add`."""
        with self._database.writing() as connection:
            now = self._read_clock(connection)
            kept = [
                attrs.evolve(record, generation=1, created=now, updated=now, previous=None)
                for record in new
            ]
            self._insert(connection, kept, now)
        return kept

    def load(self, stream: Iterable[Record]) -> int:
        """Keep a stream of records from another store; see :meth:`Records.load`."""
        rest = iter(stream)
        count = 0
        with self._database.writing() as connection:
            now = self._read_clock(connection)
            while page := list(islice(rest, _PAGE)):
                self._insert(connection, page, now)
                count += len(page)
        return count

    def _read_clock(self, connection: Connection) -> datetime:
        return moment(connection.execute(select(self._database.now)).scalar_one())

    def _insert(self, connection: Connection, new: Sequence[Record], now: datetime) -> None:
        if not new:
            return
        for record in new:
            record.checked()
        require_unmarked(self._database, connection, [record.key for record in new])
        _refuse_taken(connection, new)
        rows = [
            {
                **row_of(record),
                "id": record.id,
                "kind": str(record.kind),
                "names": None if record.names is None else str(record.names),
                "names_key": None if record.names is None else name_of(record.names),
                "generation": max(record.generation, 1),
                "created": milliseconds_of(record.created or now),
                "updated": milliseconds_of(record.updated or now),
            }
            for record in new
        ]
        found = None
        try:
            connection.execute(insert(records), rows)
        except exc.IntegrityError:
            found = "an id or a KEK's name is taken, or stands among the new records twice"
        if found is not None:
            raise AlreadyExistsError(found)
        _insert_labels(connection, new)

    def replace(self, record: Record) -> Record:
        """Change a record that was read before; see :meth:`Records.replace`."""
        record.checked()
        same = records.c.envelope == record.envelope
        kept = {
            column.name: case((same, column), else_=null())
            for column in (
                records.c.previous_envelope,
                records.c.previous_key_id,
                records.c.previous_key_name,
                records.c.previous_job,
            )
        }
        as_read = _as_read(record)
        change = (
            update(records)
            .where(*as_read)
            .values(
                **row_of(record),
                **kept,
                generation=record.generation + 1,
                updated=self._database.now,
            )
            .returning(records)
        )
        with self._database.writing() as connection:
            before = connection.execute(
                select(records.c.envelope, records.c.labels).where(*as_read).with_for_update()
            ).one_or_none()
            if before is not None and before.envelope != record.envelope:
                require_unmarked(self._database, connection, [record.key])
            row = connection.execute(change).one_or_none()
            if row is None or before is None:
                raise _changed(record)
            if before.labels != dict(record.labels):
                connection.execute(delete(labels).where(labels.c.record == record.id))
                _insert_labels(connection, [record])
        return record_of(row)

    def delete(self, record: Record) -> None:
        """Delete a record that was read before; see :meth:`Records.delete`."""
        with self._database.writing() as connection:
            if not connection.execute(delete(records).where(*_as_read(record))).rowcount:
                raise _changed(record)

    # ------------------------------------------------------------------ searches

    def get(self, record_id: str) -> Record:
        """Return a record; see :meth:`Records.get`."""
        with self._database.reading() as connection:
            found = connection.execute(select(records).where(records.c.id == record_id))
            row = found.one_or_none()
        if row is None:
            raise NotFoundError(
                f"there is no record {record_id!r:.60}", remedy="list the records there are"
            )
        return record_of(row)

    def find(self, query: Query = _EVERYTHING, /) -> Iterator[Record]:
        """Yield the records that match, in the order of their ids; see :meth:`Records.find`."""
        selection = Selection(query)
        last = ""
        while True:
            # A page at a time, so that no transaction stays open while its records are worked on.
            with self._database.reading() as connection:
                page = connection.execute(selection.page(last, _PAGE)).all()
            yield from map(record_of, page)
            if len(page) < _PAGE:
                return
            last = page[-1].id

    def count(self, query: Query = _EVERYTHING, /) -> int:
        """Say how many match."""
        counted = Selection(query).select(func.count())
        with self._database.reading() as connection:
            return int(connection.execute(counted).scalar_one())

    def census(self, key: KeyId | None = None, *, by_vm: bool = True) -> list[CensusRow]:
        """Say how many records need which key version; see :meth:`Records.census`."""
        vm = records.c.vm if by_vm else null()
        halves = []
        for kept, column, query in (
            (false(), records.c.key_id, Query(key=key)),
            (true(), records.c.previous_key_id, Query(kept_under=key)),
        ):
            groups: list[ColumnElement[Any]] = [column, records.c.encryption_set]
            if by_vm:
                groups.append(records.c.vm)
            half = Selection(query).select(
                column.label("key"),
                records.c.encryption_set.label("set"),
                vm.label("vm"),
                kept.label("kept"),
                func.count().label("number"),
            )
            halves.append(half.where(column.is_not(None)).group_by(*groups))
        with self._database.reading() as connection:
            found = connection.execute(union_all(*halves)).all()
        return [
            CensusRow(KeyId.parse(row.key), row.set, row.vm, bool(row.kept), row.number)
            for row in found
        ]


def _refuse_taken(connection: Connection, new: Sequence[Record]) -> None:
    named = [str(record.names) for record in new if record.names is not None]
    taken = connection.execute(
        select(records.c.id, records.c.names).where(
            or_(
                records.c.id.in_([record.id for record in new]),
                records.c.names.in_(named) if named else false(),
            )
        )
    ).first()
    if taken is not None:
        name = f", {taken.names}" if taken.names else ""
        raise AlreadyExistsError(f"there is a record {taken.id}{name} already")


def _insert_labels(connection: Connection, owners: Iterable[Record]) -> None:
    rows = [
        {"record": record.id, "name": name, "value": value}
        for record in owners
        for name, value in record.labels.items()
    ]
    if rows:
        connection.execute(insert(labels), rows)


def _as_read(record: Record) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return records.c.id == record.id, records.c.generation == record.generation


def _changed(record: Record) -> ConflictError:
    return ConflictError(
        f"record {record.id} was changed or deleted since it was read",
        remedy="read it again and repeat the change",
    )
