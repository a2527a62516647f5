"""Records made, keys rotated and retired, jobs killed, resumed and ended, in any order."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import keyhier
from keyhier import KeyId, NotFoundError, Vault
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.kek_cache import CacheLimits
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.work import Work
from keyhier.records import Job, JobState, Query, Record, open_records
from tests.hierarchy.jobs.mortal import Mortal
from tests.hierarchy.jobs.scene import bound_to, by_id, new_record, secret_of

KEK = KeyId.parse("memory:kek")
WORK = Work(threads=1, batch=2, lease=2)
# Nothing but this process uses the vaults, so the window is over at once.
AT_ONCE = Policy(cache=CacheLimits(age=0.001))


class Killed(BaseException):
    """The process is gone; nothing of keyhier's own handles it."""


class Keys(RuleBasedStateMachine):
    """Two vaults and one store; whatever is done, every record opens."""

    def __init__(self) -> None:
        super().__init__()
        self.vaults = [keyhier.open("memory:"), keyhier.open("memory:")]
        for vault in self.vaults:
            vault.create_key("kek", "AES-256")
        self.store = open_records("memory:")
        self.known: set[str] = set()
        # From which of them the last migration goes to the other; a rotation is gone on with
        # however they are opened.
        self.home = 0

    def teardown(self) -> None:
        self.store.close()
        for vault in self.vaults:
            vault.close()

    def hierarchy(self, home: int, store: Any = None) -> Hierarchy:
        """Both vaults are open; new versions are made in the first."""
        order = self.vaults if home == 0 else self.vaults[::-1]
        return Hierarchy(order, self.store if store is None else store, policy=AT_ONCE)

    @property
    def job(self) -> Job | None:
        """The one job that has not ended, if there is one."""
        found = self.store.journal.jobs(ended=False)
        return found[0] if found else None

    def killed_at(self, write: int) -> Any:
        left = [write]

        def on_write(call: Callable[[], Any]) -> Any:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return call()

        return Mortal(self.store, on_write)

    @rule(home=st.integers(0, 1), count=st.integers(1, 3))
    def make(self, home: int, count: int) -> None:
        for record in self.store.add(
            *(new_record(self.vaults[home].key("kek")) for _ in range(count))
        ):
            self.known.add(record.id)

    def work(self, home: int, write: int, begin: Callable[[Hierarchy], Any]) -> None:
        """Begin a job, or go on with one, and be killed at a write of its journal, or not."""
        with suppress(Killed):
            begin(self.hierarchy(home, self.killed_at(write)))

    @precondition(lambda self: self.job is None)
    @rule(home=st.integers(0, 1), write=st.integers(0, 12))
    def rotate(self, home: int, write: int) -> None:
        self.work(home, write, lambda hierarchy: hierarchy.rotate(KEK, WORK))

    @precondition(lambda self: self.job is None)
    @rule(home=st.integers(0, 1), write=st.integers(0, 12))
    def migrate(self, home: int, write: int) -> None:
        self.home = home
        # Nothing may need to be moved.
        with suppress(NotFoundError):
            self.go_on_migrating(write)

    def go_on_migrating(self, write: int) -> None:
        here = Hierarchy(self.vaults[self.home], self.killed_at(write))
        with suppress(Killed):
            here.migrate(self.vaults[1 - self.home], work=WORK)

    @precondition(lambda self: self.job is not None and self.job.state is JobState.OPEN)
    @rule(home=st.integers(0, 1), write=st.integers(0, 12))
    def resume(self, home: int, write: int) -> None:
        job = self.job
        assert job is not None
        if job.kind == "migrate":
            self.go_on_migrating(write)
        else:
            self.work(home, write, lambda hierarchy: hierarchy.jobs.resume(job.id, WORK))
        if write == 0:
            report = self.hierarchy(0).jobs.report(job.id)
            assert report.complete
            target = report.job.target
            if target is not None:
                old = [text for text in job.intent["from"] if text != str(target)]
                for text in old:
                    assert not self.store.count(Query(key=KeyId.parse(text)))

    @precondition(lambda self: self.job is not None and self.job.state is JobState.DONE)
    @rule()
    def finalize(self) -> None:
        job = self.job
        assert job is not None
        try:
            self.hierarchy(0).jobs.finalize(job.id)
        except keyhier.InvalidStateError:
            # Records came under the old version since; the job is open again.
            assert self.store.journal.job(job.id).state is JobState.OPEN

    @precondition(lambda self: self.job is not None)
    @rule()
    def roll_back(self) -> None:
        job = self.job
        assert job is not None
        done = self.hierarchy(0).jobs.roll_back(job.id)
        assert done.failed == ()
        assert done.job.state is JobState.ROLLED_BACK
        assert not self.store.count(Query(job=job.id))

    @property
    def older(self) -> list[tuple[int, KeyId]]:
        """The versions that are not the latest of their vault, and which vault that is."""
        return [
            (home, key.id)
            for home, vault in enumerate(self.vaults)
            for key in self.kek(vault).versions()[:-1]
        ]

    @precondition(lambda self: self.older)
    @rule(data=st.data())
    def retire(self, data: st.DataObject) -> None:
        """What is disabled by it is what nothing needs: see the invariant."""
        home, version = data.draw(st.sampled_from(self.older))
        done = self.hierarchy(home).retire(version, wait=True)
        needed = self.store.count(Query(key=version)) + self.store.count(Query(kept_under=version))
        assert not (done.disabled and needed)
        assert done.disabled is not bool(done.blockers)
        assert self.vaults[home].key(version).enabled is not done.disabled

    @precondition(lambda self: self.store.key_marks.all())
    @rule(data=st.data())
    def reinstate(self, data: st.DataObject) -> None:
        mark = data.draw(st.sampled_from(self.store.key_marks.all()))
        self.hierarchy(0).reinstate(mark.key)

    @invariant()
    def every_record_opens(self) -> None:
        found = by_id(self.store)
        assert found.keys() == self.known
        for record in found.values():
            assert self.opens(record)
            if record.previous is not None:
                assert self.opens(record.with_envelope(record.previous.envelope))

    def opens(self, record: Record) -> bool:
        keyring = self.hierarchy(0).keyring
        with keyring.use(record.key).unwrap(record.wrapped, context=bound_to(record.id)) as secret:
            return secret == secret_of(record.id)

    @invariant()
    def a_rotation_makes_one_version(self) -> None:
        made = sum(len(self.kek(vault).versions()) for vault in self.vaults)
        rotations = [job for job in self.store.journal.jobs() if job.kind == "rotate"]
        assert made <= 2 + len(rotations)

    @staticmethod
    def kek(vault: Vault) -> keyhier.Key:
        return vault.key("kek")


TestAnyOrder = Keys.TestCase
TestAnyOrder.settings = settings(max_examples=12, stateful_step_count=12, deadline=None)
