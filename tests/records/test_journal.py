"""The journal: intent first, leases by the store's clock, a swap happens once."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import attrs
import pytest

from keyhier import Key
from keyhier.errors import (
    ConflictError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnavailableError,
)
from keyhier.identifiers import KeyId
from keyhier.records import (
    Claim,
    ItemState,
    Job,
    JobState,
    KeyState,
    Query,
    Record,
    Swap,
    open_records,
)
from keyhier.records.sql.store import SqlRecords
from tests.records.conftest import Maker, ids

Fill = Callable[..., list[Record]]


@pytest.fixture
def second(maker: Maker) -> Key:
    return maker.first.rotate()


@pytest.fixture
def job(store: SqlRecords, maker: Maker, filled: Fill, second: Key) -> Job:
    """A rotation of five records, planned."""
    filled(5, set="web")
    begun = store.journal.begin(
        Job(kind="rotate", keys=(str(second.id.versionless),), intent={"tag": "x"})
    )
    noted = store.journal.update(attrs.evolve(begun, target=second.id))
    assert store.journal.plan(noted.id, old(second)) == 5
    return noted


def old(key: Key) -> Query:
    return Query(key=key.id.versionless, except_key=key.id)


def swaps(maker: Maker, claims: list[Claim], key: Key) -> list[Swap]:
    return [Swap(claim, maker.again(claim.record, key)) for claim in claims]


def states(store: SqlRecords, job: Job) -> dict[str, int]:
    return {str(state): count for state, count in store.journal.counts(job.id).items() if count}


def test_promise_8_of_two_at_once_one_makes_what_a_job_goes_under(
    store: SqlRecords, maker: Maker
) -> None:
    key = str(maker.first.id.versionless)
    job = store.journal.begin(Job(kind="rotate", keys=(key,), intent={"tag": "t"}))
    entered = threading.Event()

    def slow() -> KeyId:
        entered.set()
        # So long that the other one comes meanwhile.
        time.sleep(0.3)
        return attrs.evolve(maker.first.id, version="01")

    def other() -> KeyId:
        return attrs.evolve(maker.first.id, version="02")

    with ThreadPoolExecutor() as pool:
        first = pool.submit(store.journal.settle, job.id, slow)
        assert entered.wait(10)
        second = pool.submit(store.journal.settle, job.id, other)
        assert first.result() == second.result() == store.journal.job(job.id)
    assert first.result().target == slow()
    store.journal.finish(job.id)
    assert store.journal.settle(job.id, other).target == slow()


def test_nothing_is_noted_where_making_it_fails_or_the_job_is_not_open(
    store: SqlRecords, maker: Maker
) -> None:
    key = str(maker.first.id.versionless)
    job = store.journal.begin(Job(kind="rotate", keys=(key,), intent={"tag": "t"}))

    def away() -> KeyId:
        raise UnavailableError("the vault is away")

    with pytest.raises(UnavailableError, match="the vault is away"):
        store.journal.settle(job.id, away)
    assert store.journal.job(job.id) == job
    store.journal.roll_back(job.id)
    with pytest.raises(InvalidStateError, match="rolling-back"):
        store.journal.settle(job.id, away)
    with pytest.raises(NotFoundError):
        store.journal.settle("no such", away)


def test_promise_8_the_intent_is_written_before_anything_is_made(store: SqlRecords) -> None:
    new = Job(kind="rotate", keys=("memory:a", "memory:b"), intent={"tag": "t"}, options={"n": 1})
    begun = store.journal.begin(new)
    assert begun == attrs.evolve(
        new, generation=1, created=begun.created, updated=begun.updated, state=JobState.OPEN
    )
    assert store.journal.job(new.id) == begun
    assert store.journal.jobs() == store.journal.jobs(key="memory:b", ended=False) == [begun]
    assert store.journal.jobs(ended=True) == store.journal.jobs(key="memory:c") == []
    with pytest.raises(NotFoundError):
        store.journal.job("no such")
    noted = store.journal.update(attrs.evolve(begun, intent={"tag": "t", "made": True}))
    assert noted.generation == 2
    with pytest.raises(ConflictError):
        store.journal.update(begun)


def test_two_jobs_on_one_key_at_once_are_refused(store: SqlRecords) -> None:
    first = store.journal.begin(Job(kind="rotate", keys=("memory:a", "memory:b")))
    with pytest.raises(ConflictError, match=f"job {first.id} works on memory:b already"):
        store.journal.begin(Job(kind="migrate", keys=("memory:c", "memory:b")))
    with pytest.raises(ConflictError):
        store.journal.begin(Job(id=first.id, kind="rotate", keys=("memory:d",)))
    assert store.journal.jobs() == [first]
    store.journal.finalize(store.journal.finish(first.id).id)
    store.journal.begin(Job(kind="migrate", keys=("memory:b",)))
    for keys in ((), ("memory:x", "memory:x")):
        with pytest.raises(InvalidInputError):
            store.journal.begin(Job(kind="rotate", keys=keys))


def test_jobs_that_begin_at_the_same_moment_do_not_both_begin(shared_url: str) -> None:
    with open_records(shared_url) as store, ThreadPoolExecutor(8) as pool:

        def begin(_: int) -> bool:
            try:
                store.journal.begin(Job(kind="rotate", keys=("memory:a",)))
            except ConflictError:
                return False
            return True

        assert sum(pool.map(begin, range(16))) == 1
        assert len(store.journal.jobs()) == 1


def test_a_plan_that_is_made_again_adds_what_came_since(
    store: SqlRecords, job: Job, second: Key, filled: Fill
) -> None:
    assert store.journal.plan(job.id, old(second)) == 0
    late = filled(1)
    assert store.journal.plan(job.id, old(second)) == 1
    assert late[0].id in {item.record for item in store.journal.items(job.id)}
    assert states(store, job) == {"pending": 6}


def test_a_job_from_its_plan_to_its_end(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    before = {record.id: record for record in store.find()}
    claims = store.journal.claim(job.id, "worker", 3, 60)
    assert [claim.record for claim in claims] == [before[claim.record.id] for claim in claims]
    assert store.journal.swap(swaps(maker, claims, second)) == []
    assert states(store, job) == {"pending": 2, "swapped": 3}
    assert store.journal.finish(job.id).state is JobState.OPEN
    with pytest.raises(InvalidStateError, match="is open, and has to be done or finalized"):
        store.journal.finalize(job.id)
    rest = store.journal.claim(job.id, "worker", 100, 60)
    assert store.journal.swap(swaps(maker, rest, second)) == []
    assert store.journal.claim(job.id, "worker", 100, 60) == []
    for record in store.find():
        assert maker.opens(record)
        assert (record.key, record.generation) == (second.id, 2)
        assert record.previous is not None
        assert record.previous.envelope == before[record.id].envelope
        assert (record.previous.key, record.previous.job) == (maker.first.id, job.id)
    kept = {(row.key, row.kept, row.count) for row in store.census()}
    assert kept == {(second.id, False, 5), (maker.first.id, True, 5)}
    assert store.count(Query(kept_under=maker.first.id)) == store.count(Query(job=job.id)) == 5

    assert store.journal.finish(job.id).state is JobState.DONE
    assert store.journal.finish(job.id).state is JobState.DONE
    ended = store.journal.finalize(job.id)
    assert ended.state is JobState.FINALIZED
    assert store.journal.finalize(job.id) == ended
    assert all(record.previous is None for record in store.find())
    assert [row.kept for row in store.census()] == [False]
    for refused in (store.journal.roll_back, store.journal.retry, store.journal.end_roll_back):
        with pytest.raises(InvalidStateError):
            refused(job.id)
    store.journal.forget(job.id)
    assert store.journal.jobs() == []
    assert len(ids(store)) == 5


def test_promise_8_a_swap_happens_once_whoever_repeats_it(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    claims = store.journal.claim(job.id, "worker", 100, 60)
    once, twice = swaps(maker, claims, second), swaps(maker, claims, second)
    assert store.journal.swap(once) == []
    after = list(store.find())
    assert store.journal.swap(twice) == twice
    assert list(store.find()) == after


def test_a_lease_that_ended_is_another_workers(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    late = store.journal.claim(job.id, "stopped", 2, 1.0)
    assert len(store.journal.claim(job.id, "other", 100, 60)) == 3
    time.sleep(1.1)
    again = store.journal.claim(job.id, "living", 100, 60)
    assert {claim.record.id for claim in again} == {claim.record.id for claim in late}
    lost = swaps(maker, late, second)
    assert store.journal.swap(lost) == lost
    assert store.journal.renew([*late, *again], 60) == again
    assert not store.journal.fail(late[0], UnavailableError("the vault is away"))
    assert not store.journal.leave(late[0], "nothing to do")
    store.journal.release(late)
    assert store.journal.claim(job.id, "third", 100, 60) == []
    assert store.journal.swap(swaps(maker, again, second)) == []
    items = {item.record: item for item in store.journal.items(job.id, ItemState.SWAPPED)}
    assert {(item.worker, item.attempts) for item in items.values()} == {("living", 2)}


def test_a_lease_that_ended_and_was_taken_by_nobody_swaps_nothing(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    claims = store.journal.claim(job.id, "worker", 1, 0.02)
    prepared = swaps(maker, claims, second)
    time.sleep(0.05)
    assert store.journal.swap(prepared) == prepared
    assert states(store, job) == {"pending": 5}


def test_leases_are_renewed_and_given_back(store: SqlRecords, job: Job) -> None:
    claims = store.journal.claim(job.id, "worker", 5, 1.0)
    assert store.journal.renew(claims, 60) == claims
    time.sleep(1.1)
    assert store.journal.claim(job.id, "other", 5, 60) == []
    store.journal.release(claims[:2])
    assert len(store.journal.claim(job.id, "other", 5, 60)) == 2
    for limit, seconds in ((5, 0), (5, -1), (5, 1e9), (0, 60), (1001, 60)):
        with pytest.raises(InvalidInputError):
            store.journal.claim(job.id, "other", limit, seconds)
    assert store.journal.renew([], 60) == []
    assert store.journal.swap([]) == []


def test_a_record_that_changed_since_its_claim_is_claimed_anew(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    claims = store.journal.claim(job.id, "worker", 5, 60)
    moved = store.replace(attrs.evolve(claims[1].record, set="data"))
    prepared = swaps(maker, claims, second)
    assert store.journal.swap(prepared) == [prepared[1]]
    (again,) = store.journal.claim(job.id, "worker", 5, 60)
    assert again.record == moved
    assert store.journal.swap(swaps(maker, [again], second)) == []
    assert store.get(moved.id).set == "data"
    assert states(store, job) == {"swapped": 5}


def test_a_deleted_record_leaves_its_jobs(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    claims = store.journal.claim(job.id, "worker", 5, 60)
    store.delete(claims[0].record)
    prepared = swaps(maker, claims, second)
    assert store.journal.swap(prepared) == [prepared[0]]
    assert states(store, job) == {"swapped": 4}


def test_promise_8_a_failing_record_is_named_and_left_as_it_was(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    claims = store.journal.claim(job.id, "worker", 5, 60)
    bad = claims[0]
    assert store.journal.fail(bad, UnavailableError("the vault is away", native="CKR_X"))
    assert store.journal.leave(claims[1], "it needs the new version already")
    assert store.journal.swap(swaps(maker, claims[2:], second)) == []
    assert store.get(bad.record.id) == bad.record
    (item,) = store.journal.items(job.id, ItemState.FAILED)
    assert (item.record, item.error, item.text, item.leased_until) == (
        *(bad.record.id, "UnavailableError", "the vault is away (CKR_X)"),
        None,
    )
    assert store.journal.finish(job.id).state is JobState.OPEN
    assert store.journal.claim(job.id, "worker", 5, 60) == []
    assert store.journal.retry(job.id) == 1
    again = store.journal.claim(job.id, "worker", 5, 60)
    assert [claim.record for claim in again] == [bad.record]
    assert store.journal.swap(swaps(maker, again, second)) == []
    assert store.journal.finish(job.id).state is JobState.DONE
    assert states(store, job) == {"swapped": 4, "left": 1}


def test_a_record_that_cannot_be_read_fails_and_the_others_go_on(
    store: SqlRecords, job: Job
) -> None:
    damaged = ids(store)[2]
    with store._database.writing() as connection:
        connection.exec_driver_sql(
            f"UPDATE keyhier_records SET key_id = 'nonsense' WHERE id = '{damaged}'"
        )
    assert len(store.journal.claim(job.id, "worker", 100, 60)) == 4
    (item,) = store.journal.items(job.id, ItemState.FAILED)
    assert (item.record, item.error) == (damaged, "IntegrityError")


@pytest.mark.parametrize(
    ("column", "value"), [("state", "waiting"), ("target", "no key"), ("intent", "[]")]
)
def test_a_job_that_cannot_be_read_is_told_and_nothing_is_done_with_it(
    column: str, value: str, store: SqlRecords, job: Job
) -> None:
    with store._database.writing() as connection:
        connection.exec_driver_sql(f"UPDATE keyhier_jobs SET {column} = '{value}'")
    with pytest.raises(IntegrityError, match=job.id):
        store.journal.job(job.id)
    with pytest.raises(IntegrityError, match=job.id):
        store.journal.jobs()
    if column == "state":
        with pytest.raises(IntegrityError, match="in no state that a job has"):
            store.journal.claim(job.id, "me", 1, 60)


def test_a_swapped_envelope_has_to_be_the_records_own(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    one, other = store.journal.claim(job.id, "worker", 2, 60)
    before = list(store.find())
    with pytest.raises(IntegrityError, match="is not this record's"):
        store.journal.swap([Swap(one, maker.again(other.record, second))])
    assert list(store.find()) == before


def test_promise_8_a_job_that_is_rolled_back_brings_every_envelope_back(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    before = {record.id: (record.envelope, record.key) for record in store.find()}
    claims = store.journal.claim(job.id, "worker", 3, 60)
    store.journal.swap(swaps(maker, claims, second))
    held = store.journal.claim(job.id, "slow", 1, 60)
    (untouched,) = [
        record for record in store.find(Query(key=maker.first.id)) if record.id != held[0].record.id
    ]
    with pytest.raises(InvalidStateError, match="holds no envelope before"):
        store.journal.restore(untouched)
    with pytest.raises(InvalidStateError, match="is open, and has to be rolling-back"):
        store.journal.restore(store.get(claims[0].record.id))

    assert store.journal.roll_back(job.id).state is JobState.ROLLING_BACK
    assert store.journal.claim(job.id, "worker", 3, 60) == []
    with pytest.raises(InvalidStateError):
        store.journal.swap(swaps(maker, held, second))
    with pytest.raises(InvalidStateError, match="still hold the envelopes"):
        store.journal.end_roll_back(job.id)
    stale = store.get(claims[0].record.id)
    store.replace(attrs.evolve(stale, vm="renamed"))
    with pytest.raises(ConflictError):
        store.journal.restore(stale)
    for record in store.find(Query(job=job.id)):
        restored = store.journal.restore(record)
        assert restored == store.get(record.id)
        assert restored.previous is None
    ended = store.journal.end_roll_back(job.id)
    assert ended.state is JobState.ROLLED_BACK
    assert store.journal.end_roll_back(job.id) == store.journal.roll_back(job.id) == ended
    assert {record.id: (record.envelope, record.key) for record in store.find()} == before
    store.journal.begin(Job(kind="rotate", keys=job.keys))


def test_a_new_envelope_of_a_swapped_record_is_not_rolled_back(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    claims = store.journal.claim(job.id, "worker", 1, 60)
    store.journal.swap(swaps(maker, claims, second))
    swapped = store.get(claims[0].record.id)
    replaced = store.replace(swapped.with_envelope(maker.again(swapped, second)))
    assert replaced.previous is None
    store.journal.roll_back(job.id)
    assert ids(store, Query(job=job.id)) == []
    store.journal.end_roll_back(job.id)
    assert store.get(replaced.id) == replaced


def test_another_jobs_envelope_before_is_not_overwritten(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    claims = store.journal.claim(job.id, "worker", 5, 60)
    store.journal.swap(swaps(maker, claims, second))
    other = store.journal.begin(Job(kind="migrate", keys=("memory:elsewhere",)))
    store.journal.plan(other.id, Query())
    held = store.journal.claim(other.id, "worker", 5, 60)
    prepared = swaps(maker, held, maker.first)
    assert store.journal.swap(prepared) == prepared
    assert store.count(Query(job=job.id)) == 5


def test_a_done_job_is_open_again_where_something_came(
    store: SqlRecords, job: Job, maker: Maker, second: Key, filled: Fill
) -> None:
    store.journal.swap(swaps(maker, store.journal.claim(job.id, "worker", 5, 60), second))
    assert store.journal.finish(job.id).state is JobState.DONE
    assert store.journal.plan(job.id, old(second)) == 0
    assert store.journal.job(job.id).state is JobState.DONE
    filled(1)
    assert store.journal.plan(job.id, old(second)) == 1
    assert store.journal.job(job.id).state is JobState.OPEN


def test_nothing_is_swapped_to_a_version_that_is_to_go(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    claims = store.journal.claim(job.id, "worker", 5, 60)
    prepared = swaps(maker, claims, second)
    store.key_marks.mark(second.id, KeyState.RETIRING)
    with pytest.raises(InvalidStateError, match="is retiring"):
        store.journal.swap(prepared)
    assert store.count(Query(key=second.id)) == 0
    store.key_marks.unmark(second.id)
    assert store.journal.swap(prepared) == []


def test_promise_8_a_lease_that_ends_in_the_middle_of_a_swap_leaves_nothing_half_done(
    store: SqlRecords, job: Job, maker: Maker, second: Key
) -> None:
    """Leases of every length, so that some end between the statements of a swap."""
    for milliseconds in range(1, 60, 3):
        claims = store.journal.claim(job.id, "worker", 5, milliseconds / 1000)
        store.journal.swap(swaps(maker, claims, second))
        swapped = {item.record for item in store.journal.items(job.id, ItemState.SWAPPED)}
        assert swapped == set(ids(store, Query(job=job.id)))


WORKER = """
import sys
from keyhier.records import open_records
url, job = sys.argv[1:]
with open_records(url) as store:
    while claims := store.journal.claim(job, "w", 3, 60):
        for claim in claims:
            print(claim.record.id)
            assert store.journal.leave(claim, "seen")
"""


def test_no_two_workers_get_the_same_record(shared_url: str, maker: Maker) -> None:
    with open_records(shared_url) as store:
        records = store.add(*(maker.record() for _ in range(60)))
        job = store.journal.begin(Job(kind="rotate", keys=("memory:x",)))
        store.journal.plan(job.id, Query())
        command = [sys.executable, "-c", WORKER, shared_url, job.id]
        workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
        seen = [line for worker in workers for line in worker.communicate()[0].split()]
        assert [worker.returncode for worker in workers] == [0, 0, 0]
        assert sorted(seen) == sorted(record.id for record in records)
        assert store.journal.finish(job.id).state is JobState.DONE
