"""Migration: every record under another vault's keys, whatever kind of vault it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from itertools import pairwise, product

import attrs
import pytest

import keyhier
from keyhier import ConflictError, Key, NotFoundError, Vault
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.work import Work
from keyhier.records import ItemState, JobState, Query
from keyhier.records.sql.store import SqlRecords
from keyhier.testing.keyvault import KeyVault
from keyhier.testing.softhsm import SoftHsm
from tests.azure.conftest import uri_of
from tests.hierarchy.jobs.scene import bound_to, by_id, check_done, fill, secret_of, untouched
from tests.hierarchy.jobs.vaults import counting_vault


@pytest.fixture
def there() -> Iterator[Vault]:
    with keyhier.open("memory:") as vault:
        yield vault


@attrs.frozen
class Station:
    """A vault of some kind with a key to wrap under."""

    kind: str
    vault: Vault
    key: Key


NewStation = Callable[[str], Station]
SPECS = {"memory": "AES-256", "token": "RSA-2048", "azure": "RSA-2048"}


@pytest.fixture
def new_station(softhsm: SoftHsm) -> Iterator[NewStation]:
    """Make a new vault of a kind, with a key in it."""
    with ExitStack() as stack:

        def make(kind: str) -> Station:
            credential = None
            if kind == "memory":
                uri = "memory:"
            elif kind == "token":
                token = softhsm.new_token()
                stack.callback(softhsm.remove, token)
                uri = token.uri
            else:
                service = stack.enter_context(KeyVault())
                uri, credential = uri_of(service), service.credential()
            vault = stack.enter_context(keyhier.open(uri, credential=credential))
            return Station(kind, vault, vault.create_key("kek", SPECS[kind]))

        yield make


def travel(store: SqlRecords, stations: Sequence[Station], count: int) -> None:
    """Migrate along the stations; nothing may be lost, altered or done twice on the way."""
    fill(store, stations[0].key, count)
    fingerprint = untouched(store)
    for here, there in pairwise(stations):
        before = by_id(store)
        hierarchy = Hierarchy(here.vault, store)
        report = hierarchy.migrate(there.vault)
        check_done(store, report.job.id, before, there.key.id, there.vault)
        assert untouched(store) == fingerprint
        hierarchy.jobs.finalize(report.job.id)
    for record in store.find():
        with stations[-1].vault.unwrap(record.wrapped, context=bound_to(record.id)) as secret:
            assert secret == secret_of(record.id)


def test_records_go_from_memory_to_a_token_to_a_key_vault_to_a_token_and_all_the_way_back(
    store: SqlRecords, new_station: NewStation
) -> None:
    way = [new_station(kind) for kind in ("memory", "token", "azure", "token")]
    travel(store, [*way, *reversed(way[:-1])], 12)


@pytest.mark.parametrize(("here", "there"), list(product(SPECS, SPECS)))
def test_records_go_from_any_kind_of_vault_to_any_other(
    store: SqlRecords, new_station: NewStation, here: str, there: str
) -> None:
    travel(store, [new_station(here), new_station(there)], 3)


def test_keys_are_mapped_by_name_or_by_id(store: SqlRecords, memory: Vault, there: Vault) -> None:
    first, second, third = (memory.create_key(f"kek-{n}", "AES-256") for n in range(3))
    for key in (first, second, third):
        fill(store, key, 2)
    one, two = (there.create_key(name, "AES-256") for name in ("one", "kek-2"))
    key_map = {"kek-0": "one", str(second.id.versionless): str(one.id)}
    found = Hierarchy(memory, store).preview_migration(there, key_map)
    assert dict(found.versions) == {first.id: one.id, second.id: one.id, third.id: two.id}
    report = Hierarchy(memory, store).migrate(there, key_map)
    assert report.complete
    assert store.count(Query(key=one.id)) == 4
    assert store.count(Query(key=two.id)) == 2


def test_keys_without_a_counterpart_are_named_before_anything_begins(
    store: SqlRecords, memory: Vault, there: Vault
) -> None:
    for number in range(2):
        fill(store, memory.create_key(f"kek-{number}", "AES-256"), 1)
    with pytest.raises(NotFoundError, match=r"kek-0 .*kek-1 "):
        Hierarchy(memory, store).migrate(there)
    assert store.journal.jobs() == []


def test_nothing_to_migrate_is_said(store: SqlRecords, memory: Vault, there: Vault) -> None:
    with pytest.raises(NotFoundError, match="no record needs"):
        Hierarchy(memory, store).migrate(there)


def test_both_vaults_work_until_it_is_finalised(
    store: SqlRecords, memory: Vault, there: Vault
) -> None:
    records = fill(store, memory.key("kek"), 3)
    there.create_key("kek", "AES-256")
    hierarchy = Hierarchy(memory, store)
    job = hierarchy.migrate(there).job
    for record in store.find():
        there.unwrap(record.wrapped, context=bound_to(record.id)).wipe()
    for record in records:
        memory.unwrap(record.wrapped, context=bound_to(record.id)).wipe()
    with pytest.raises(ConflictError, match=job.id):
        store.journal.begin(type(job)(kind="other", keys=("memory:kek",)))
    done = hierarchy.jobs_beside(there).roll_back(job.id)
    assert (done.restored, done.job.state) == (3, JobState.ROLLED_BACK)
    assert store.count(Query(key=memory.key("kek").id)) == 3


def test_a_roll_back_needs_the_vault_that_the_records_came_from_and_no_other(
    store: SqlRecords, memory: Vault, new_station: NewStation
) -> None:
    fill(store, memory.key("kek"), 3)
    there = new_station("token").vault
    job = Hierarchy(memory, store).migrate(there).job
    with pytest.raises(NotFoundError, match=r"vault of memory:kek.*--vault"):
        Hierarchy(there, store).jobs.roll_back(job.id)
    assert store.journal.job(job.id).state is JobState.DONE
    done = Hierarchy(memory, store).jobs.roll_back(job.id)
    assert (done.restored, done.job.state) == (3, JobState.ROLLED_BACK)


def test_a_second_run_makes_no_call_to_either_vault(store: SqlRecords) -> None:
    here, calls_here = counting_vault()
    there, calls_there = counting_vault()
    fill(store, here.create_key("kek", "AES-256"), 3)
    there.create_key("kek", "AES-256")
    first = Hierarchy(here, store).migrate(there)
    calls_here.clear()
    calls_there.clear()
    for again in (
        Hierarchy(here, store).migrate(there),
        Hierarchy(here, store).jobs_beside(there).resume(first.job.id),
    ):
        assert again == first
        assert again.was_done
    assert (calls_here, calls_there) == ([], [])


def test_a_record_whose_key_is_gone_is_named_and_the_rest_is_done(
    store: SqlRecords, memory: Vault, there: Vault
) -> None:
    with keyhier.open("memory:") as lost:
        (record,) = fill(store, lost.create_key("lost", "AES-256"), 1)
    fill(store, memory.key("kek"), 5)
    there.create_key("kek", "AES-256")
    report = Hierarchy(memory, store).migrate(there, {"lost": "kek"}, Work(batch=2))
    (failed,) = store.journal.items(report.job.id, ItemState.FAILED)
    assert (failed.record, failed.error) == (record.id, NotFoundError.__name__)
    assert report.counts[ItemState.SWAPPED] == 5
    assert store.get(record.id) == record
