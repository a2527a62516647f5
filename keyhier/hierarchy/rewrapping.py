"""The engine: a job's records claimed, wrapped anew, verified and swapped, by many workers.

What holds, wherever a worker is killed:

* An envelope is put in place only after it was opened and compared, in one UPDATE that is
  conditional on the record's generation and on the lease, and that keeps the envelope before.
* So work may be done twice, and a swap is made once.
* What a dead worker had claimed is free again when its lease ends, by the store's clock; nothing
  else of it has to be cleaned up. Whoever goes on needs the job's id and nothing of its memory.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import Final

from keyhier.batch import stream_in_steps
from keyhier.errors import (
    AccessDeniedError,
    AuthenticationError,
    InvalidStateError,
    KeyhierError,
    ThrottledError,
    UnavailableError,
)
from keyhier.hierarchy.kek_use import KekUse
from keyhier.hierarchy.keyring import Keyring
from keyhier.hierarchy.rewrap import TargetRefusedError, rewrap
from keyhier.hierarchy.work import Work
from keyhier.identifiers import KeyId
from keyhier.records.jobs import Claim, ItemState, JobState, Swap
from keyhier.records.protocol import Journal
from keyhier.steps import Steps

__all__ = ["Rewrapping"]

_PATIENCE: Final = 5
"""So many records in a row may meet a vault that is away or refuses before the work stops."""

_MAX_PAUSE_SECONDS: Final = 1.0

_OF_THE_VAULT: Final = (
    AccessDeniedError,
    AuthenticationError,
    ThrottledError,
    UnavailableError,
)


class Rewrapping:
    """One worker on one job."""

    def __init__(
        self,
        journal: Journal,
        keyring: Keyring,
        job_id: str,
        targets: Mapping[KeyId, KeyId],
        work: Work,
    ) -> None:
        """Prepare the work; nothing is asked of the vault yet.

        Args:
            journal: the jobs of the store.
            keyring: finds the keys.
            job_id: which job.
            targets: by exact version what its records are to be wrapped under.
            work: how.
        """
        self._journal = journal
        self._keyring = keyring
        self._job = job_id
        self._targets = targets
        self._work = work
        self._held: dict[str, Claim] = {}
        self._taken: deque[Claim] = deque()
        self._swaps: list[Swap] = []
        self._troubled: list[tuple[Claim, KeyhierError]] = []
        self._renewed = 0.0

    def run(self) -> None:
        """Work until no record is pending, waiting for those that other workers hold.

        Raises:
            UnavailableError, ThrottledError, AccessDeniedError, AuthenticationError: the vault is
                away or refuses; what it was asked for is pending as before.
            NotFoundError, InvalidStateError, UnsupportedError: the target cannot be used, or the
                job was rolled back meanwhile.
        """
        while self._pending():
            try:
                claimed = self._work_through()
            except TargetRefusedError as refused:
                reason = refused.reason
            else:
                if not claimed and self._pending():
                    # Others hold what is left; what a dead one holds comes free with its lease.
                    time.sleep(min(_MAX_PAUSE_SECONDS, self._work.lease / 4))
                continue
            raise reason

    def _pending(self) -> bool:
        if self._journal.job(self._job).state is not JobState.OPEN:
            return False
        counts = self._journal.counts(self._job)
        if self._work.progress is not None:
            self._work.progress(counts)
        return bool(counts[ItemState.PENDING])

    # ------------------------------------------------------------------ one pass

    def _work_through(self) -> bool:
        """Work on everything that can be claimed now, and say whether that was anything."""
        claimed = False
        try:
            with closing(
                stream_in_steps(self._attempt, self._claims(), workers=self._work.threads)
            ) as outcomes:
                for outcome in outcomes:
                    claimed = True
                    self._settle(self._taken.popleft(), outcome.value, outcome.error)
                    self._keep_leases()
            self._note_troubled()
            self._swap()
        finally:
            self._let_go()
        return claimed

    def _claims(self) -> Iterator[Claim]:
        work = self._work
        while claims := self._journal.claim(self._job, work.worker, work.batch, work.lease):
            self._held.update((claim.record.id, claim) for claim in claims)
            self._renewed = time.monotonic()
            for claim in claims:
                self._taken.append(claim)
                yield claim

    def _attempt(self, claim: Claim) -> Steps[Swap | str]:
        """Return a new envelope, or why none is needed; pauses as :func:`rewrap`."""
        record = claim.record.checked()
        if record.key in self._targets.values():
            return "it needs its new key already"
        if record.key not in self._targets:
            return "it needs another key by now"
        if record.previous is not None:
            raise InvalidStateError(
                f"record {record.id} holds the envelope that job {record.previous.job} replaced",
                remedy="finalise that job or roll it back first",
            )
        target = self._target(self._targets[record.key])
        self._keyring.require_trust(record, target.id)
        made = yield from rewrap(record, self._keyring.use(record.key), target)
        return Swap(claim, made)

    def _target(self, key: KeyId) -> KekUse:
        try:
            return self._keyring.use(key)
        except _OF_THE_VAULT:
            raise
        except KeyhierError as reason:
            raise TargetRefusedError(reason) from None

    # ------------------------------------------------------------------ outcomes

    def _settle(self, claim: Claim, value: Swap | str | None, error: KeyhierError | None) -> None:
        if isinstance(error, _OF_THE_VAULT):
            # Whether it is this record's fault shows in those that come after it.
            self._troubled.append((claim, error))
            if len(self._troubled) >= _PATIENCE:
                self._swap()
                raise error
            return
        self._note_troubled()
        if error is not None:
            self._held.pop(claim.record.id, None)
            self._journal.fail(claim, error)
        elif isinstance(value, Swap):
            self._swaps.append(value)
            if len(self._swaps) >= self._work.batch:
                self._swap()
        else:
            self._held.pop(claim.record.id, None)
            self._journal.leave(claim, value or "")

    def _note_troubled(self) -> None:
        for claim, error in self._troubled:
            self._held.pop(claim.record.id, None)
            self._journal.fail(claim, error)
        self._troubled.clear()

    def _swap(self) -> None:
        swaps, self._swaps = self._swaps, []
        if swaps:
            self._put(swaps)
            for swap in swaps:
                self._held.pop(swap.claim.record.id, None)
            if self._work.progress is not None:
                self._work.progress(self._journal.counts(self._job))

    def _put(self, swaps: Sequence[Swap]) -> None:
        try:
            # What was not put has changed, or is another worker's: it is claimed again.
            self._journal.swap(swaps)
        except InvalidStateError:
            # Others may have ended the job while this worker stood still and lost its leases.
            if self._journal.job(self._job).state is JobState.OPEN:
                raise

    def _keep_leases(self) -> None:
        if time.monotonic() - self._renewed > self._work.lease / 3:
            self._renewed = time.monotonic()
            self._journal.renew(list(self._held.values()), self._work.lease)

    def _let_go(self) -> None:
        """Give back what was claimed and not done."""
        held = list(self._held.values())
        self._held.clear()
        self._taken.clear()
        self._swaps.clear()
        self._troubled.clear()
        if held:
            # Where this fails, too, the leases end by themselves.
            with suppress(KeyhierError):
                self._journal.release(held)
