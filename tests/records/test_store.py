"""Records in a store: kept, found, changed and deleted, the same in every database."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import attrs
import pytest

from keyhier.errors import (
    AlreadyExistsError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from keyhier.identifiers import KeyId
from keyhier.records import (
    CensusRow,
    Query,
    Record,
    RecordKind,
    Records,
    RecordState,
    SupportsJournal,
    SupportsKeyMarks,
    SupportsSets,
    new_record_id,
    open_records,
)
from keyhier.records.sql.store import SqlRecords
from tests.records.conftest import Maker, ids

Fill = Callable[..., list[Record]]


def test_a_store_is_what_the_protocols_say(store: SqlRecords) -> None:
    core: Records = store
    assert isinstance(core, SupportsJournal)
    assert isinstance(core, SupportsKeyMarks)
    assert isinstance(core, SupportsSets)


def test_a_record_comes_back_as_it_was_kept(store: SqlRecords, maker: Maker) -> None:
    before = datetime.now(UTC)
    new = maker.record(
        vm="web-01",
        volume="C:",
        set="web",
        labels={"team": "blue", "ütf": "☃"},
        details={"a": [1, None, {"b": True}]},
        state=RecordState.RETIRED,
    )
    new = attrs.evolve(new, recovery=str(maker.again(new, maker.first)))
    (kept,) = store.add(new)
    assert kept == attrs.evolve(new, generation=1, created=kept.created, updated=kept.created)
    assert store.get(new.id) == kept
    assert list(store.find()) == [kept]
    assert maker.opens(store.get(new.id))
    assert kept.created is not None
    assert abs((kept.created - before).total_seconds()) < 60


def test_what_time_it_is_is_said_by_the_clock_that_dates_records(
    store: SqlRecords, maker: Maker
) -> None:
    before = store.now()
    (kept,) = store.add(maker.record())
    assert kept.created is not None
    assert before <= kept.created <= store.now()


def test_a_kek_is_a_record_with_a_name_and_versions(store: SqlRecords, maker: Maker) -> None:
    names = [KeyId.parse(f"record:fleet/web/{version}") for version in ("1", "2")]
    records = store.add(*(maker.record(kind="kek", names=name) for name in names))
    maker_of_other = maker.record(kind="kek", names=KeyId.parse("record:fleet/db/1"))
    store.add(maker_of_other, maker.record())
    assert store.get(records[0].id).kind is RecordKind.KEK
    assert ids(store, Query(names=names[1])) == [records[1].id]
    assert ids(store, Query(names=names[0].versionless)) == sorted(record.id for record in records)
    assert store.count(Query(kind=RecordKind.KEK)) == 3
    with pytest.raises(AlreadyExistsError, match="record:fleet/web/1"):
        store.add(maker.record(kind="kek", names=names[0]))


def test_records_are_found_by_all_that_is_asked_for(store: SqlRecords, maker: Maker) -> None:
    second = maker.first.rotate()
    web, data, other = store.add(
        maker.record(vm="web-01", volume="C:", set="web", labels={"os": "win", "tier": "1"}),
        maker.record(second, vm="web-01", volume="D:", set="data", labels={"os": "win"}),
        maker.record(vm="db-01", set="data", labels={"os": "linux"}, state=RecordState.RETIRED),
    )
    for query, expected in (
        (Query(), [web, data, other]),
        (Query(vm="web-01"), [web, data]),
        (Query(vm="web-01", volume="D:"), [data]),
        (Query(set="data"), [data, other]),
        (Query(labels={"os": "win"}), [web, data]),
        (Query(labels={"os": "win", "tier": "1"}), [web]),
        (Query(labels={"os": "win"}, set="data"), [data]),
        (Query(key=maker.first.id), [web, other]),
        (Query(key=second.id), [data]),
        (Query(key=second.id.versionless), [web, data, other]),
        (Query(key=second.id.versionless, except_key=second.id), [web, other]),
        (Query(state=RecordState.RETIRED), [other]),
        (Query(vm="no such"), []),
        (Query(kept_under=second.id), []),
        (Query(job="no such"), []),
        (Query(labels={"os": "no such"}), []),
    ):
        assert ids(store, query) == sorted(record.id for record in expected), query
        assert store.count(query) == len(expected), query


@pytest.mark.parametrize("query", [Query(), Query(labels={"all": "yes"})], ids=["id", "label"])
def test_pages_follow_one_another_without_a_gap(
    query: Query, store: SqlRecords, maker: Maker
) -> None:
    one = maker.record(labels={"all": "yes"})

    def copies() -> Iterator[Record]:
        # Enough for three pages; an envelope each would be the slow part.
        for _ in range(2001):
            yield maker.record(labels={"all": "yes"})

    assert store.load(copies()) == 2001
    store.add(one)
    found = ids(store, query)
    assert len(found) == len(set(found)) == 2002
    assert found == sorted(found)


def test_what_is_changed_while_it_is_listed_is_not_listed_twice(
    store: SqlRecords, filled: Fill
) -> None:
    filled(5)
    seen = []
    for record in store.find():
        store.replace(attrs.evolve(record, set="moved"))
        seen.append(record.id)
    assert len(seen) == len(set(seen)) == 5
    assert store.count(Query(set="moved")) == 5


def test_a_change_names_the_generation_it_was_made_from(store: SqlRecords, filled: Fill) -> None:
    (first,) = filled(1, labels={"a": "1", "b": "2"}, set="web")
    second = store.replace(attrs.evolve(first, labels={"b": "3"}, set=None, vm="x"))
    assert (second.generation, second.labels, second.set) == (2, {"b": "3"}, None)
    assert store.get(first.id) == second
    assert store.count(Query(labels={"a": "1"})) == 0
    assert store.count(Query(labels={"b": "3"})) == 1
    for change in (store.replace, store.delete):
        with pytest.raises(ConflictError, match="was changed or deleted since it was read"):
            change(first)
    assert store.get(first.id) == second
    store.delete(second)
    with pytest.raises(NotFoundError):
        store.get(first.id)
    with pytest.raises(ConflictError):
        store.replace(second)


def test_an_envelope_is_replaced_with_its_key(store: SqlRecords, maker: Maker) -> None:
    (record,) = store.add(maker.record())
    second = maker.first.rotate()
    changed = store.replace(record.with_envelope(maker.again(record, second)))
    assert changed.key == second.id
    assert ids(store, Query(key=second.id)) == [record.id]
    assert store.count(Query(key=maker.first.id)) == 0


def test_one_record_that_cannot_be_kept_keeps_all_out(store: SqlRecords, maker: Maker) -> None:
    (kept,) = store.add(maker.record())
    new = maker.record()
    for bad, error in (
        (kept, AlreadyExistsError),
        (new, AlreadyExistsError),
        (attrs.evolve(new, id=new_record_id()), IntegrityError),
        (attrs.evolve(new, envelope="no envelope"), InvalidInputError),
        (attrs.evolve(new, key=KeyId.parse("memory:other/1")), IntegrityError),
    ):
        with pytest.raises(error):
            store.add(new, bad)
    assert ids(store) == [kept.id]
    assert store.add() == []


def test_a_stream_is_loaded_whole_or_not_at_all(store: SqlRecords, maker: Maker) -> None:
    def broken() -> Iterator[Record]:
        for _ in range(1500):
            yield maker.record()
        raise InvalidInputError("the line is broken")

    with pytest.raises(InvalidInputError, match="the line is broken"):
        store.load(broken())
    assert store.count() == 0


def test_what_is_loaded_keeps_its_generation_and_times(store: SqlRecords, maker: Maker) -> None:
    when = datetime(2020, 2, 29, 12, 30, 1, 234000, tzinfo=UTC)
    old = attrs.evolve(maker.record(), generation=7, created=when, updated=when)
    assert store.load([old, maker.record()]) == 2
    assert store.get(old.id) == old


def test_the_census_counts_by_key_set_and_machine(store: SqlRecords, maker: Maker) -> None:
    second, first = maker.first.rotate(), maker.first
    store.add(
        *(maker.record(vm="a", set="s") for _ in range(3)),
        maker.record(vm="b", set="s"),
        maker.record(),
        maker.record(second, vm="a", set="s"),
    )
    rows = {
        CensusRow(first.id, "s", "a", False, 3),
        CensusRow(first.id, "s", "b", False, 1),
        CensusRow(first.id, None, None, False, 1),
        CensusRow(second.id, "s", "a", False, 1),
    }
    assert set(store.census()) == set(store.census(first.id.versionless)) == rows
    assert set(store.census(second.id)) == {row for row in rows if row.key == second.id}
    assert set(store.census(by_vm=False)) == {
        CensusRow(first.id, "s", None, False, 4),
        CensusRow(first.id, None, None, False, 1),
        CensusRow(second.id, "s", None, False, 1),
    }
    assert store.census(KeyId.parse("memory:other")) == []


def test_a_damaged_row_is_told_by_its_id(store: SqlRecords, maker: Maker) -> None:
    (record,) = store.add(maker.record())
    with store._database.writing() as connection:
        connection.exec_driver_sql("UPDATE keyhier_records SET key_id = 'nonsense'")
    with pytest.raises(IntegrityError, match=f"record '{record.id}' cannot be read: a key's id"):
        store.get(record.id)


def test_an_envelope_of_another_record_is_noticed(store: SqlRecords, maker: Maker) -> None:
    ours, theirs = store.add(maker.record(), maker.record())
    with store._database.writing() as connection:
        connection.exec_driver_sql(
            f"UPDATE keyhier_records SET envelope = '{theirs.envelope}' WHERE id = '{ours.id}'"
        )
    with pytest.raises(IntegrityError, match="is not this record's"):
        store.get(ours.id).checked()


def test_a_closed_store_does_nothing(url: str) -> None:
    store = open_records(url)
    store.close()
    store.close()
    with pytest.raises(InvalidStateError, match="the store of records is closed"):
        store.count()


def test_what_another_store_object_writes_is_seen(shared_url: str, maker: Maker) -> None:
    with open_records(shared_url) as one, open_records(shared_url) as other:
        (record,) = one.add(maker.record())
        assert other.get(record.id) == record
        other.replace(attrs.evolve(record, set="x"))
        with pytest.raises(ConflictError):
            one.replace(record)


_WITH_LABELS = """
import sys
import keyhier
from keyhier.records import Query, Record, new_record_id, open_records

with keyhier.open("memory:") as vault, open_records(sys.argv[1]) as records:
    kek, labels = vault.create_key("kek", "AES-256"), {"team": "blue"}
    bound = {"record": new_record_id(), "vm": "web-01", "volume": "C:"}
    wrapped = kek.wrap(b"secret", context=bound)
    records.add(Record.of(wrapped, vm="web-01", volume="C:", labels=labels))
    print([record.labels == labels for record in records.find(Query())])
"""


def test_records_are_read_where_python_refuses_to_compare_text_with_bytes(tmp_path: Path) -> None:
    command = [sys.executable, "-bb", "-c", _WITH_LABELS, f"sqlite:{tmp_path}/records.db"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == "[True]\n", done.stderr
