"""A key that moves with its records: the same key in another vault, or nothing changed."""

from __future__ import annotations

from collections.abc import Iterator

import attrs
import pytest

import keyhier
from keyhier import (
    AlreadyExistsError,
    IntegrityError,
    InvalidStateError,
    Key,
    NotFoundError,
    UnsupportedError,
    Vault,
)
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.work import Work
from keyhier.records import ItemState, Job, JobState, Record
from keyhier.records.sql.store import SqlRecords
from keyhier.testing.keyvault import KeyVault
from keyhier.testing.prepared import PreparedToken
from tests.azure.conftest import uri_of
from tests.hierarchy.jobs.scene import by_id, check_done, fill, untouched


@pytest.fixture
def here() -> Iterator[Vault]:
    with keyhier.open("memory:") as vault:
        yield vault


@pytest.fixture
def azure(keyvault: KeyVault) -> Iterator[Vault]:
    with keyhier.open(uri_of(keyvault), credential=keyvault.credential()) as vault:
        yield vault


@pytest.fixture
def nss(nss_token: PreparedToken) -> Iterator[Vault]:
    """The process's NSS token, which is left without keys."""
    with keyhier.open(nss_token.uri) as vault:
        yield vault
        for key in list(vault.keys()):
            key.delete(confirm=key.name)


@pytest.fixture
def there() -> Iterator[Vault]:
    with keyhier.open("memory:") as vault:
        yield vault


def moved(store: SqlRecords, here: Vault, there: Vault, spec: str, name: str = "kek") -> Key:
    """Move a new key and its records, and look that nothing is lost or altered."""
    key = here.create_key(name, spec, extractable=True)
    fill(store, key, 4)
    before = by_id(store)
    fingerprint = untouched(store)
    report = Hierarchy(here, store).migrate(there, move_keys=True)
    made = there.key(name)
    check_done(store, report.job.id, before, made.id, there)
    assert untouched(store) == fingerprint
    assert made.thumbprint == key.thumbprint
    # It is the same key, not only one of the same name.
    sample = bytes(range(32))
    algorithm = made.default_algorithm
    wrapping = key if key.thumbprint is None else made
    with made.unwrap_raw(wrapping.wrap_raw(sample, algorithm), algorithm) as opened:
        assert opened == sample
    return made


@pytest.mark.parametrize("spec", ["RSA-2048", "AES-256"])
def test_a_key_moves_from_memory_to_a_token(
    store: SqlRecords, here: Vault, softhsm_vault: Vault, spec: str
) -> None:
    moved(store, here, softhsm_vault, spec)


def test_a_key_moves_from_memory_to_a_key_vault(
    store: SqlRecords, here: Vault, azure: Vault
) -> None:
    made = moved(store, here, azure, "RSA-2048")
    assert made.id.scheme == "https"


@pytest.mark.parametrize("spec", ["RSA-2048", "AES-256"])
def test_a_key_moves_from_a_token_to_memory(
    store: SqlRecords, softhsm_vault: Vault, there: Vault, spec: str
) -> None:
    moved(store, softhsm_vault, there, spec)


@pytest.mark.parametrize("spec", ["RSA-2048", "AES-256"])
def test_a_key_moves_from_a_token_of_one_module_to_one_of_another_and_back(
    store: SqlRecords, softhsm_vault: Vault, nss: Vault, spec: str
) -> None:
    there = moved(store, softhsm_vault, nss, spec)
    # What was taken over stays where it is.
    with pytest.raises(UnsupportedError, match="not made extractable"):
        there.export()
    for record in store.find():
        store.delete(record)
    moved(store, nss, softhsm_vault, spec, "back")


def test_a_key_moves_from_a_token_to_a_key_vault(
    store: SqlRecords, softhsm_vault: Vault, azure: Vault
) -> None:
    moved(store, softhsm_vault, azure, "RSA-2048")


def test_no_key_leaves_azure(store: SqlRecords, azure: Vault, there: Vault) -> None:
    records = fill(store, azure.create_key("kek", "RSA-2048"), 2)
    with pytest.raises(UnsupportedError, match="let a key go; move the records"):
        Hierarchy(azure, store).migrate(there, move_keys=True)
    untouched_by(store, records, there)


def untouched_by(store: SqlRecords, records: list[Record], there: Vault) -> None:
    assert store.journal.jobs() == []
    assert [store.get(record.id) for record in records] == records
    assert list(there.keys()) == []


@pytest.mark.parametrize("dry_run", [False, True])
def test_a_key_that_does_not_leave_its_vault_is_refused_and_nothing_is_changed(
    store: SqlRecords, here: Vault, there: Vault, softhsm_vault: Vault, dry_run: bool
) -> None:
    for vault in (here, softhsm_vault):
        records = fill(store, vault.create_key("kek", "AES-256"), 2)
        hierarchy = Hierarchy(vault, store)
        migrate = hierarchy.preview_migration if dry_run else hierarchy.migrate
        with pytest.raises(UnsupportedError, match="not made extractable"):
            migrate(there, move_keys=True)
        untouched_by(store, records, there)
        for record in records:
            store.delete(record)


def test_a_key_that_the_other_vault_does_not_take_is_refused_and_nothing_is_changed(
    store: SqlRecords, here: Vault, azure: Vault
) -> None:
    records = fill(store, here.create_key("kek", "AES-256", extractable=True), 2)
    with pytest.raises(UnsupportedError, match="AES-256"):
        Hierarchy(here, store).migrate(azure, move_keys=True)
    untouched_by(store, records, azure)


def test_a_purpose_that_the_other_vault_lacks_is_refused_and_nothing_is_changed(
    store: SqlRecords, here: Vault, managed_hsm: KeyVault
) -> None:
    key = here.create_key("kek", "AES-256", algorithm="A256GCMKW", extractable=True)
    records = fill(store, key, 2)
    uri, credential = uri_of(managed_hsm, kind="managedhsm"), managed_hsm.credential()
    with keyhier.open(uri, credential=credential) as hsm:
        with pytest.raises(UnsupportedError, match="A256GCMKW"):
            Hierarchy(here, store).migrate(hsm, move_keys=True)
        untouched_by(store, records, hsm)


def test_a_name_that_is_taken_there_is_refused_and_another_can_be_given(
    store: SqlRecords, here: Vault, there: Vault
) -> None:
    fill(store, here.create_key("kek", "AES-256", extractable=True), 2)
    there.create_key("kek", "AES-256")
    hierarchy = Hierarchy(here, store)
    with pytest.raises(AlreadyExistsError, match="map it to another name"):
        hierarchy.migrate(there, move_keys=True)
    assert store.journal.jobs() == []
    assert hierarchy.migrate(there, {"kek": "moved"}, move_keys=True).complete
    assert there.key("moved").versions()


def test_of_a_key_one_version_moves(store: SqlRecords, here: Vault, there: Vault) -> None:
    key = here.create_key("kek", "AES-256", extractable=True)
    fill(store, key, 2)
    hierarchy = Hierarchy(here, store)
    key.rotate()
    with pytest.raises(UnsupportedError, match="rotate the key first"):
        hierarchy.migrate(there, move_keys=True)
    hierarchy.jobs.finalize(hierarchy.rotate("kek").job.id)
    assert hierarchy.migrate(there, move_keys=True).complete


def test_a_dry_run_says_what_would_move_and_changes_nothing(
    store: SqlRecords, here: Vault, there: Vault
) -> None:
    key = here.create_key("kek", "AES-256", extractable=True)
    records = fill(store, key, 2)
    found = Hierarchy(here, store).preview_migration(there, move_keys=True)
    assert (found.count, dict(found.versions)) == (2, {key.id: None})
    untouched_by(store, records, there)


def interrupt(_: Job) -> None:
    raise KeyboardInterrupt


def begin(store: SqlRecords, here: Vault, there: Vault) -> tuple[Hierarchy, Job]:
    """Begin a move that is interrupted before anything is made."""
    fill(store, here.create_key("kek", "AES-256", extractable=True), 3)
    hierarchy = Hierarchy(here, store)
    with pytest.raises(KeyboardInterrupt):
        hierarchy.migrate(there, work=Work(started=interrupt), move_keys=True)
    (job,) = store.journal.jobs()
    return hierarchy, job


def test_whoever_was_killed_after_the_import_finds_the_key_and_imports_none_twice(
    store: SqlRecords, here: Vault, there: Vault
) -> None:
    hierarchy, job = begin(store, here, there)
    with here.key("kek").export() as material:
        made = there.import_key("kek", material)
    report = hierarchy.jobs_beside(there, move_keys=True).resume(job.id)
    assert report.counts[ItemState.SWAPPED] == 3
    assert [key.id for key in there.key("kek").versions()] == [made.id]


def test_another_key_that_came_by_that_name_meanwhile_is_not_taken_for_it(
    store: SqlRecords, here: Vault, there: Vault
) -> None:
    hierarchy, job = begin(store, here, there)
    there.create_key("kek", "AES-256")
    with pytest.raises(IntegrityError, match="another key"):
        hierarchy.migrate(there, move_keys=True)
    assert hierarchy.jobs.roll_back(job.id).job.state is JobState.ROLLED_BACK


def test_keys_move_only_where_whoever_goes_on_says_so_too(
    store: SqlRecords, here: Vault, there: Vault
) -> None:
    hierarchy, job = begin(store, here, there)
    with pytest.raises(InvalidStateError, match="moves the keys"):
        hierarchy.migrate(there)
    with pytest.raises(NotFoundError):
        there.key("kek")
    # Who may write the database cannot take that for done.
    altered = attrs.evolve(job, intent={**job.intent, "move": False})
    store.journal.update(altered)
    with pytest.raises(IntegrityError, match="does not name"):
        hierarchy.migrate(there, move_keys=True)


def test_a_second_run_of_a_move_that_is_done_does_nothing(
    store: SqlRecords, here: Vault, there: Vault
) -> None:
    hierarchy, _ = begin(store, here, there)
    first = hierarchy.migrate(there, move_keys=True)
    assert hierarchy.migrate(there, move_keys=True) == first
    assert hierarchy.jobs.roll_back(first.job.id).restored == 3
