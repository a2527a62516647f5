"""The budget: how fast a vault may be asked, so that it does not have to refuse.

A vault counts what it is asked in ten seconds, and refuses the rest with 429. Each operation
costs its part of a published limit, and all the costs are added up, as the vault adds them
(https://learn.microsoft.com/azure/key-vault/general/service-limits). The bucket fills by ``share``
of the limit in ten seconds and holds what comes in one second, less where the limit leaves
less room: no ten seconds ever see more than the limit.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from keyhier.algorithms import KeySpec

__all__ = ["KEY_CREATION", "LIMITS", "OTHER", "PERIOD_SECONDS", "Budget", "cost_of_key"]

PERIOD_SECONDS: Final = 10.0
_BURST_SECONDS: Final = 1.0

LIMITS: Final[dict[tuple[KeySpec, bool], int]] = {
    (KeySpec.RSA_2048, False): 4000,
    (KeySpec.RSA_2048, True): 2000,
    (KeySpec.RSA_3072, False): 1000,
    (KeySpec.RSA_3072, True): 500,
    (KeySpec.RSA_4096, False): 500,
    (KeySpec.RSA_4096, True): 250,
}
"""Operations in ten seconds, by the key's spec and whether it is in an HSM."""

OTHER: Final = 1 / 4000
"""What everything else costs, as a part of the limit: reading, listing, secrets."""

_CREATION: Final = {False: 20, True: 10}

KEY_CREATION: Final = {hsm: 1 / limit for hsm, limit in _CREATION.items()}
"""What it costs to make a key, by whether it is in an HSM."""


def cost_of_key(spec: KeySpec, *, hsm: bool) -> float:
    """Return what one operation with a key costs, as a part of the limit.

    There is no published limit for AES keys; they are counted as the cheapest.
    """
    limit = LIMITS.get((spec, hsm))
    return OTHER if limit is None else 1 / limit


class Budget:
    """A token bucket, shared by everybody in this process who asks one vault.

    Kept as the moment at which the bucket will be full (the generic cell rate algorithm), so that
    there is no thread that fills it and those who wait are served in turn.
    """

    def __init__(self, share: float, clock: Callable[[], float] = time.monotonic) -> None:
        """Use ``share`` of the limits, above 0 and at most 1; ``clock`` tells seconds."""
        self._share = share
        self._clock = clock
        self._slack = min(_BURST_SECONDS, (1 - share) * PERIOD_SECONDS / share)
        self._full_at = 0.0
        self._lock = threading.Lock()

    def reserve(self, cost: float, patience: float) -> float | None:
        """Take ``cost`` and return how many seconds to wait before it may be spent.

        Nothing is taken, and None returned, where that would be more than ``patience``.
        """
        now = self._clock()
        with self._lock:
            full_at = max(now, self._full_at)
            price = cost * PERIOD_SECONDS / self._share
            delay = max(0.0, full_at - now - max(0.0, self._slack - price))
            if delay > patience:
                return None
            self._full_at = full_at + price
        return delay

    def pause(self, seconds: float) -> None:
        """Let nobody spend anything for so long, since the vault has refused somebody."""
        with self._lock:
            self._full_at = max(self._full_at, self._clock() + self._slack + seconds)
