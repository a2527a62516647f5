"""Records that go side by side through one worker: faster, and each as careful as alone."""

from __future__ import annotations

import gc
import time
from collections import Counter
from collections.abc import Callable, Mapping

import attrs
import pytest

import keyhier
from keyhier import (
    IntegrityError,
    KeyId,
    SecretBytes,
    UnavailableError,
    Vault,
    WrapAlgorithm,
    WrappedKey,
)
from keyhier.audit import INTENT, AuditEvent
from keyhier.driver import KeyVersion
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.rewrap import rewrap
from keyhier.hierarchy.work import Work
from keyhier.records import ItemState
from keyhier.records.sql.store import SqlRecords
from keyhier.secret import Secret
from keyhier.steps import finish
from keyhier_memory.driver import MemoryDriver
from keyhier_memory.store import MemoryStore
from tests.hierarchy.jobs.scene import by_id, check_done, fill, new_record, secret_of, untouched

ONE = Work(threads=1)
MANY = 60
"""More records than the first, of which each goes alone."""


class WatchedDriver(MemoryDriver):
    """Tells which version unwrapped what, and does to it what a test wants."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.asked: list[str] = []
        self.seconds = 0.0
        self.change: Callable[[KeyVersion, SecretBytes], SecretBytes] = lambda _, secret: secret

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        self.asked.append(key.id.version)
        time.sleep(self.seconds)
        return self.change(key, super().unwrap(key, algorithm, wrapped, aad))


@pytest.fixture
def driver() -> WatchedDriver:
    return WatchedDriver()


def vault_of(driver: WatchedDriver, audit: Callable[[AuditEvent], None] | None = None) -> Vault:
    vault = Vault(driver, uri="memory:", audit=audit)
    vault.create_key("kek", "RSA-2048")
    return vault


def longest_run(asked: list[str]) -> int:
    """How many unwraps by one version followed each other at most."""
    longest = run = 0
    last = None
    for version in asked:
        run = run + 1 if version == last else 1
        longest, last = max(longest, run), version
    return longest


def test_a_quick_vault_unwraps_for_several_records_one_after_the_other(
    store: SqlRecords, driver: WatchedDriver
) -> None:
    vault = vault_of(driver)
    fill(store, vault.key("kek"), MANY)
    before, fingerprint = by_id(store), untouched(store)
    report = Hierarchy(vault, store).rotate("kek", ONE)
    # The old envelopes of several, then their new ones; eight on a machine that is not busy.
    assert 1 < longest_run(driver.asked) <= 8
    assert Counter(driver.asked) == {key.version: MANY for key in vault.key("kek").versions()}
    check_done(store, report.job.id, before, vault.key("kek").id, vault)
    assert untouched(store) == fingerprint


def test_a_vault_that_is_waited_for_gets_one_record_at_a_time(
    store: SqlRecords, driver: WatchedDriver
) -> None:
    vault = vault_of(driver)
    fill(store, vault.key("kek"), 12)
    driver.seconds = 0.03
    assert Hierarchy(vault, store).rotate("kek", ONE).complete
    assert longest_run(driver.asked) == 1


def test_a_vault_that_becomes_slow_gets_one_record_at_a_time_and_leases_go_on(
    store: SqlRecords, driver: WatchedDriver
) -> None:
    vault = vault_of(driver)
    fill(store, vault.key("kek"), 40)
    before = by_id(store)

    def slow_down(_: KeyVersion, secret: SecretBytes) -> SecretBytes:
        # What eight would take now, twice each, is more than the lease.
        driver.seconds = 0.2 if 30 < len(driver.asked) < 42 else 0.0
        return secret

    driver.change = slow_down
    report = Hierarchy(vault, store).rotate("kek", attrs.evolve(ONE, lease=3.0))
    check_done(store, report.job.id, before, vault.key("kek").id, vault)
    # No more than what half a second takes is opened in a row.
    assert longest_run(driver.asked[32:40]) <= 4


def test_promise_8_what_does_not_open_again_is_left_and_those_beside_it_are_done(
    store: SqlRecords, driver: WatchedDriver
) -> None:
    vault = vault_of(driver)
    old = vault.key("kek")
    records = sorted(fill(store, old, MANY), key=lambda record: record.id)
    opened = 0

    def garble(key: KeyVersion, secret: SecretBytes) -> SecretBytes:
        nonlocal opened
        opened += key.id != old.id
        return SecretBytes.random(len(secret)) if key.id != old.id and opened == 45 else secret

    driver.change = garble
    report = Hierarchy(vault, store).rotate("kek", ONE)
    (failed,) = store.journal.items(report.job.id, ItemState.FAILED)
    assert (failed.record, failed.error) == (records[44].id, IntegrityError.__name__)
    assert store.get(failed.record) == records[44]
    assert report.counts[ItemState.SWAPPED] == MANY - 1


def test_promise_8_records_in_a_row_that_a_vault_refuses_stop_the_job_among_others(
    store: SqlRecords, driver: WatchedDriver
) -> None:
    vault = vault_of(driver)
    fill(store, vault.key("kek"), MANY)
    before = by_id(store)

    def refuse(_: KeyVersion, secret: SecretBytes) -> SecretBytes:
        if len(driver.asked) > 70:
            secret.wipe()
            raise UnavailableError("away")
        return secret

    driver.change = refuse
    hierarchy = Hierarchy(vault, store)
    with pytest.raises(UnavailableError):
        hierarchy.rotate("kek", ONE)
    (job,) = store.journal.jobs()
    counts = store.journal.counts(job.id)
    assert counts[ItemState.FAILED] == 0
    assert counts[ItemState.PENDING] + counts[ItemState.SWAPPED] == MANY
    driver.change = lambda _, secret: secret
    # Nothing is leased any more, so nobody has to wait.
    report = hierarchy.rotate("kek", attrs.evolve(ONE, lease=3600))
    check_done(store, report.job.id, before, vault.key("kek").id, vault)


def test_each_operation_is_told_before_it_and_after_it(
    store: SqlRecords, driver: WatchedDriver
) -> None:
    events: list[AuditEvent] = []

    class Trail:
        def begin(self, event: AuditEvent) -> None:
            events.append(event)

        def __call__(self, event: AuditEvent) -> None:
            events.append(event)

    vault = vault_of(driver, Trail())
    records = fill(store, vault.key("kek"), MANY)
    events.clear()
    assert Hierarchy(vault, store).rotate("kek", ONE).complete
    assert longest_run(driver.asked) > 1
    used = [event for event in events if event.operation in ("wrap", "unwrap")]
    outcomes: dict[str, list[str]] = {}
    for event in used:
        outcomes.setdefault(event.id, []).append(event.outcome)
    assert all(told == [INTENT, "ok"] for told in outcomes.values())
    told = Counter((event.record, event.operation) for event in used if event.outcome == "ok")
    assert told == {
        (record.id, operation): times
        for record in records
        for operation, times in (("wrap", 1), ("unwrap", 2))
    }


# ---------------------------------------------------------------------- one record, step by step


def _alive(secret: bytes) -> int:
    return sum(
        isinstance(found, SecretBytes) and not found.wiped and found == secret
        for found in gc.get_objects()
    )


def test_promise_6_no_secret_outlasts_a_step(memory: Vault) -> None:
    source, target = memory.key("kek"), memory.create_key("other", "RSA-2048")
    record = new_record(source)
    secret = secret_of(record.id)
    with source.unwrap(record.wrapped, context=record.wrapped.context):
        assert _alive(secret) == 1
    steps = rewrap(record, source, target)
    pauses = 0
    for _ in steps:
        pauses += 1
        assert _alive(secret) == 0
    assert pauses == 4


def test_promise_6_what_is_given_up_half_way_is_wiped_and_told(driver: WatchedDriver) -> None:
    events: list[AuditEvent] = []
    vault = vault_of(driver, events.append)
    held: list[SecretBytes] = []

    def keep(_: KeyVersion, secret: SecretBytes) -> SecretBytes:
        held.append(secret)
        return secret

    driver.change = keep
    key = vault.key("kek")
    record = new_record(key)
    steps = rewrap(record, key, key)
    next(steps)
    next(steps)
    assert [content_key.wiped for content_key in held] == [False]
    steps.close()
    assert [content_key.wiped for content_key in held] == [True]
    assert (events[-1].operation, events[-1].record) == ("unwrap", record.id)
    assert events[-1].outcome != "ok"


@attrs.frozen
class _Forger:
    """A KEK whose envelopes open to something of the same length."""

    id: KeyId
    _key: keyhier.Key

    def wrap(
        self,
        secret: Secret,
        *,
        context: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> WrappedKey:
        return self._key.wrap(secret, context=context, content_type=content_type)

    def unwrap(
        self, wrapped: WrappedKey | str, *, context: Mapping[str, str] | None = None
    ) -> SecretBytes:
        with self._key.unwrap(wrapped, context=context) as secret:
            view = secret.view()
            return SecretBytes(bytes([view[0] ^ 1]) + bytes(view[1:]))


def test_promise_8_what_opens_again_is_compared_with_what_was_there(memory: Vault) -> None:
    key = memory.key("kek")
    record = new_record(key)
    with pytest.raises(IntegrityError, match="does not open again"):
        finish(rewrap(record, key, _Forger(key.id, key)))
    assert isinstance(finish(rewrap(record, key, key)), WrappedKey)
