"""Rotation: everything under a new version, what fails named and left, nothing done twice."""

from __future__ import annotations

import sqlite3
import threading
from pathlib import Path

import pytest

import keyhier
from keyhier import (
    ConflictError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyId,
    NotFoundError,
    Vault,
)
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.work import Work
from keyhier.records import ItemState, Job, JobState, Query, open_records
from keyhier.records.sql.store import SqlRecords
from tests.hierarchy.jobs.scene import (
    alter,
    by_id,
    check_done,
    fill,
    untouched,
)
from tests.hierarchy.jobs.vaults import counting_vault, network_vault
from tests.pkcs11.foreign_objects import put_aes

ONE = Work(threads=1, batch=4)


def test_everything_goes_under_one_new_version(store: SqlRecords, memory: Vault) -> None:
    old = memory.key("kek")
    fill(store, old, 30)
    before, fingerprint = by_id(store), untouched(store)
    report = Hierarchy(memory, store).rotate("kek")
    new = memory.key("kek")
    assert [key.id for key in new.versions()] == [old.id, new.id]
    assert report.job.target == new.id
    check_done(store, report.job.id, before, new.id, memory)
    assert untouched(store) == fingerprint


def test_records_of_every_older_version_are_taken_along(store: SqlRecords, memory: Vault) -> None:
    fill(store, memory.key("kek"), 3)
    fill(store, memory.key("kek").rotate(), 3)
    hierarchy = Hierarchy(memory, store)
    report = hierarchy.rotate("kek")
    assert report.complete
    assert store.count(Query(key=memory.key("kek").id)) == 6


def test_records_under_other_keys_are_left_alone(store: SqlRecords, memory: Vault) -> None:
    fill(store, memory.key("kek"), 3)
    others = fill(store, memory.create_key("other", "AES-256"), 3)
    Hierarchy(memory, store).rotate("kek")
    assert [store.get(record.id) for record in others] == others


def test_progress_is_told_from_nothing_to_everything(store: SqlRecords, memory: Vault) -> None:
    fill(store, memory.key("kek"), 10)
    told: list[int] = []
    work = Work(batch=4, progress=lambda counts: told.append(counts[ItemState.SWAPPED]))
    Hierarchy(memory, store).rotate("kek", work)
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, 10)


def test_a_rotation_onto_a_version_that_is_there_makes_none(
    store: SqlRecords, memory: Vault
) -> None:
    fill(store, memory.key("kek"), 3)
    new = memory.key("kek").rotate()
    hierarchy = Hierarchy(memory, store)
    report = hierarchy.rotate(new.id)
    assert report.complete
    assert len(new.versions()) == 2
    assert store.count(Query(key=new.id)) == 3
    with pytest.raises(InvalidStateError, match="to another version"):
        hierarchy.rotate(new.versions()[0].id)


def test_a_second_run_of_a_finished_job_makes_no_call_to_the_vault(store: SqlRecords) -> None:
    vault, calls = counting_vault()
    with vault:
        fill(store, vault.create_key("kek", "AES-256"), 10)
        first = Hierarchy(vault, store).rotate("kek")
        calls.clear()
        hierarchy = Hierarchy(vault, store)
        for again in (
            hierarchy.rotate("kek"),
            hierarchy.rotate(KeyId.parse("memory:kek")),
            hierarchy.jobs.resume(first.job.id),
        ):
            assert again == first
            assert again.was_done
        assert calls == []
    assert not first.was_done


def test_what_comes_under_the_old_version_meanwhile_is_done_by_the_next_run(
    store: SqlRecords, memory: Vault
) -> None:
    old = memory.key("kek")
    fill(store, old, 3)
    hierarchy = Hierarchy(memory, store)
    job = hierarchy.rotate("kek").job
    fill(store, old, 2)
    with pytest.raises(InvalidStateError, match="come under the old versions: 2"):
        hierarchy.jobs.finalize(job.id)
    assert hierarchy.rotate("kek").job.id == job.id
    assert hierarchy.jobs.finalize(job.id).state is JobState.FINALIZED
    assert store.count(Query(key=memory.key("kek").id)) == 5
    assert len(old.versions()) == 2


def test_a_version_newer_than_the_target_is_not_turned_back(
    store: SqlRecords, memory: Vault
) -> None:
    fill(store, memory.key("kek"), 3)
    hierarchy = Hierarchy(memory, store)
    job = hierarchy.rotate("kek").job
    newer = fill(store, memory.key("kek").rotate(), 2)
    hierarchy.rotate("kek")
    assert job.target != memory.key("kek").id
    assert [store.get(record.id) for record in newer] == newer


def test_the_next_rotation_begins_when_the_last_has_ended(store: SqlRecords, memory: Vault) -> None:
    fill(store, memory.key("kek"), 3)
    hierarchy = Hierarchy(memory, store)
    first = hierarchy.rotate("kek").job
    hierarchy.jobs.finalize(first.id)
    second = hierarchy.rotate("kek").job
    assert second.id != first.id
    assert len(memory.key("kek").versions()) == 3


def test_a_key_that_is_not_there_is_not_rotated(store: SqlRecords, memory: Vault) -> None:
    with pytest.raises(NotFoundError):
        Hierarchy(memory, store).rotate("nothing")
    assert store.journal.jobs() == []


def test_a_job_of_another_kind_keeps_the_key(store: SqlRecords, memory: Vault) -> None:
    job = store.journal.begin(Job(kind="other", keys=("memory:kek",)))
    with pytest.raises(ConflictError, match=job.id):
        Hierarchy(memory, store).rotate("kek")
    assert len(memory.key("kek").versions()) == 1


@pytest.mark.parametrize("threads", [0, -1])
def test_work_needs_a_thread(threads: int) -> None:
    with pytest.raises(InvalidInputError):
        Work(threads=threads)


@pytest.mark.parametrize("batch", [0, 1001])
def test_a_batch_has_a_size_that_a_store_takes(batch: int) -> None:
    with pytest.raises(InvalidInputError):
        Work(batch=batch)


def test_whoever_rotates_is_told_the_job_before_anything_is_made(
    store: SqlRecords, memory: Vault
) -> None:
    fill(store, memory.key("kek"), 3)

    def interrupt(job: Job) -> None:
        told.append(job)
        raise KeyboardInterrupt

    told: list[Job] = []
    with pytest.raises(KeyboardInterrupt):
        Hierarchy(memory, store).rotate("kek", Work(started=interrupt))
    assert len(memory.key("kek").versions()) == 1
    assert Hierarchy(memory, store).rotate("kek").job.id == told[0].id


# ---------------------------------------------------------------------- two at once


def test_two_rotations_of_one_key_at_once_make_one_new_version(
    shared_url: str, tmp_path: Path
) -> None:
    with keyhier.open("memory:") as vault, open_records(shared_url) as store:
        fill(store, vault.create_key("kek", "AES-256"), 40)
        before = by_id(store)
        barrier = threading.Barrier(4)
        jobs: list[str] = []

        def work() -> None:
            with open_records(shared_url) as mine:
                hierarchy = Hierarchy(vault, mine)
                barrier.wait()
                jobs.append(hierarchy.rotate("kek", Work(threads=1, batch=4)).job.id)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(jobs) == 4
        assert len(set(jobs)) == 1
        assert len(vault.key("kek").versions()) == 2
        check_done(store, jobs[0], before, vault.key("kek").id, vault)


# ---------------------------------------------------------------------- bad vaults


def test_a_new_version_that_cannot_be_used_stops_the_job_at_once(
    store: SqlRecords, memory: Vault
) -> None:
    fill(store, memory.key("kek"), 20)
    new = memory.key("kek").rotate()
    new.disable()
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(InvalidStateError, match="disabled"):
        hierarchy.rotate(new.id)
    (job,) = store.journal.jobs()
    assert store.journal.counts(job.id)[ItemState.PENDING] == 20
    new.enable()
    assert hierarchy.rotate(new.id).complete


def test_a_vault_that_makes_no_version_for_a_job_says_so_before_one_is_begun(
    store: SqlRecords,
) -> None:
    vault, _ = counting_vault()
    fill(store, vault.create_key("kek", "AES-256"), 2)
    untagged = Vault(_Untagged(vault), uri="memory:")
    with pytest.raises(keyhier.UnsupportedError, match="for a job"):
        Hierarchy(untagged, store).rotate("kek")
    assert store.journal.jobs() == []
    # It rotates to a version that was made by other means.
    new = vault.key("kek").rotate()
    assert Hierarchy(untagged, store).rotate(new.id).complete


def test_a_key_that_cannot_be_rotated_leaves_no_job_behind(
    store: SqlRecords, softhsm_vault: Vault
) -> None:
    put_aes(softhsm_vault._opened.driver, "theirs", b"01")
    fill(store, softhsm_vault.key("theirs"), 1)
    with pytest.raises(InvalidStateError, match="keyhier did not make"):
        Hierarchy(softhsm_vault, store).rotate("theirs")
    assert store.journal.jobs() == []


class _Untagged:
    """A driver that can do what every driver can."""

    def __init__(self, vault: Vault) -> None:
        driver = vault._opened.driver
        self.scheme, self.vault = driver.scheme, driver.vault
        self.key_specs, self.algorithms = driver.key_specs, driver.algorithms
        self.get_key, self.list_keys = driver.get_key, driver.list_keys
        self.list_versions, self.create_key = driver.list_versions, driver.create_key
        self.wrap, self.unwrap, self.close = driver.wrap, driver.unwrap, driver.close


# ---------------------------------------------------------------------- ends


def test_a_roll_back_brings_every_envelope_back(store: SqlRecords, memory: Vault) -> None:
    fill(store, memory.key("kek"), 10)
    before = by_id(store)
    hierarchy = Hierarchy(memory, store)
    job = hierarchy.rotate("kek").job
    done = hierarchy.jobs.roll_back(job.id)
    assert (done.restored, done.failed, done.job.state) == (10, (), JobState.ROLLED_BACK)
    after = by_id(store)
    assert {name: record.envelope for name, record in after.items()} == {
        name: record.envelope for name, record in before.items()
    }
    assert hierarchy.jobs.roll_back(job.id).restored == 0
    assert hierarchy.jobs.resume(job.id).job.state is JobState.ROLLED_BACK


def test_an_envelope_that_would_not_open_is_not_brought_back(
    store: SqlRecords, memory: Vault
) -> None:
    old = memory.key("kek")
    fill(store, old, 4)
    hierarchy = Hierarchy(memory, store)
    job = hierarchy.rotate("kek").job
    old.disable()
    before = by_id(store)
    done = hierarchy.jobs.roll_back(job.id)
    assert len(done.failed) == 4
    assert done.job.state is JobState.ROLLING_BACK
    assert by_id(store) == before
    old.enable()
    assert hierarchy.jobs.roll_back(job.id).restored == 4


def test_a_finalised_job_is_not_rolled_back(store: SqlRecords, memory: Vault) -> None:
    fill(store, memory.key("kek"), 2)
    hierarchy = Hierarchy(memory, store)
    job = hierarchy.rotate("kek").job
    hierarchy.jobs.finalize(job.id)
    assert all(record.previous is None for record in store.find())
    with pytest.raises(InvalidStateError):
        hierarchy.jobs.roll_back(job.id)


# ---------------------------------------------------------------------- dry runs


def test_a_dry_run_leaves_the_logical_dump_identical(damaged: Path, memory: Vault) -> None:
    key = memory.key("kek")
    with open_records(f"sqlite:{damaged}") as store:
        records = fill(store, key, 10)
    alter(damaged, records[0].id, envelope=records[1].envelope)
    before = dump(damaged)
    with open_records(f"sqlite:{damaged}", read_only=True) as store:
        found = Hierarchy(memory, store).preview_rotation("kek")
    assert found.count == 10
    assert found.versions == ((key.id, None),)
    assert [name for name, _ in found.broken] == [records[0].id]
    assert found.job is None
    assert dump(damaged) == before
    assert len(key.versions()) == 1


def test_a_dry_run_of_a_job_that_was_begun_names_it(store: SqlRecords, memory: Vault) -> None:
    fill(store, memory.key("kek"), 3)
    hierarchy = Hierarchy(memory, store)
    job = hierarchy.rotate("kek").job
    found = hierarchy.preview_rotation("kek")
    assert (found.count, found.job, found.versions[0][1]) == (0, job, job.target)


def test_promise_4_a_journal_that_was_altered_sends_nothing_to_another_key(
    store: SqlRecords, memory: Vault
) -> None:
    kek, other = memory.key("kek"), memory.create_key("other", "AES-256")
    before = fill(store, kek, 3)
    keys = (str(kek.id.versionless),)
    store.journal.begin(
        Job(kind="rotate", keys=keys, intent={"from": [str(kek.id)]}, target=other.id)
    )
    with pytest.raises(IntegrityError, match="which is another key"):
        Hierarchy(memory, store).rotate("kek")
    assert [store.get(record.id) for record in before] == before


def dump(path: Path) -> list[str]:
    with sqlite3.connect(path) as connection:
        lines = list(connection.iterdump())
    connection.close()
    return lines


def test_as_many_records_are_worked_on_at_once_as_the_vault_is_used_best_by(
    store: SqlRecords,
) -> None:
    vault, at_once = network_vault()
    with vault:
        key = vault.create_key("kek", "RSA-2048")
        fill(store, key, at_once)
        hierarchy = Hierarchy(vault, store)
        job = hierarchy.rotate("kek").job
        assert job.state is JobState.DONE
        assert hierarchy.jobs.roll_back(job.id).restored == at_once
