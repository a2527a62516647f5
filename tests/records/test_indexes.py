"""Searches are answered from indexes: none reads every record."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy.dialects import sqlite

from keyhier.identifiers import KeyId
from keyhier.records import Query, RecordKind, open_records
from keyhier.records.sql.selection import Selection
from keyhier.records.sql.store import SqlRecords

KEY = KeyId.parse("memory:kek/1")


@pytest.fixture(scope="module")
def empty() -> Iterator[SqlRecords]:
    with open_records("memory:") as store:
        yield store


@pytest.mark.parametrize(
    "query",
    [
        Query(key=KEY),
        Query(key=KEY.versionless, except_key=KEY),
        Query(kept_under=KEY),
        Query(names=KeyId.parse("record:a/b/1")),
        Query(names=KeyId.parse("record:a/b")),
        Query(vm="x", volume="y"),
        Query(set="x"),
        Query(labels={"a": "b"}),
        Query(labels={"a": "b", "c": "d"}, set="x"),
        Query(job="x"),
        Query(kind=RecordKind.KEK),
    ],
    ids=str,
)
def test_a_search_reads_no_more_than_it_has_to(query: Query, empty: SqlRecords) -> None:
    statement = Selection(query).page("", 100)
    text = statement.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True})
    with empty._database.reading() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}".replace("%", "%%"))
        steps = [row[-1] for row in plan]
    assert steps
    assert all(step.startswith("SEARCH ") for step in steps), steps
    assert not any("sqlite_autoindex_keyhier_records_1 (id>?)" in step for step in steps), steps
