"""Kill it at any instant and run it again: it ends as if it had never been killed (promise 8)."""

from __future__ import annotations

import os
import random
import signal

import pytest

from keyhier import Vault
from keyhier.hierarchy.facade import Hierarchy
from keyhier.records.sql.store import SqlRecords
from tests.hierarchy.jobs.conftest import Place, Workers
from tests.hierarchy.jobs.scene import check_done, fill, untouched

# For each of the eight combinations of store, vault and kind of job.
KILLS = int(os.environ.get("KEYHIER_KILLS", "4"))
RECORDS = int(os.environ.get("KEYHIER_KILL_RECORDS", "100"))
KILLED = -signal.SIGKILL

# Each store and each kind of vault once; the soak, which asks for more kills, has all pairs.
PAIRS = [("sqlite", "softhsm"), ("postgresql", "memory")]
if KILLS > 4:
    PAIRS += [("sqlite", "memory"), ("postgresql", "softhsm")]


def test_promise_8_a_rotation_killed_at_random_instants_loses_nothing(
    workers: Workers, shared_url: str, shared_store: SqlRecords, place: Place, vault: Vault
) -> None:
    fill(shared_store, vault.key("kek"), RECORDS)
    fingerprint = untouched(shared_store)
    kills, span, versions = 0, 1.0, 1
    while kills < KILLS or not Hierarchy(vault, shared_store).jobs.journal.jobs():
        before = {record.id: record for record in shared_store.find()}
        status = KILLED
        while status == KILLED:
            delay = random.uniform(0, span) if kills < KILLS else None
            status, seconds = workers.run(
                records=shared_url, vaults=[place.uri], key="kek", kill_after=delay
            )
            kills += status == KILLED
        assert status == 0
        span = min(span, seconds)
        versions += 1
        made = vault.key("kek").versions()
        assert len(made) == versions, "a second version was made"
        (job,) = shared_store.journal.jobs(ended=False)
        check_done(shared_store, job.id, before, made[-1].id, vault)
        assert untouched(shared_store) == fingerprint
        shared_store.journal.finalize(job.id)


def test_promise_8_a_migration_killed_at_random_instants_loses_nothing(
    workers: Workers,
    shared_url: str,
    shared_store: SqlRecords,
    place: Place,
    vault: Vault,
    other: Vault,
) -> None:
    fill(shared_store, vault.key("kek"), RECORDS)
    fingerprint = untouched(shared_store)
    kills, span = 0, 1.0
    there, back = (place.uri, place.other_uri, other), (place.other_uri, place.uri, vault)
    rounds = 0
    while kills < KILLS or rounds < 2:
        source, to, target = (there, back)[rounds % 2]
        before = {record.id: record for record in shared_store.find()}
        status = KILLED
        while status == KILLED:
            delay = random.uniform(0, span) if kills < KILLS else None
            status, seconds = workers.run(
                records=shared_url, vaults=[source], to=to, kill_after=delay
            )
            kills += status == KILLED
        assert status == 0
        span = min(span, seconds)
        rounds += 1
        (job,) = shared_store.journal.jobs(ended=False)
        check_done(shared_store, job.id, before, target.key("kek").id, vault, other)
        assert untouched(shared_store) == fingerprint
        shared_store.journal.finalize(job.id)


@pytest.mark.parametrize(("shared_url", "place"), PAIRS, indirect=True)
@pytest.mark.parametrize("done", [False, True], ids=["before", "after"])
def test_promise_8_a_rotation_killed_at_every_write_of_the_journal_loses_nothing(
    workers: Workers,
    shared_url: str,
    shared_store: SqlRecords,
    place: Place,
    vault: Vault,
    *,
    done: bool,
) -> None:
    fill(shared_store, vault.key("kek"), 20)
    fingerprint = untouched(shared_store)
    write, versions, status = 0, 1, KILLED
    while status == KILLED:
        before = {record.id: record for record in shared_store.find()}
        write += 1
        status, _ = workers.run(
            records=shared_url,
            vaults=[place.uri],
            key="kek",
            kill_at_write=write,
            done=done,
            batch=10,
            lease=0.2,
        )
        assert status in (0, KILLED)
        # Whoever comes next goes on with it, or finds it done.
        ended, _ = workers.run(
            records=shared_url, vaults=[place.uri], key="kek", batch=10, lease=0.5
        )
        assert ended == 0
        versions += 1
        made = vault.key("kek").versions()
        assert len(made) == versions, "a second version was made"
        (job,) = shared_store.journal.jobs(ended=False)
        check_done(shared_store, job.id, before, made[-1].id, vault)
        assert untouched(shared_store) == fingerprint
        shared_store.journal.finalize(job.id)
    assert write > 8, "this was no journal of a whole job"
