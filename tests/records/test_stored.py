"""Key marks and encryption sets in a store."""

from __future__ import annotations

import threading

import attrs
import pytest

from keyhier.errors import (
    AlreadyExistsError,
    ConflictError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from keyhier.identifiers import KeyId
from keyhier.records import KeyMark, KeyState, StoredSet, open_records
from keyhier.records.sql.key_marks import require_unmarked
from keyhier.records.sql.store import SqlRecords
from tests.records.conftest import Maker

KEY = KeyId.parse("memory:kek/1")


def test_a_mark_is_kept_changed_and_taken_away(store: SqlRecords) -> None:
    marks = store.key_marks
    assert marks.get(KEY) is None
    made = marks.mark(KEY, KeyState.RETIRING, {"by": "me"})
    assert made == KeyMark(KEY, KeyState.RETIRING, made.since, {"by": "me"}) == marks.get(KEY)
    again = marks.mark(KEY, KeyState.DISABLED)
    assert marks.all() == [again]
    assert again.state is KeyState.DISABLED
    marks.unmark(KEY)
    marks.unmark(KEY)
    assert marks.all() == []
    with pytest.raises(InvalidInputError, match="names no exact version"):
        marks.mark(KEY.versionless, KeyState.RETIRING)
    with pytest.raises(InvalidInputError, match="details is a JSON object"):
        marks.mark(KEY, KeyState.RETIRING, {"x": object()})


@pytest.mark.parametrize("state", KeyState)
def test_promise_8_a_version_that_is_to_go_gets_no_new_envelope(
    state: KeyState, store: SqlRecords, maker: Maker
) -> None:
    second = maker.first.rotate()
    (kept,) = store.add(maker.record())
    store.key_marks.mark(maker.first.id, state)
    for refused in (
        lambda: store.add(maker.record()),
        lambda: store.load([maker.record()]),
        lambda: store.replace(kept.with_envelope(maker.again(kept, maker.first))),
    ):
        with pytest.raises(InvalidStateError, match=f"is {state}, and no record gets"):
            refused()
    # What is under it already can be moved between sets, and to another version.
    moved = store.replace(attrs.evolve(kept, set="other"))
    store.replace(moved.with_envelope(maker.again(moved, second)))
    store.add(maker.record(second))
    assert {row.key for row in store.census()} == {second.id}


def test_promise_8_a_mark_waits_for_what_began_before(shared_url: str, maker: Maker) -> None:
    with open_records(shared_url) as store, open_records(shared_url) as other:
        marked = threading.Event()

        def mark() -> None:
            other.key_marks.mark(maker.first.id, KeyState.RETIRING)
            marked.set()

        thread = threading.Thread(target=mark)
        with store._database.writing() as connection:
            require_unmarked(store._database, connection, [maker.first.id])
            thread.start()
            assert not marked.wait(0.3)
        assert marked.wait(10)
        thread.join()
        with pytest.raises(InvalidStateError):
            store.add(maker.record())


def test_a_set_is_kept_changed_and_deleted(store: SqlRecords) -> None:
    sets = store.sets
    document = {"encryptionType": "EncryptionAtRestWithCustomerKey", "previousKeys": []}
    made = sets.add(StoredSet(name="web", key=KEY, document=document))
    assert made == sets.get("web")
    assert (made.key, made.document, made.generation) == (KEY, document, 1)
    with pytest.raises(AlreadyExistsError, match="'web'"):
        sets.add(StoredSet(name="web", key=KEY))
    following = sets.add(StoredSet(name="data", key=KEY.versionless))
    sets.add(StoredSet(name="other", key=KeyId.parse("memory:other")))
    assert [each.name for each in sets.all()] == ["data", "other", "web"]
    assert sets.all(KEY) == sets.all(KEY.versionless) == [following, made]
    changed = sets.replace(attrs.evolve(made, document={"a": 1}))
    assert (changed.generation, sets.get("web").document) == (2, {"a": 1})
    for change in (sets.replace, sets.delete):
        with pytest.raises(ConflictError):
            change(made)
    sets.delete(changed)
    with pytest.raises(NotFoundError, match="'web'"):
        sets.get("web")


def test_a_set_with_records_is_not_deleted(store: SqlRecords, maker: Maker) -> None:
    made = store.sets.add(StoredSet(name="web", key=KEY))
    (record,) = store.add(maker.record(set="web"))
    with pytest.raises(InvalidStateError, match="there are records in"):
        store.sets.delete(made)
    store.delete(record)
    store.sets.delete(made)


@pytest.mark.parametrize("name", ["", "a\0b", "\ud800", "x" * 257])
def test_a_sets_name_is_text_that_every_database_keeps(name: str, store: SqlRecords) -> None:
    with pytest.raises(InvalidInputError, match="no name of a set"):
        store.sets.add(StoredSet(name=name, key=KEY))
