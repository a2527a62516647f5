"""Kill it before or after any write of its journal: it ends as if it had never been killed.

In ``make test`` each so many of these moments, which differ from one pair of store and vault to the
next; in ``make soak`` all of them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from keyhier.hierarchy.facade import Hierarchy
from tests.hierarchy.jobs.scene import bound_to, by_id, fill, secret_of, untouched
from tests.hierarchy.jobs.test_kills import KILLED, finalize_done, open_job, place_name

if TYPE_CHECKING:
    from keyhier import Vault
    from keyhier.records import Record
    from keyhier.records.sql.store import SqlRecords
    from tests.hierarchy.jobs.conftest import Place, Workers
    from tests.soak.scale import Figures, Scale

RECORDS = 20


@attrs.define
class Moments:
    """The moments at which somebody is killed, and the last one that there was.

    Attributes:
        step: each how many moments.
        kills: how often somebody was killed.
        write: the write that came last.
    """

    workers: Workers
    step: int
    offset: int
    kills: int = 0
    write: int = 0

    def each(self, order: Callable[[], dict[str, Any]]) -> Iterator[None]:
        """Kill somebody at each moment and let another go on; then the caller looks at it."""
        moment, status = self.offset, KILLED
        while status == KILLED:
            ordered = order()
            self.write = moment // 2 + 1
            status, _ = self.workers.run(
                **ordered, kill_at_write=self.write, done=bool(moment % 2), batch=10, lease=0.2
            )
            assert status in (0, KILLED)
            self.kills += status == KILLED
            # Whoever comes next goes on with it, or finds it done.
            assert self.workers.run(**ordered, batch=10, lease=0.5)[0] == 0
            yield
            moment += self.step

    def __str__(self) -> str:
        return f"{self.kills} kills, after each of which it was resumed and ended as without"


@pytest.fixture
def moments(workers: Workers, scale: Scale, request: pytest.FixtureRequest) -> Moments:
    return Moments(workers, scale.writes, zlib.crc32(request.node.name.encode()) % scale.writes)


@pytest.fixture
def fingerprint(shared_store: SqlRecords, vault: Vault) -> list[object]:
    fill(shared_store, vault.key("kek"), RECORDS)
    return untouched(shared_store)


def test_promise_8_a_rotation_killed_at_any_write_of_its_journal_loses_nothing(
    moments: Moments,
    shared_url: str,
    shared_store: SqlRecords,
    place: Place,
    vault: Vault,
    fingerprint: list[object],
    figures: Figures,
) -> None:
    before: dict[str, Record] = {}

    def order() -> dict[str, Any]:
        before.update(by_id(shared_store))
        return {"records": shared_url, "vaults": [place.uri], "key": "kek"}

    for versions, _ in enumerate(moments.each(order), 2):
        made = vault.key("kek").versions()
        assert len(made) == versions, "a second version was made"
        finalize_done(shared_store, before, fingerprint, made[-1].id, vault)
    assert moments.write > 8, "this was no journal of a whole job"
    what = f"rotation of {RECORDS} records killed before and after writes of its journal"
    figures(f"{place_name(shared_url, place)}: {what}", str(moments))


def test_promise_8_a_migration_killed_at_any_write_of_its_journal_loses_nothing(
    moments: Moments,
    shared_url: str,
    shared_store: SqlRecords,
    place: Place,
    vault: Vault,
    other: Vault,
    fingerprint: list[object],
    figures: Figures,
) -> None:
    before: dict[str, Record] = {}
    ways = cycle([(place.uri, place.other_uri, other), (place.other_uri, place.uri, vault)])
    target = vault

    def order() -> dict[str, Any]:
        nonlocal target
        before.update(by_id(shared_store))
        source, to, target = next(ways)
        return {"records": shared_url, "vaults": [source], "to": to}

    for _ in moments.each(order):
        finalize_done(shared_store, before, fingerprint, target.key("kek").id, vault, other)
    assert moments.write > 7, "this was no journal of a whole job"
    what = f"migration of {RECORDS} records killed before and after writes of its journal"
    figures(f"{place_name(shared_url, place)} and back: {what}", str(moments))


@pytest.mark.parametrize("kind", ["rotation", "migration"])
def test_promise_8_a_roll_back_killed_at_any_write_of_its_journal_loses_nothing(
    kind: str,
    moments: Moments,
    workers: Workers,
    shared_url: str,
    shared_store: SqlRecords,
    place: Place,
    vault: Vault,
    other: Vault,
    fingerprint: list[object],
    figures: Figures,
) -> None:
    before = by_id(shared_store)
    begin: dict[str, Any] = {"records": shared_url, "vaults": [place.uri]}
    begin |= {"to": place.other_uri} if kind == "migration" else {"key": "kek"}

    def order() -> dict[str, Any]:
        before.update(by_id(shared_store))
        assert workers.run(**begin)[0] == 0
        return {**begin, "job": open_job(shared_store).id, "roll_back": True}

    keyring = Hierarchy(vault, shared_store).keyring
    for _ in moments.each(order):
        assert shared_store.journal.jobs(ended=False) == []
        found = by_id(shared_store)
        assert found.keys() == before.keys(), "a record was lost, or came from nowhere"
        for record_id, record in found.items():
            old = before[record_id]
            assert (record.envelope, record.key, record.previous) == (old.envelope, old.key, None)
            # Once swapped, and once brought back.
            assert record.generation == old.generation + 2
            with keyring.use(record.key).unwrap(
                record.wrapped, context=bound_to(record_id)
            ) as secret:
                assert secret == secret_of(record_id)
        assert untouched(shared_store) == fingerprint
    assert moments.write > RECORDS + 2, "this was no journal of a whole roll-back"
    what = f"roll-back of the {kind} of {RECORDS} records killed before and after writes"
    figures(f"{place_name(shared_url, place)}: {what}", str(moments))
