"""The published limits of the service, and what happens above them.

The numbers are those of https://learn.microsoft.com/azure/key-vault/general/service-limits: for
each vault and region, in 10 seconds.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from typing import Final

import attrs

from keyhier.testing.keyvault.key_material import Material
from keyhier.testing.keyvault.service_error import ServiceError

__all__ = ["PUBLISHED", "Limits", "Throttle"]


@attrs.frozen
class Limits:
    """How many requests a vault answers within a window.

    Attributes:
        by_key: for keys, by type and size, such as ``RSA-2048`` and ``RSA-HSM-3072``.
        creation: of keys, in software and in an HSM.
        other: all other requests together.
        seconds: the window's length.
    """

    by_key: Mapping[str, int]
    creation: Mapping[str, int]
    other: int
    seconds: float = 10.0


PUBLISHED: Final = Limits(
    by_key={
        "RSA-2048": 4_000,
        "RSA-HSM-2048": 2_000,
        "RSA-3072": 1_000,
        "RSA-HSM-3072": 500,
        "RSA-4096": 500,
        "RSA-HSM-4096": 250,
    },
    creation={"software": 20, "HSM": 10},
    other=4_000,
)


class Throttle:
    """Counts requests, and refuses those above the limits."""

    def __init__(self, limits: Limits) -> None:
        """Begin a window."""
        self._limits = limits
        self._lock = threading.Lock()
        self._used: Counter[str] = Counter()
        self._began = time.monotonic()

    def creation(self, *, in_hsm: bool) -> None:
        """Count a key that is made; raises as :meth:`operation`."""
        protection = "HSM" if in_hsm else "software"
        self._count(f"create {protection}", self._limits.creation[protection])

    def operation(self, material: Material | None) -> None:
        """Count a request for a key, or one for no key.

        Raises:
            ServiceError: 429, without ``Retry-After``, as the service has none.
        """
        name = "other" if material is None else f"{material.kty}-{material.bits}"
        if name in self._limits.by_key:
            self._count(name, self._limits.by_key[name])
        else:
            self._count("other", self._limits.other)

    def _count(self, name: str, limit: int) -> None:
        with self._lock:
            now = time.monotonic()
            if now - self._began >= self._limits.seconds:
                self._began = now
                self._used.clear()
            if self._used[name] < limit:
                self._used[name] += 1
                return
        raise ServiceError(
            429,
            "Throttled",
            "Request was not processed because too many requests were received. "
            "Reason: VaultRequestTypeLimitReached",
        )
