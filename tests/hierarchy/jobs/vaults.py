"""Memory vaults that count what they are asked for, or that refuse after a while."""

from __future__ import annotations

import threading

from keyhier import KeyhierError, SecretBytes, Vault, WrapAlgorithm
from keyhier.driver import KeyVersion
from keyhier.testing.counting import counted
from keyhier_memory.driver import MemoryDriver
from keyhier_memory.store import MemoryStore

__all__ = ["RefusingDriver", "counting_vault", "network_vault", "refusing_vault"]


def counting_vault() -> tuple[Vault, list[str]]:
    """Return an empty vault, and the calls that are made to it."""
    driver, calls = counted(MemoryDriver(MemoryStore()))
    return Vault(driver, uri="memory:"), calls


class RefusingDriver(MemoryDriver):
    """Unwraps so many times and then refuses; where ``only`` is given, only what this opens.

    Attributes:
        left: how often it unwraps; None for as often as one likes.
        error: what it raises then.
        every: refuses each so many times only.
    """

    def __init__(self, error: KeyhierError) -> None:
        super().__init__(MemoryStore())
        self.error = error
        self.left: int | None = None
        self.refused: set[str] = set()

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        if self.left is not None:
            if self.left <= 0:
                raise self.error
            self.left -= 1
        if wrapped.hex() in self.refused:
            raise self.error
        return super().unwrap(key, algorithm, wrapped, aad)


class NetworkDriver(MemoryDriver):
    """Is waited for like a vault in a network: nothing opens until so many ask at once."""

    at_once = 5

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self._all_here = threading.Barrier(self.at_once)

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        # Long enough on any machine; where fewer ask, that is a BrokenBarrierError.
        self._all_here.wait(timeout=20)
        return super().unwrap(key, algorithm, wrapped, aad)


def network_vault() -> tuple[Vault, int]:
    """Return an empty vault, and how many have to ask it at once."""
    return Vault(NetworkDriver(), uri="memory:"), NetworkDriver.at_once


def refusing_vault(error: KeyhierError) -> tuple[Vault, RefusingDriver]:
    """Return an empty vault, and the driver that is told when to refuse."""
    driver = RefusingDriver(error)
    return Vault(driver, uri="memory:"), driver
