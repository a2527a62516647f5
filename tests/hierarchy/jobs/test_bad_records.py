"""Records, vaults and disks that fail in the middle of a job: told, and all else is done."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest
from sqlalchemy import Engine, event

import keyhier
from keyhier import (
    AccessDeniedError,
    CapacityError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
    UnwrapError,
    Vault,
)
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.work import Work
from keyhier.records import ItemState, Job, JobState, Query, Record, Swap, open_records
from keyhier.records.sql.store import SqlRecords
from tests.hierarchy.jobs.scene import (
    alter,
    bound_to,
    by_id,
    check_done,
    fill,
    secret_of,
    untouched,
)
from tests.hierarchy.jobs.vaults import refusing_vault

ONE = Work(threads=1, batch=4)


def test_a_record_that_was_altered_or_swapped_is_named_and_left_and_the_rest_is_done(
    damaged: Path, memory: Vault
) -> None:
    with open_records(f"sqlite:{damaged}") as store:
        key = memory.key("kek")
        good = fill(store, key, 10)
        altered, swapped, moved, gone = fill(store, key, 4)
        head, encrypted, iv, text, tag = altered.envelope.split(".")
        other = "B" if tag[0] == "A" else "A"
        alter(damaged, altered.id, envelope=".".join((head, encrypted, iv, text, other + tag[1:])))
        alter(damaged, swapped.id, envelope=good[0].envelope)
        alter(damaged, moved.id, vm="another-machine")
        alter(damaged, gone.id, envelope="no envelope")
        before = by_id(store)
        hierarchy = Hierarchy(memory, store)
        report = hierarchy.rotate("kek", ONE)
        assert not report.complete
        assert report.job.state is JobState.OPEN
        failed = {
            item.record: item for item in store.journal.items(report.job.id, ItemState.FAILED)
        }
        assert failed.keys() == {altered.id, swapped.id, moved.id, gone.id}
        assert failed[altered.id].error == UnwrapError.__name__
        assert failed[swapped.id].error == IntegrityError.__name__
        assert failed[gone.id].error == InvalidInputError.__name__
        for record_id in failed:
            assert store.get(record_id) == before[record_id]
        assert report.counts[ItemState.SWAPPED] == 10
        # Once it is repaired, a second run finishes.
        for record in (altered, swapped, moved, gone):
            alter(damaged, record.id, envelope=record.envelope, vm=record.vm or "")
        again = hierarchy.rotate("kek", ONE)
        assert again.complete
        assert again.counts[ItemState.SWAPPED] == 14
        assert len(key.versions()) == 2


def test_a_record_whose_key_is_gone_is_named(store: SqlRecords, memory: Vault) -> None:
    with keyhier.open("memory:") as lost:
        (record,) = fill(store, lost.create_key("kek", "AES-256"), 1)
    fill(store, memory.key("kek"), 3)
    report = Hierarchy(memory, store).rotate("kek", ONE)
    (failed,) = store.journal.items(report.job.id, ItemState.FAILED)
    assert (failed.record, failed.error) == (record.id, NotFoundError.__name__)
    assert report.counts[ItemState.SWAPPED] == 3


def test_a_record_that_holds_another_jobs_envelope_is_named(
    store: SqlRecords, memory: Vault
) -> None:
    fill(store, memory.key("kek"), 2)
    hierarchy = Hierarchy(memory, store)
    job = store.journal.begin(Job(kind="other", keys=("something else",)))
    store.journal.plan(job.id, Query())
    (claim, _) = store.journal.claim(job.id, "me", 2, 60)
    again = memory.key("kek").wrap(secret_of(claim.record.id), context=bound_to(claim.record.id))
    store.journal.swap([Swap(claim, again)])
    report = hierarchy.rotate("kek", ONE)
    (failed,) = store.journal.items(report.job.id, ItemState.FAILED)
    assert failed.record == claim.record.id
    assert job.id in (failed.text or "")


def test_records_that_change_while_they_are_worked_on_are_read_again(
    store: SqlRecords, memory: Vault
) -> None:
    records = fill(store, memory.key("kek"), 6)

    def change(counts: object) -> None:
        if not changed:
            changed.append(store.replace(attrs.evolve(store.get(records[5].id), vm=None)))

    changed: list[Record] = []
    report = Hierarchy(memory, store).rotate("kek", Work(threads=1, batch=2, progress=change))
    assert report.counts[ItemState.SWAPPED] + report.counts[ItemState.FAILED] == 6
    assert store.get(records[5].id).vm is None


# ---------------------------------------------------------------------- vaults that refuse


@pytest.mark.parametrize("error", [UnavailableError("away"), AccessDeniedError("refused")])
def test_a_vault_that_refuses_half_way_stops_the_job_and_a_second_run_finishes_it(
    store: SqlRecords, error: keyhier.KeyhierError
) -> None:
    vault, driver = refusing_vault(error)
    fill(store, vault.create_key("kek", "AES-256"), 40)
    before = by_id(store)
    driver.left = 50
    hierarchy = Hierarchy(vault, store)
    with pytest.raises(type(error)):
        hierarchy.rotate("kek", ONE)
    (job,) = store.journal.jobs()
    counts = store.journal.counts(job.id)
    assert counts[ItemState.FAILED] == 0
    assert 0 < counts[ItemState.SWAPPED] < 40
    # Nothing is leased any more, so nobody has to wait.
    driver.left = None
    report = hierarchy.rotate("kek", attrs.evolve(ONE, lease=3600))
    check_done(store, report.job.id, before, vault.key("kek").id, vault)
    assert len(vault.key("kek").versions()) == 2


def test_a_record_that_alone_meets_a_refusal_is_named(store: SqlRecords) -> None:
    vault, driver = refusing_vault(UnavailableError("away"))
    records = fill(store, vault.create_key("kek", "AES-256"), 20)
    driver.refused = {
        records[3].wrapped.encrypted_key.hex(),
        records[19].wrapped.encrypted_key.hex(),
    }
    report = Hierarchy(vault, store).rotate("kek", ONE)
    failed = [item.record for item in store.journal.items(report.job.id, ItemState.FAILED)]
    assert failed == sorted([records[3].id, records[19].id])
    assert report.counts[ItemState.SWAPPED] == 18


# ---------------------------------------------------------------------- full disks


@contextmanager
def little_room(url: str) -> Iterator[None]:
    """Have a disk that takes hardly more than is on it, of a store that nobody has open."""
    if url.startswith("postgresql"):
        # The server's own disk is not for a test to fill.
        with open_records(url) as store, store._database.writing() as connection:
            connection.exec_driver_sql("""
                CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
                BEGIN
                    IF (SELECT count(*) FROM keyhier_records WHERE previous_job IS NOT NULL) >= 20
                    THEN RAISE EXCEPTION 'No space left on device' USING ERRCODE = '53100'; END IF;
                    RETURN NEW;
                END $$;
                CREATE TRIGGER full_disk BEFORE UPDATE ON keyhier_records
                FOR EACH ROW WHEN (NEW.previous_job IS NOT NULL) EXECUTE FUNCTION full_disk();
            """)
        yield
        with open_records(url) as store, store._database.writing() as connection:
            connection.exec_driver_sql("DROP FUNCTION full_disk CASCADE")
        return
    with open_records(url) as store, store._database.reading() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def limit(connection: object, _: object) -> None:
        # SQLite counts the pages itself.
        if isinstance(connection, sqlite3.Connection):
            connection.execute(f"PRAGMA max_page_count = {pages + 30}")

    event.listen(Engine, "connect", limit)
    yield
    event.remove(Engine, "connect", limit)


def test_promise_8_a_disk_that_is_full_in_the_middle_of_a_job_is_told_and_a_second_run_finishes(
    shared_url: str, memory: Vault
) -> None:
    with open_records(shared_url) as store:
        fill(store, memory.key("kek"), 150)
        before, fingerprint = by_id(store), untouched(store)
    with little_room(shared_url), open_records(shared_url) as store:
        hierarchy = Hierarchy(memory, store)
        with pytest.raises(CapacityError, match="disk is full"):
            hierarchy.rotate("kek", attrs.evolve(ONE, lease=1))
        (job,) = store.journal.jobs()
        counts = store.journal.counts(job.id)
        assert counts[ItemState.FAILED] == 0
        assert 0 < counts[ItemState.SWAPPED] < 150
        assert by_id(store).keys() == before.keys()
        assert hierarchy.verify().failed == ()
    with open_records(shared_url) as store:
        report = Hierarchy(memory, store).rotate("kek", ONE)
        assert report.job.id == job.id
        check_done(store, job.id, before, memory.key("kek").id, memory)
        assert untouched(store) == fingerprint
    assert len(memory.key("kek").versions()) == 2
