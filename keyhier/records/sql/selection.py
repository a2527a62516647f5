"""Queries in SQL: what selects the records that match, answered from indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, FromClause, Select, select

from keyhier.records.record import Query, RecordKind
from keyhier.records.sql.rows import name_of
from keyhier.records.sql.tables import labels, records

__all__ = ["Selection"]


class Selection:
    """What selects the records of a query.

    Attributes:
        id: the column to sort by and to go on from; where labels are asked for it is the first
            label's, whose index holds the records in this order.
    """

    def __init__(self, query: Query) -> None:
        self._source: FromClause = records
        self._conditions = list(_conditions(query))
        self.id: ColumnElement[str] = records.c.id
        for number, (name, value) in enumerate(query.labels.items()):
            label = labels.alias(f"label_{number}")
            self._source = self._source.join(label, label.c.record == records.c.id)
            self._conditions += [label.c.name == name, label.c.value == value]
            if not number:
                self.id = label.c.record

    def select(self, *columns: Any) -> Select[Any]:
        """Return a SELECT of these columns of the records that match."""
        return select(*columns).select_from(self._source).where(*self._conditions)

    def page(self, after: str, limit: int) -> Select[Any]:
        """Return a SELECT of the next records, by their ids."""
        found = self.select(records).where(self.id > after)
        return found.order_by(self.id).limit(limit)


def _conditions(query: Query) -> Iterator[ColumnElement[bool]]:
    columns = records.c
    for key, name, version in (
        (query.key, columns.key_name, columns.key_id),
        (query.kept_under, columns.previous_key_name, columns.previous_key_id),
        (query.names, columns.names_key, columns.names),
    ):
        if key is not None:
            yield version == str(key) if key.version else name == name_of(key)
    if query.except_key is not None:
        yield columns.key_id != str(query.except_key)
    if query.kind is RecordKind.KEK:
        # As the index of the KEKs has it.
        yield columns.names.is_not(None)
    elif query.kind is not None:
        yield columns.kind == str(query.kind)
    for value, column in (
        (query.vm, columns.vm),
        (query.volume, columns.volume),
        (query.set, columns.encryption_set),
        (query.state, columns.state),
        (query.job, columns.previous_job),
    ):
        if value is not None:
            yield column == str(value)
