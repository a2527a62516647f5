"""Two vaults in memory name their keys alike; a version tells whose a key is."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

import keyhier
from keyhier import (
    AmbiguousError,
    IntegrityError,
    InvalidStateError,
    Key,
    KeyId,
    NotFoundError,
    Vault,
)
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.work import Work
from keyhier.records import Job, JobState
from keyhier.records.sql.store import SqlRecords
from tests.hierarchy.jobs.conftest import memory_file
from tests.hierarchy.jobs.scene import by_id, check_done, fill

KEK = KeyId.parse("memory:kek")


@pytest.fixture
def twin(memory: Vault) -> Iterator[Vault]:
    with keyhier.open("memory:") as vault:
        vault.create_key("kek", "AES-256")
        yield vault


def interrupt(_: Job) -> None:
    raise KeyboardInterrupt


def begin(store: SqlRecords, *vaults: Vault) -> Job:
    """Begin a rotation that is interrupted before its version is made."""
    with pytest.raises(KeyboardInterrupt):
        Hierarchy(vaults, store).rotate(KEK, Work(started=interrupt))
    (job,) = store.journal.jobs()
    return job


def versions(vault: Vault) -> list[Key]:
    return vault.key("kek").versions()


@pytest.mark.parametrize("home", [0, 1])
def test_a_rotation_makes_its_version_where_it_was_begun_however_the_vaults_are_opened_later(
    store: SqlRecords, memory: Vault, twin: Vault, home: int
) -> None:
    first, second = (memory, twin) if home == 0 else (twin, memory)
    fill(store, first.key("kek"), 2)
    fill(store, second.key("kek"), 2)
    before = by_id(store)
    job = begin(store, first, second)
    Hierarchy((second, first), store).jobs.resume(job.id)
    assert (len(versions(first)), len(versions(second))) == (2, 1)
    check_done(store, job.id, before, first.key("kek").id, first, second)


def test_whoever_was_killed_after_the_version_was_made_finds_it_in_any_order(
    store: SqlRecords, memory: Vault, twin: Vault
) -> None:
    fill(store, memory.key("kek"), 2)
    before = by_id(store)
    job = begin(store, memory, twin)
    made = memory.key("kek").rotate(tag=job.intent["tag"])
    report = Hierarchy((twin, memory), store).rotate(KEK)
    assert report.job.target == made.id
    assert (len(versions(memory)), len(versions(twin))) == (2, 1)
    check_done(store, job.id, before, made.id, memory)


def test_without_the_vault_in_which_it_was_begun_a_rotation_makes_nothing(
    store: SqlRecords, memory: Vault, twin: Vault
) -> None:
    records = fill(store, memory.key("kek"), 2)
    job = begin(store, memory)
    with pytest.raises(NotFoundError, match="open the vault that has it"):
        Hierarchy(twin, store).rotate(KEK)
    assert len(versions(twin)) == 1
    assert [store.get(record.id) for record in records] == records
    assert Hierarchy((twin, memory), store).jobs.resume(job.id).complete


@pytest.fixture
def copied(tmp_path: Path) -> Iterator[tuple[Vault, Vault]]:
    """A vault in a file and a copy of that file."""
    uri = memory_file(tmp_path, "kept")
    with keyhier.open(uri) as vault:
        vault.create_key("kek", "AES-256")
        shutil.copy(tmp_path / "kept.vault", tmp_path / "copy.vault")
        with keyhier.open(uri.replace("kept.vault", "copy.vault")) as copy:
            yield vault, copy


@pytest.mark.parametrize("begun", [False, True], ids=["new", "begun"])
def test_of_a_vault_and_its_copy_none_is_rotated(
    store: SqlRecords, copied: tuple[Vault, Vault], begun: bool
) -> None:
    vault, copy = copied
    fill(store, vault.key("kek"), 2)
    if begun:
        begin(store, vault)
    with pytest.raises(AmbiguousError, match="in several of the open vaults") as caught:
        Hierarchy((copy, vault), store).rotate(KEK)
    assert len(caught.value.candidates) == 2
    assert (len(versions(vault)), len(versions(copy))) == (1, 1)
    assert len(store.journal.jobs()) == int(begun)
    assert Hierarchy(vault, store).rotate(KEK).complete


def test_a_vault_that_is_opened_twice_is_one(
    store: SqlRecords, copied: tuple[Vault, Vault]
) -> None:
    vault = copied[0]
    fill(store, vault.key("kek"), 2)
    with keyhier.open(vault.uri) as again:
        assert Hierarchy((again, vault), store).rotate(KEK).complete
    assert len(versions(vault)) == 2


def test_the_latest_version_of_either_vault_is_not_retired(
    store: SqlRecords, memory: Vault, twin: Vault
) -> None:
    for vault in (memory, twin):
        with pytest.raises(InvalidStateError, match="the latest version"):
            Hierarchy((memory, twin), store).retire(vault.key("kek").id)


@pytest.mark.parametrize("tagged", [True, False])
def test_a_journal_does_not_send_records_to_the_other_vaults_key_of_that_name(
    store: SqlRecords, memory: Vault, twin: Vault, tagged: bool
) -> None:
    records = fill(store, memory.key("kek"), 2)
    job = begin(store, memory, twin)
    intent = job.intent if tagged else {"from": job.intent["from"]}
    store.journal.update(attrs.evolve(job, intent=intent, target=twin.key("kek").id))
    with pytest.raises(IntegrityError, match="not known to be newer"):
        Hierarchy((memory, twin), store).rotate(KEK)
    assert [store.get(record.id) for record in records] == records


def test_a_migration_goes_on_with_the_vault_that_it_was_begun_with(
    store: SqlRecords, memory: Vault, twin: Vault
) -> None:
    records = fill(store, memory.key("kek"), 2)
    hierarchy = Hierarchy(memory, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.migrate(twin, work=Work(started=interrupt))
    (job,) = store.journal.jobs()
    with keyhier.open("memory:") as third:
        third.create_key("kek", "AES-256")
        for home, to in ((memory, third), (twin, memory)):
            with pytest.raises(IntegrityError, match="newest"):
                Hierarchy(home, store).migrate(to)
    assert [store.get(record.id) for record in records] == records
    assert hierarchy.migrate(twin).complete
    assert store.journal.job(job.id).state is JobState.DONE
