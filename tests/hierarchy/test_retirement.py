"""Census and retirement: no version is disabled while anything needs it or could begin to."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import pytest

import keyhier
from keyhier import (
    Hierarchy,
    InvalidInputError,
    InvalidStateError,
    KeyId,
    KeyReference,
    NotFoundError,
    SecretBytes,
    Vault,
)
from keyhier.hierarchy.census_source import SourceResult
from keyhier.hierarchy.kek_cache import CacheLimits
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.volume import Volume
from keyhier.records import CensusRow, Job, JobState, KeyMark, KeyState, RecordState
from keyhier.records.sql.key_marks import SqlKeyMarks
from keyhier.records.sql.store import SqlRecords
from keyhier.records.url import RecordsUrl
from keyhier.testing.softhsm import SoftHsmToken
from tests.hierarchy.conftest import DB, SECRET, WEB

CMK = KeyId.parse("memory:cmk")
# Short enough to wait for, and a window nevertheless.
QUICK = CacheLimits(age=0.2)
HOUR = timedelta(hours=1)


@pytest.fixture
def quick(hierarchy: Hierarchy, vault: Vault, store: SqlRecords) -> Hierarchy:
    return Hierarchy(vault, store, policy=Policy(cache=QUICK))


def test_a_census_counts_by_version_set_and_machine(hierarchy: Hierarchy, vault: Vault) -> None:
    hierarchy.sets.create("web", KeyReference.following(CMK))
    hierarchy.protect(attrs.evolve(WEB, set="web"), SECRET)
    hierarchy.protect(Volume("web-01", "D:"), SECRET, under="cmk")
    hierarchy.create_kek("mid", under="cmk")
    first = vault.key("cmk")
    second = first.rotate()
    hierarchy.protect(DB, SECRET, under="cmk")
    found = hierarchy.census("cmk")
    assert found.complete
    assert [each.key for each in found.versions] == sorted([first.id, second.id])
    counted = found.of(first.id)
    assert (counted.records, counted.kept, counted.sets) == (3, 0, ("web",))
    assert counted.by_set == {"web": 1, None: 2}
    assert counted.by_vm == {"web-01": 2, None: 1}
    assert found.of(second.id).records == 1
    assert hierarchy.census(second.id).versions == (found.of(second.id),)
    assert found.of(KeyId.parse("memory:cmk/9")).is_zero
    assert found.as_dict()["zero"] is False
    nothing = hierarchy.census("aes")
    assert nothing.complete
    assert nothing.is_zero


def test_a_version_is_disabled_once_nothing_needs_it(quick: Hierarchy, vault: Vault) -> None:
    first = vault.key("cmk")
    quick.protect(WEB, SECRET, under="cmk")
    report = quick.rotate("cmk")
    # The envelope before is kept until the job is finalised.
    waiting = quick.retire(first.id, wait=True)
    assert not waiting.disabled
    assert any("until the job that kept it is finalised" in each for each in waiting.blockers)
    assert any("has not ended" in each for each in waiting.blockers)
    quick.jobs.finalize(report.job.id)
    done = quick.retire("cmk", first.version)
    assert done.disabled
    assert done.census is not None
    assert done.census.is_zero
    assert not vault.key(first.id).enabled
    assert quick.retire(first.id).disabled
    with quick.recover(WEB) as secret:
        assert secret == SECRET


def test_a_version_that_was_disabled_stays_so_whatever_is_done_with_its_key(
    quick: Hierarchy, vault: Vault
) -> None:
    first = vault.key("cmk")
    first.rotate()
    assert quick.retire(first.id, wait=True).disabled
    quick.protect(WEB, SECRET, under="cmk")
    assert quick.rotate("cmk").job.state is JobState.DONE
    again = quick.retire(first.id)
    assert (again.disabled, again.blockers) == (True, ())
    assert not vault.key(first.id).enabled


def test_promise_8_new_uses_end_before_the_census_is_taken(
    hierarchy: Hierarchy, vault: Vault
) -> None:
    first = vault.key("cmk")
    second = first.rotate()
    early = hierarchy.retire(first.id)
    assert (early.disabled, early.census) == (False, None)
    assert early.not_before is not None
    assert timedelta(minutes=4) < early.not_before - datetime.now(UTC) <= timedelta(minutes=5)
    assert early.as_dict()["not_before"]
    with pytest.raises(InvalidStateError, match="retiring"):
        hierarchy.protect(WEB, SECRET, under=first.id)
    hierarchy.protect(WEB, SECRET, under="cmk")
    assert vault.key(first.id).enabled
    hierarchy.reinstate(first.id)
    hierarchy.protect(DB, SECRET, under=first.id)
    with pytest.raises(InvalidStateError, match="not being retired"):
        hierarchy.reinstate(second.id)


def test_what_is_needed_is_not_disabled(quick: Hierarchy, vault: Vault) -> None:
    first = vault.key("cmk")
    quick.sets.create("pinned", KeyReference.pinned(first.id))
    quick.protect(WEB, SECRET, under="cmk")
    first.rotate()
    found = quick.retire(first.id, wait=True)
    assert {"1 record needs it", "it is the version that the set pinned uses"} == set(
        found.blockers
    )
    assert vault.key(first.id).enabled


def test_the_latest_version_and_what_is_none_are_refused(hierarchy: Hierarchy) -> None:
    with pytest.raises(InvalidStateError, match="rotate the key first"):
        hierarchy.retire("cmk", hierarchy.keyring.latest(CMK).id.version)
    with pytest.raises(InvalidInputError, match="no version"):
        hierarchy.retire("cmk")
    with pytest.raises(InvalidInputError, match="already"):
        hierarchy.retire("memory:cmk/1", "2")
    with pytest.raises(NotFoundError):
        hierarchy.retire("cmk", "1")


def test_a_set_that_has_just_moved_holds_the_version_for_the_window(
    hierarchy: Hierarchy, vault: Vault, store: SqlRecords
) -> None:
    policy = Policy(cache=QUICK, propagation={"memory": 3600})
    with Hierarchy(vault, store, policy=policy) as slow:
        slow.sets.create("web", KeyReference.following(CMK))
        first = vault.key("cmk")
        first.rotate()
        moved = slow.sets.observe("web")
        found = slow.retire(first.id)
        assert found.not_before is not None
        assert moved.settled_at is not None
        assert found.not_before >= moved.settled_at


def test_a_set_that_went_to_another_key_holds_the_version_that_it_had_for_the_window(
    hierarchy: Hierarchy, vault: Vault, store: SqlRecords
) -> None:
    policy = Policy(cache=QUICK, propagation={"memory": 3600})
    with Hierarchy(vault, store, policy=policy) as slow:
        first = vault.key("cmk")
        first.rotate()
        slow.sets.create("web", KeyReference.pinned(first.id))
        mark = store.key_marks.mark(first.id, KeyState.RETIRING)
        other = vault.create_key("other", "RSA-2048")
        moved = slow.sets.refer("web", KeyReference.pinned(other.id))
        # No disk of it has a record, so the version is none of its previous keys any more.
        seen = slow.sets.observe("web").set
        assert seen.previous == ()
        found = slow.retire(first.id)
        assert moved.settled_at is not None
        assert mark.since + HOUR < moved.settled_at
        assert found.not_before == moved.settled_at
        assert "took up its version" in (seen.needs(first.id, 3600, store.now()) or "")


@pytest.fixture
def moved(store: SqlRecords) -> Iterator[Vault]:
    """A vault with a key that the record of a disk knows by an id of old, and a newer version."""
    with keyhier.open("memory:") as before, Hierarchy(before, store) as hierarchy:
        with SecretBytes.random(32) as material:
            old = before.import_key("old", material).id
            new = before.import_key("new", material).id
        hierarchy.protect(WEB, SECRET, under=old)
        backup = before.backup_key("new")
    with keyhier.open("memory:", aliases={str(old): str(new)}) as vault:
        vault.restore_key(backup).rotate()
        yield vault


def test_promise_8_a_version_is_kept_that_records_know_by_an_id_of_old(
    moved: Vault, store: SqlRecords
) -> None:
    [(old, new)] = moved.aliases.items()
    with Hierarchy(moved, store, policy=Policy(cache=QUICK)) as hierarchy:
        for asked in (new, new.versionless):
            assert hierarchy.census(asked).of(old).records == 1
        # What an id of old stands for is counted once.
        assert hierarchy.census(old).of(old).records == 1
        found = hierarchy.retire(new, wait=True)
        assert not found.disabled
        assert found.blockers == (f"1 record needs it by its id of old, {old}",)
        with pytest.raises(InvalidStateError, match="was not retired"):
            hierarchy.delete_key("new", confirm="new")
        with hierarchy.recover(WEB) as secret:
            assert secret == SECRET


@pytest.mark.parametrize("name", ["kek", "former"])
def test_promise_8_nothing_is_retired_or_deleted_by_an_id_of_old(
    name: str, store: SqlRecords
) -> None:
    with keyhier.open("memory:") as before:
        new = before.create_key("kek", "AES-256").id
        backup = before.backup_key("kek")
    old = KeyId.parse(f"memory:{name}/1")
    with keyhier.open("memory:", aliases={str(old): str(new)}) as vault:
        vault.restore_key(backup).rotate()
        with Hierarchy(vault, store, policy=Policy(cache=QUICK)) as hierarchy:
            hierarchy.protect(WEB, SECRET, under=new)
            for act in (
                lambda: hierarchy.retire(old, wait=True),
                lambda: hierarchy.retire(old.versionless, old.version),
                lambda: hierarchy.reinstate(old),
                lambda: hierarchy.delete_key(old, confirm=name),
            ):
                with pytest.raises(InvalidStateError, match=f"{old} is known today as {new}"):
                    act()
            assert store.key_marks.get(old) is None
            assert vault.key(new).enabled
            with hierarchy.recover(WEB) as secret:
                assert secret == SECRET


def test_promise_8_a_version_that_is_still_open_by_its_id_is_retired_by_it(
    store: SqlRecords, softhsm_token: SoftHsmToken
) -> None:
    with keyhier.open(softhsm_token.uri) as target:
        new = target.create_key("kek", "AES-256").id
    with keyhier.open("memory:") as source:
        old = source.create_key("kek", "AES-256").id
        source.key("kek").rotate()
        aliases = {str(old): str(new)}
        with (
            keyhier.open(softhsm_token.uri, aliases=aliases) as target,
            Hierarchy([source, target], store, policy=Policy(cache=QUICK)) as hierarchy,
        ):
            hierarchy.protect(WEB, SECRET, under=new)
            assert hierarchy.retire(old, wait=True).disabled
            assert not source.key(old).enabled
            assert target.key(new).enabled


def test_a_census_by_an_id_of_old_counts_what_knows_the_version_by_its_id_of_today(
    moved: Vault, store: SqlRecords
) -> None:
    [(old, new)] = moved.aliases.items()
    with Hierarchy(moved, store) as hierarchy:
        hierarchy.protect(DB, SECRET, under=new)
        found = hierarchy.census(old)
    assert (found.of(old).records, found.of(new).records) == (1, 1)


def test_promise_8_a_job_that_knows_a_version_by_an_id_of_old_keeps_it(
    moved: Vault, store: SqlRecords
) -> None:
    [(old, new)] = moved.aliases.items()
    store.journal.begin(Job(kind="rotate", keys=(str(old.versionless),), intent={}))
    with Hierarchy(moved, store, policy=Policy(cache=QUICK)) as hierarchy:
        assert any("has not ended" in each for each in hierarchy.retire(new, wait=True).blockers)


def test_promise_8_a_key_is_not_deleted_that_records_know_by_an_id_of_old(
    moved: Vault, store: SqlRecords
) -> None:
    [(old, new)] = moved.aliases.items()
    with Hierarchy(moved, store, policy=Policy(cache=QUICK)) as hierarchy:
        # As if nobody had given the alias when it was disabled.
        moved.key(new).disable()
        store.key_marks.mark(new, KeyState.DISABLED)
        assert hierarchy.delete_key("new", confirm="new").not_before is not None
        time.sleep(QUICK.age)
        with pytest.raises(InvalidStateError, match=f"{old} is needed"):
            hierarchy.delete_key("new", confirm="new")


@pytest.mark.parametrize("complete", [True, False])
def test_other_sources_are_asked_and_must_tell_all(
    complete: bool, hierarchy: Hierarchy, vault: Vault, store: SqlRecords
) -> None:
    first = vault.key("cmk")
    first.rotate()

    def other(key: KeyId) -> SourceResult:
        row = CensusRow(first.id, None, "db-09", kept=False, count=2)
        if complete:
            return SourceResult("another store", rows=(row,))
        return SourceResult("another store", complete=False, reason="it is away")

    with Hierarchy(vault, store, policy=Policy(cache=QUICK, sources=(other,))) as asking:
        found = asking.retire(first.id, wait=True)
    assert not found.disabled
    [blocker] = found.blockers
    assert blocker == (
        "2 records need it" if complete else "the census is not complete: another store: it is away"
    )


class Ahead(SqlRecords):
    """A store whose clock is an hour ahead of this machine's."""

    def now(self) -> datetime:
        return super().now() + HOUR

    @property
    def key_marks(self) -> SqlKeyMarks:
        return MarksAhead(self._database)

    @key_marks.setter
    def key_marks(self, _: SqlKeyMarks) -> None: ...


class MarksAhead(SqlKeyMarks):
    """What is noted of keys by that clock."""

    def get(self, key: KeyId) -> KeyMark | None:
        found = super().get(key)
        return found and attrs.evolve(found, since=found.since + HOUR)

    def mark(
        self, key: KeyId, state: KeyState, details: Mapping[str, Any] | None = None
    ) -> KeyMark:
        made = super().mark(key, state, details)
        return attrs.evolve(made, since=made.since + HOUR)


def test_times_are_by_one_clock_the_databases(vault: Vault) -> None:
    first = vault.create_key("cmk", "RSA-2048")
    policy = Policy(cache=QUICK, propagation={"memory": 0.2})
    with (
        Ahead.open(RecordsUrl.parse("memory:"), read_only=False) as ahead,
        Hierarchy(vault, ahead, policy=policy) as hierarchy,
    ):
        before = ahead.now()
        hierarchy.sets.create("web", KeyReference.following(CMK))
        first.rotate()
        moved = hierarchy.sets.observe("web").set
        assert moved.last_rotation is not None
        for seen in (moved.last_rotation, *(each.last for each in moved.sightings)):
            assert before <= seen <= ahead.now()
        # By this machine's clock it would be an hour until then.
        assert hierarchy.retire(first.id, wait=True).blockers == (
            "the set web is rotating away from it",
        )


def test_a_kek_in_a_record_is_retired_too(quick: Hierarchy) -> None:
    made = quick.create_kek("web", under="aes")
    quick.protect(WEB, SECRET, under="web")
    report = quick.rotate(made.id.versionless)
    quick.jobs.finalize(report.job.id)
    assert quick.retire(made.id, wait=True).disabled
    assert quick.records.get(made.record.id).state is RecordState.RETIRED
    with pytest.raises(InvalidStateError, match="was retired"):
        quick.protect(DB, SECRET, under=made.id)
    quick.reinstate(made.id)
    quick.protect(DB, SECRET, under=made.id)


def test_a_key_is_deleted_on_a_second_word_and_when_nothing_needs_it(
    quick: Hierarchy, vault: Vault
) -> None:
    first = vault.key("cmk")
    record = quick.protect(WEB, SECRET, under="cmk")
    second = first.rotate()
    with pytest.raises(InvalidInputError, match="give its name again"):
        quick.delete_key("cmk", confirm="yes")
    with pytest.raises(InvalidStateError, match="was not retired"):
        quick.delete_key("cmk", confirm="cmk")
    quick.records.delete(record)
    assert quick.retire(first.id, wait=True).disabled
    early = quick.delete_key("cmk", confirm="cmk")
    assert (early.key, early.deleted, early.not_before is None) == (second.id, False, False)
    with pytest.raises(InvalidStateError, match="retiring"):
        quick.protect(WEB, SECRET, under=second.id)
    time.sleep(2 * QUICK.age)
    assert quick.delete_key("cmk", confirm="cmk").deleted
    assert "cmk" in vault.deleted()
    made = quick.create_kek("web", under="aes")
    with pytest.raises(InvalidInputError, match="not deleted"):
        quick.delete_key(made.id, confirm="web")


def test_a_key_that_is_needed_is_not_deleted(quick: Hierarchy, vault: Vault) -> None:
    quick.protect(WEB, SECRET, under="cmk")
    assert not quick.delete_key("cmk", confirm="cmk").deleted
    time.sleep(2 * QUICK.age)
    with pytest.raises(InvalidStateError, match="is needed"):
        quick.delete_key("cmk", confirm="cmk")
    assert vault.key("cmk").enabled
