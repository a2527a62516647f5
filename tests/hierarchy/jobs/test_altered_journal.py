"""Who may write the database cannot send a job's records to a key of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import attrs
import pytest

import keyhier
from keyhier import IntegrityError, InvalidStateError, Key, Vault
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.volume import Volume
from keyhier.hierarchy.work import Work
from keyhier.records import Job, JobState, Record
from keyhier.records.sql.store import SqlRecords
from tests.hierarchy.jobs.scene import fill


@pytest.fixture
def there() -> Iterator[Vault]:
    with keyhier.open("memory:") as vault:
        vault.create_key("there", "AES-256")
        yield vault


def interrupt(_: Job) -> None:
    raise KeyboardInterrupt


STOPPED = Work(started=interrupt)


def alter(store: SqlRecords, **changes: Any) -> Job:
    """Change the one job as somebody does who may write the database."""
    (job,) = store.journal.jobs(ended=False)
    intent = {**job.intent, **changes.pop("intent", {})}
    return store.journal.update(attrs.evolve(job, intent=intent, **changes))


@pytest.fixture
def records(store: SqlRecords, memory: Vault) -> list[Record]:
    return fill(store, memory.key("kek"), 3)


@pytest.fixture
def theirs(memory: Vault) -> Key:
    """A key of the attacker's in the hierarchy's own vault."""
    return memory.create_key("theirs", "AES-256")


def unchanged(store: SqlRecords, records: list[Record]) -> bool:
    return [store.get(record.id) for record in records] == records


@pytest.mark.parametrize("target", [False, True], ids=["before", "after"])
def test_a_rotation_does_not_put_records_under_another_key(
    store: SqlRecords, memory: Vault, records: list[Record], theirs: Key, target: bool
) -> None:
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.rotate("kek", STOPPED)
    to = {"to": [str(theirs.id)]}
    job = alter(store, target=theirs.id) if target else alter(store, intent=to)
    with pytest.raises(IntegrityError, match="who changed the journal"):
        hierarchy.rotate("kek")
    with pytest.raises(IntegrityError, match="who changed the journal"):
        hierarchy.jobs.resume(job.id)
    assert unchanged(store, records)
    # It can still be ended.
    assert hierarchy.jobs.roll_back(job.id).job.state is JobState.ROLLED_BACK


def test_a_migration_does_not_put_records_under_a_key_that_the_map_does_not_say(
    store: SqlRecords, memory: Vault, there: Vault, records: list[Record]
) -> None:
    theirs = there.create_key("theirs", "AES-256")
    hierarchy, key_map = Hierarchy(memory, store), {"kek": "there"}
    with pytest.raises(KeyboardInterrupt):
        hierarchy.migrate(there, key_map, STOPPED)
    job = alter(store, intent={"to": [str(theirs.id)]})
    with pytest.raises(IntegrityError, match=r"under memory:theirs, .* under memory:there"):
        hierarchy.migrate(there, key_map)
    with pytest.raises(IntegrityError):
        hierarchy.jobs_beside(there, key_map).resume(job.id)
    with pytest.raises(IntegrityError):
        hierarchy.preview_migration(there, key_map)
    assert unchanged(store, records)


def test_a_migration_does_not_put_records_into_another_vault_than_the_one_that_is_given(
    store: SqlRecords, memory: Vault, softhsm_vault: Vault, records: list[Record], theirs: Key
) -> None:
    softhsm_vault.create_key("kek", "AES-256")
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.migrate(softhsm_vault, work=STOPPED)
    job = alter(store, intent={"to": [str(theirs.id)]})
    with pytest.raises(IntegrityError, match=f"job {job.id} would put"):
        hierarchy.migrate(softhsm_vault)
    assert unchanged(store, records)


def test_a_migration_is_gone_on_with_under_the_map_that_it_was_begun_with(
    store: SqlRecords, memory: Vault, there: Vault, records: list[Record]
) -> None:
    hierarchy, key_map = Hierarchy(memory, store), {"kek": "there"}
    with pytest.raises(KeyboardInterrupt):
        hierarchy.migrate(there, key_map, STOPPED)
    (job,) = store.journal.jobs()
    with pytest.raises(IntegrityError, match="give the vault and the key map"):
        hierarchy.jobs_beside(there).resume(job.id)
    assert hierarchy.jobs_beside(there, key_map).resume(job.id).complete


def test_a_job_is_not_taken_for_one_of_another_kind(
    store: SqlRecords, memory: Vault, there: Vault, records: list[Record]
) -> None:
    hierarchy = Hierarchy(memory, store)
    rotation = hierarchy.rotate("kek").job
    with pytest.raises(InvalidStateError, match="keyhier rotate --join"):
        hierarchy.jobs_beside(there).resume(rotation.id)
    hierarchy.jobs.finalize(rotation.id)
    migration = hierarchy.migrate(there, {"kek": "there"}).job
    with pytest.raises(InvalidStateError, match="keyhier migrate --to"):
        hierarchy.jobs.resume(migration.id)


@pytest.fixture
def older(memory: Vault, records: list[Record]) -> Key:
    """The version that the records need; a newer one was made without them."""
    first = memory.key("kek")
    first.rotate()
    return first


def test_a_rotation_does_not_put_records_under_an_older_version_than_they_need(
    store: SqlRecords, memory: Vault, older: Key
) -> None:
    newer = fill(store, memory.key("kek"), 3)
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.rotate("kek", STOPPED)
    job = alter(store, target=older.id)
    # Nor where it looks like one to a version that somebody named.
    for intent in (job.intent, {"from": job.intent["from"]}):
        job = store.journal.update(attrs.evolve(job, intent=intent))
        with pytest.raises(IntegrityError, match=f"under {older.id}, .* not known to be newer"):
            hierarchy.rotate("kek")
        with pytest.raises(IntegrityError, match="not known to be newer"):
            hierarchy.jobs.resume(job.id)
        with pytest.raises(IntegrityError, match="not known to be newer"):
            hierarchy.preview_rotation("kek")
        assert unchanged(store, newer)
    assert hierarchy.jobs.roll_back(job.id).job.state is JobState.ROLLED_BACK


def test_an_older_version_that_is_named_is_what_records_go_under(
    store: SqlRecords, memory: Vault, older: Key
) -> None:
    newer = fill(store, memory.key("kek"), 3)
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.rotate(older.id, STOPPED)
    with pytest.raises(IntegrityError, match="not known to be newer"):
        hierarchy.rotate("kek")
    assert hierarchy.rotate(older.id).complete
    assert {store.get(record.id).key for record in newer} == {older.id}


def test_a_version_that_was_made_meanwhile_does_not_stop_a_rotation(
    store: SqlRecords, memory: Vault, records: list[Record]
) -> None:
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.rotate("kek", STOPPED)
    (job,) = store.journal.jobs()
    made = memory.key("kek").rotate(tag=job.id)
    memory.key("kek").rotate()
    assert hierarchy.rotate("kek").job.target == made.id


@pytest.mark.parametrize(
    "intent",
    [{"latest": "memory:theirs/1"}, {"latest": "memory:kek/1"}, {"latest": 1}, {"latest": "x"}],
    ids=str,
)
def test_a_rotation_makes_no_version_of_what_the_journal_names_and_it_was_not_begun_with(
    store: SqlRecords, memory: Vault, records: list[Record], theirs: Key, intent: dict[str, Any]
) -> None:
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.rotate("kek", STOPPED)
    alter(store, intent=intent)
    with pytest.raises(IntegrityError, match="who changed the journal"):
        hierarchy.rotate("kek")
    assert [len(memory.key(name).versions()) for name in ("kek", "theirs")] == [1, 1]
    assert unchanged(store, records)


@pytest.mark.parametrize("sources", [None, "kek", [1], ["x"], [["memory:kek/1"]]], ids=str)
def test_a_journal_that_cannot_be_read_is_told(
    store: SqlRecords, memory: Vault, records: list[Record], sources: object
) -> None:
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.rotate("kek", STOPPED)
    job = alter(store, intent={"from": sources})
    with pytest.raises(IntegrityError, match="who changed the journal"):
        hierarchy.rotate("kek")
    assert unchanged(store, records)
    assert hierarchy.jobs.roll_back(job.id).job.state is JobState.ROLLED_BACK


@pytest.mark.parametrize("sources", [None, [1]], ids=str)
def test_a_preview_of_a_journal_that_cannot_be_read_tells_it(
    store: SqlRecords, memory: Vault, records: list[Record], sources: object
) -> None:
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.rotate("kek", STOPPED)
    alter(store, intent={"from": sources})
    with pytest.raises(IntegrityError, match="who changed the journal"):
        hierarchy.preview_rotation("kek")


@pytest.mark.parametrize(
    "intent",
    [{"to": 1}, {"to": "x"}, {"to": [1]}, {"to": ["x"]}, {"to": None}, {"from": None}],
    ids=str,
)
def test_a_migration_whose_journal_cannot_be_read_is_told(
    store: SqlRecords,
    memory: Vault,
    there: Vault,
    records: list[Record],
    intent: dict[str, Any],
) -> None:
    hierarchy, key_map = Hierarchy(memory, store), {"kek": "there"}
    with pytest.raises(KeyboardInterrupt):
        hierarchy.migrate(there, key_map, STOPPED)
    alter(store, intent=intent)
    for attempt in (hierarchy.migrate, hierarchy.preview_migration):
        with pytest.raises(IntegrityError, match="who changed the journal"):
            attempt(there, key_map)
    assert unchanged(store, records)


def test_a_migration_does_not_put_records_under_an_older_version_unless_the_map_names_it(
    store: SqlRecords, memory: Vault, there: Vault, records: list[Record]
) -> None:
    hierarchy, key_map = Hierarchy(memory, store), {"kek": "there"}
    first = there.key("there")
    first.rotate()
    with pytest.raises(KeyboardInterrupt):
        hierarchy.migrate(there, key_map, STOPPED)
    job = alter(store, intent={"to": [str(first.id)]})
    with pytest.raises(IntegrityError, match="is not the newest"):
        hierarchy.migrate(there, key_map)
    with pytest.raises(IntegrityError, match="is not the newest"):
        hierarchy.jobs_beside(there, key_map).resume(job.id)
    with pytest.raises(IntegrityError, match="is not the newest"):
        hierarchy.preview_migration(there, key_map)
    assert unchanged(store, records)
    assert hierarchy.migrate(there, {"kek": str(first.id)}).complete
    assert {store.get(record.id).key for record in records} == {first.id}


def test_a_migration_to_a_version_that_the_map_names_goes_to_no_other(
    store: SqlRecords, memory: Vault, there: Vault, records: list[Record]
) -> None:
    first = there.key("there")
    newest = first.rotate()
    hierarchy, key_map = Hierarchy(memory, store), {"kek": str(first.id)}
    with pytest.raises(KeyboardInterrupt):
        hierarchy.migrate(there, key_map, STOPPED)
    job = alter(store, intent={"to": [str(newest.id)]})
    with pytest.raises(IntegrityError, match=f"asked to go under {first.id}"):
        hierarchy.migrate(there, key_map)
    assert unchanged(store, records)
    hierarchy.jobs.roll_back(job.id)
    assert hierarchy.migrate(there, key_map).complete
    assert {store.get(record.id).key for record in records} == {first.id}


def test_a_kek_in_records_is_not_rotated_back(store: SqlRecords, memory: Vault) -> None:
    with Hierarchy(memory, store) as hierarchy:
        made = hierarchy.create_kek("mid", under="kek")
        records = [hierarchy.protect(Volume("web", "C:"), b"a key", under="mid")]
        first = hierarchy.rotate("mid").job
        hierarchy.jobs.finalize(first.id)
        records = [store.get(records[0].id)]
        with pytest.raises(KeyboardInterrupt):
            hierarchy.rotate("mid", STOPPED)
        job = alter(store, target=made.id)
        for intent in (job.intent, {"from": job.intent["from"]}):
            job = store.journal.update(attrs.evolve(job, intent=intent))
            with pytest.raises(IntegrityError, match="was not made for it"):
                hierarchy.rotate("mid")
            assert unchanged(store, records)
        assert hierarchy.rotate(made.id).complete
