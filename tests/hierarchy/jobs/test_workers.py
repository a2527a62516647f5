"""Several workers on one job: each record swapped once, whatever becomes of the workers."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from keyhier import Vault
from keyhier.hierarchy.facade import Hierarchy
from keyhier.records import ItemState
from keyhier.records.sql.store import SqlRecords
from tests.hierarchy.jobs.conftest import Place, Workers
from tests.hierarchy.jobs.scene import by_id, check_done, fill

LEASE = 1.0


@pytest.mark.parametrize("shared_url", ["postgresql"], indirect=True)
@pytest.mark.parametrize("place", ["softhsm"], indirect=True)
def test_promise_8_of_four_workers_one_is_killed_and_one_stopped_past_its_lease(
    four_workers: list[Workers],
    shared_url: str,
    shared_store: SqlRecords,
    place: Place,
    vault: Vault,
) -> None:
    fill(shared_store, vault.key("kek"), 200)
    before = by_id(shared_store)
    order: dict[str, Any] = {
        "records": shared_url,
        "vaults": [place.uri],
        "lease": LEASE,
        "batch": 8,
    }
    # The job is begun by one that is killed as soon as the version is known and all is planned.
    killed, _ = four_workers[0].run(**order, key="kek", kill_at_write=5)
    assert killed == -signal.SIGKILL
    (job,) = shared_store.journal.jobs()
    assert job.target is not None
    for number, workers in enumerate(four_workers):
        fate: dict[int, Any] = {
            0: {"kill_at_write": 6},
            1: {"stop_at_write": 4, "stop_for": 3 * LEASE},
        }
        workers.begin(**order, job=job.id, **fate.get(number, {}))
    ends = [workers.wait()[0] for workers in four_workers]
    assert ends == [-signal.SIGKILL, 0, 0, 0]
    assert len(vault.key("kek").versions()) == 2
    check_done(shared_store, job.id, before, job.target, vault)
    hands = {item.worker for item in shared_store.journal.items(job.id, ItemState.SWAPPED)}
    assert len(hands) >= 2, "nobody helped"
    assert Hierarchy(vault, shared_store).rotate("kek").job.id == job.id


@pytest.mark.parametrize("shared_url", ["sqlite", "postgresql"], indirect=True)
@pytest.mark.parametrize("place", ["softhsm"], indirect=True)
def test_promise_8_two_rotations_of_one_key_at_once_make_one_version_and_both_end(
    four_workers: list[Workers],
    shared_url: str,
    shared_store: SqlRecords,
    place: Place,
    vault: Vault,
) -> None:
    fill(shared_store, vault.key("kek"), 20)
    before = by_id(shared_store)
    both = four_workers[:2]
    for workers in both:
        workers.begin(records=shared_url, vaults=[place.uri], key="kek", batch=8)
    assert [workers.wait()[0] for workers in both] == [0, 0]
    assert len(vault.key("kek").versions()) == 2
    (job,) = shared_store.journal.jobs()
    assert job.target is not None
    check_done(shared_store, job.id, before, job.target, vault)
