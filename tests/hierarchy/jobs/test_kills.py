"""Kill it at any instant and run it again: it ends as if it had never been killed (promise 8)."""

from __future__ import annotations

import random
import signal
from typing import TYPE_CHECKING, Any

import attrs

from keyhier.records import Job
from tests.hierarchy.jobs.scene import by_id, check_done, fill, untouched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keyhier import KeyId, Vault
    from keyhier.records import Record
    from keyhier.records.sql.store import SqlRecords
    from tests.hierarchy.jobs.conftest import Place, Workers
    from tests.soak.scale import Figures, Scale

KILLED = -signal.SIGKILL

KILLS_IN_A_JOB = 4
"""On average, if there are more to come."""


@attrs.define
class Kills:
    """Runs jobs, and kills each at some instants that are spread over the time that it takes.

    How long somebody lives is drawn anew each time, so that no instant of a job is likelier than
    another, and the end of a job that has been killed before is met as often as its beginning.

    Attributes:
        wanted: how often somebody is killed.
        done: how often somebody was.
        finished: how many jobs were run to their end.
        most: how often the same job was killed at most.
    """

    workers: Workers
    wanted: int
    done: int = 0
    finished: int = 0
    most: int = 0
    _whole_job: float = 0

    def finish(self, **order: Any) -> None:
        """Run a job, and again after every kill until it is complete; the first takes the time."""
        kills = 0
        while True:
            kill_after = None
            if self.finished and self.done < self.wanted:
                kill_after = random.expovariate(KILLS_IN_A_JOB / self._whole_job)
            status, seconds = self.workers.run(**order, lease=0.5, kill_after=kill_after)
            if status != KILLED:
                break
            kills += 1
            self.done += 1
        assert status == 0
        if not kills:
            self._whole_job = seconds
        self.finished += 1
        self.most = max(self.most, kills)

    def __str__(self) -> str:
        return (
            f"{self.done} kills in {self.finished} jobs, at most {self.most} in one; at the end of "
            "each every record opened byte for byte under the one new version, none swapped twice"
        )


def place_name(url: str, place: Place) -> str:
    """The pair, for figures."""
    return f"{url.partition(':')[0]} with {place.uri.partition(':')[0]}"


def open_job(store: SqlRecords) -> Job:
    (job,) = store.journal.jobs(ended=False)
    return job


def finalize_done(
    store: SqlRecords,
    before: Mapping[str, Record],
    fingerprint: list[object],
    target: KeyId,
    *vaults: Vault,
) -> None:
    """Look that the open job is done as if nobody had been killed, and make way for the next."""
    job = open_job(store)
    check_done(store, job.id, before, target, *vaults)
    assert untouched(store) == fingerprint
    store.journal.finalize(job.id)


def test_promise_8_a_rotation_killed_at_random_instants_loses_nothing(
    workers: Workers,
    shared_url: str,
    shared_store: SqlRecords,
    place: Place,
    vault: Vault,
    scale: Scale,
    figures: Figures,
) -> None:
    fill(shared_store, vault.key("kek"), scale.killed_records)
    fingerprint = untouched(shared_store)
    kills = Kills(workers, scale.kills)
    while kills.done < scale.kills:
        before = by_id(shared_store)
        kills.finish(records=shared_url, vaults=[place.uri], key="kek")
        made = vault.key("kek").versions()
        assert len(made) == 1 + kills.finished, "a second version was made"
        finalize_done(shared_store, before, fingerprint, made[-1].id, vault)
    what = f"rotation of {scale.killed_records} records killed at random instants"
    figures(f"{place_name(shared_url, place)}: {what}", str(kills))


def test_promise_8_a_migration_killed_at_random_instants_loses_nothing(
    workers: Workers,
    shared_url: str,
    shared_store: SqlRecords,
    place: Place,
    vault: Vault,
    other: Vault,
    scale: Scale,
    figures: Figures,
) -> None:
    fill(shared_store, vault.key("kek"), scale.killed_records)
    fingerprint = untouched(shared_store)
    kills = Kills(workers, scale.kills)
    there, back = (place.uri, place.other_uri, other), (place.other_uri, place.uri, vault)
    while kills.done < scale.kills:
        source, to, target = (there, back)[kills.finished % 2]
        before = by_id(shared_store)
        kills.finish(records=shared_url, vaults=[source], to=to)
        finalize_done(shared_store, before, fingerprint, target.key("kek").id, vault, other)
    what = f"migration of {scale.killed_records} records killed at random instants"
    figures(f"{place_name(shared_url, place)} and back: {what}", str(kills))
