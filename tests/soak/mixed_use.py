"""Threads that use one vault in every way at once: ``python -m tests.soak.mixed_use``.

It takes URI, THREADS and SECONDS from the environment, and runs in a process of its own, which a
module that does not stand threads takes down. Standard output takes what came of it, as JSON.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Final

import keyhier
from keyhier.algorithms import WrapAlgorithm

PREFIX: Final = "soak-"
"""How the names of all keys begin that are made here, so that they can be found and deleted."""

_AES: Final = (WrapAlgorithm.A256KW, WrapAlgorithm.A256GCMKW)
_KEPT: Final = 32
_QUICK: Final = 24
_GARBAGE: Final = bytes(256)


class _MixedUse:
    """One vault, keys that all threads use, and what became of it all."""

    def __init__(self, vault: keyhier.Vault, until: float) -> None:
        self._vault = vault
        self._until = until
        self._aes = [each for each in _AES if each in vault.capabilities.algorithms]
        self._rsa = vault.create_key(f"{PREFIX}rsa", "RSA-2048")
        self._shared = [
            self._rsa,
            *(vault.create_key(f"{PREFIX}{each}", "AES-256", algorithm=each) for each in self._aes),
        ]
        self._sealed = [str(key.wrap(key.name.encode())) for key in self._shared]
        self._lock = threading.Lock()
        # The envelopes of keys that were made and stay, by the keys' names.
        self.kept: dict[str, str] = {}
        self.done: Counter[str] = Counter()
        self.failures: Counter[str] = Counter()

    def work(self, number: int) -> None:
        """Do everything once, and then anything until the time is up; one thread of several."""
        random = Random(number)
        quick = [self._wrap_and_unwrap, self._unwrap, self._refuse, self._draw, self._find]
        slow = [self._create_and_destroy, self._keep]
        # Making a key waits for the disk, and would leave little time for what does not.
        operations = [*quick * _QUICK, *slow]
        for operation in random.sample([*quick, *slow], len(quick) + len(slow)):
            self._do(operation)
        while time.monotonic() < self._until:
            self._do(random.choice(operations))

    def _do(self, operation: Callable[[], bool]) -> None:
        name = operation.__name__.strip("_")
        try:
            right = operation()
        except keyhier.KeyhierError as error:
            self._count(self.failures, f"{name}: {type(error).__name__} {error.native}")
            return
        self._count(self.done, name)
        if not right:
            self._count(self.failures, f"{name}: wrong value")

    def lost(self) -> list[str]:
        """Return the keys that should be there and are not, or do not open what they wrapped."""
        there = [key.name for key in self._vault.keys()]  # noqa: SIM118  # It is no dictionary.
        shared = zip(self._shared, self._sealed, strict=True)
        expected = {key.name: sealed for key, sealed in shared}
        expected |= self.kept
        return [
            name
            for name, sealed in expected.items()
            if name not in there or not self._opens(sealed, name.encode())
        ]

    def _count(self, counter: Counter[str], what: str) -> None:
        with self._lock:
            counter[what] += 1

    def _opens(self, sealed: str, expected: bytes) -> bool:
        with self._vault.unwrap(sealed) as opened:
            return opened == expected

    def _wrap_and_unwrap(self) -> bool:
        secret = secrets.token_bytes(48)
        return all(self._opens(str(key.wrap(secret)), secret) for key in self._shared)

    def _unwrap(self) -> bool:
        return all(
            self._opens(sealed, key.name.encode())
            for key, sealed in zip(self._shared, self._sealed, strict=True)
        )

    def _refuse(self) -> bool:
        # A failure ends its session, which is what the others must not notice.
        try:
            self._rsa.unwrap_raw(_GARBAGE, "RSA-OAEP")
        except keyhier.UnwrapError:
            return True
        return False

    def _draw(self) -> bool:
        one, other = self._vault.random_bytes(32), self._vault.random_bytes(32)
        return len(one) == 32 and one != other

    def _find(self) -> bool:
        return all(self._vault.key(key.name).id == key.id for key in self._shared)

    def _create_and_destroy(self) -> bool:
        key = self._create()
        opens = self._opens(str(key.wrap(b"own")), b"own")
        newest = key.rotate()
        versions = [version.id for version in newest.versions()]
        newest.delete(confirm=newest.name)
        return opens and versions == [key.id, newest.id]

    def _keep(self) -> bool:
        with self._lock:
            full = len(self.kept) >= _KEPT
        if not full:
            key = self._create()
            sealed = str(key.wrap(key.name.encode()))
            with self._lock:
                self.kept[key.name] = sealed
        return True

    def _create(self) -> keyhier.Key:
        name = f"{PREFIX}{secrets.token_hex(8)}"
        if self._aes:
            return self._vault.create_key(name, "AES-256", algorithm=self._aes[0])
        return self._vault.create_key(name, "RSA-2048")


def main() -> None:
    """Run the threads, and tell what came of it."""
    count, seconds = int(os.environ["THREADS"]), float(os.environ["SECONDS"])
    with keyhier.open(os.environ["URI"]) as vault:
        mixed = _MixedUse(vault, time.monotonic() + seconds)
        threads = [threading.Thread(target=mixed.work, args=(number,)) for number in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        lost = mixed.lost()
        told = {
            "done": dict(mixed.done),
            "failures": dict(mixed.failures),
            "kept": len(mixed.kept),
            "lost": lost,
        }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
