"""An HSM that is killed, frozen and restarted in the middle of a batch: python -m this.

It takes ITEMS from the environment. Standard output takes what came of the items, as JSON. A thread
of its own does to the server what happens to servers, while the batch goes on without being told.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Final

import keyhier
from keyhier.testing.p11_kit import NetworkHsm
from keyhier.testing.softhsm import SoftHsm

_WORKERS: Final = 4
_FROZEN_SECONDS: Final = 0.3
_AWAY_SHARE: Final = 0.02
_PAUSE_SECONDS: Final = 0.005
# What happens, and after which share of the items.
_EVENTS: Final = (
    (0.1, "killed"),
    (0.25, "stopped"),
    (0.4, "restarted"),
    (0.55, "killed"),
    (0.7, "stopped"),
    (0.85, "restarted"),
)


class _Batch:
    """The items on their way, and what becomes of them."""

    def __init__(self, hsm: NetworkHsm, count: int) -> None:
        self._hsm = hsm
        self._count = count
        self._done = 0
        self._back = 0.0
        self.right = 0
        self.wrong = 0
        self.errors: Counter[str] = Counter()
        self.recoveries: list[float] = []

    def run(self, vault: keyhier.Vault) -> None:
        """Unwrap all items, while the server comes and goes."""
        key = vault.create_key("remote", "RSA-2048")
        disturber = threading.Thread(target=self._disturb)
        disturber.start()
        for outcome in vault.unwrap_many(self._items(key), workers=_WORKERS):
            self._take(outcome)
        disturber.join()

    def _items(self, key: keyhier.Key) -> Iterator[tuple[str, None]]:
        # The public half is here, so that this needs no server.
        for number in range(self._count):
            yield str(key.wrap(b"%d" % number)), None

    def _take(self, outcome: keyhier.Outcome[keyhier.SecretBytes]) -> None:
        self._done += 1
        if outcome.error is not None:
            self.errors[type(outcome.error).__name__] += 1
            # Items fail far faster than a server starts: none would be left when it is back.
            time.sleep(_PAUSE_SECONDS)
            return
        with outcome.result() as value:
            if value == b"%d" % outcome.index:
                self.right += 1
            else:
                self.wrong += 1
        if self._back:
            self.recoveries.append(time.monotonic() - self._back)
            self._back = 0.0

    def _disturb(self) -> None:
        for share, event in _EVENTS:
            self._wait_for(share)
            if event == "killed":
                self._hsm.kill()
                self._wait_for(share + _AWAY_SHARE)
                self._hsm.start()
            elif event == "stopped":
                self._hsm.stop()
                time.sleep(_FROZEN_SECONDS)
                self._hsm.resume()
            else:
                self._hsm.restart()
            self._back = time.monotonic()

    def _wait_for(self, share: float) -> None:
        while self._done < share * self._count:
            time.sleep(0.001)


def main() -> None:
    """Serve a token, unwrap the batch, and tell what came of it."""
    with NetworkHsm(SoftHsm.current().new_token()) as hsm, keyhier.open(hsm.uri) as vault:
        batch = _Batch(hsm, int(os.environ["ITEMS"]))
        batch.run(vault)
    told = {
        "right": batch.right,
        "wrong": batch.wrong,
        "errors": dict(batch.errors),
        "recoveries": batch.recoveries,
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
