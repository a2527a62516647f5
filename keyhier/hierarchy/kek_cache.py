"""KekCache: the KEKs that are open at the moment, few of them, for a while, for so many uses."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import attrs

from keyhier.hierarchy.kek_use import KekUse
from keyhier.identifiers import KeyId

__all__ = ["CacheLimits", "KekCache", "OpenKek"]


@attrs.frozen
class CacheLimits:
    """How long an unwrapped KEK is kept.

    Attributes:
        age: for so many seconds.
        uses: for so many wraps and unwraps.
        count: so many KEKs; the one that was not used for longest goes first.
    """

    age: float = attrs.field(default=300.0, validator=attrs.validators.gt(0))
    uses: int = attrs.field(default=100_000, validator=attrs.validators.ge(1))
    count: int = attrs.field(default=1_000, validator=attrs.validators.ge(1))


class _Closable(KekUse, Protocol):
    def close(self) -> None: ...


@attrs.frozen
class OpenKek:
    """A KEK that was unwrapped.

    Attributes:
        kek: in memory or in a session of a vault; closing it destroys it there.
        authenticated: whether something outside of the records says that it is the one that was
            made, so that it may wrap.
    """

    kek: _Closable
    authenticated: bool


@attrs.define(eq=False)
class _Entry:
    since: float
    opened: OpenKek | None = None
    uses: int = 0
    lent: int = 0
    opening: threading.Lock = attrs.field(factory=threading.Lock)


class KekCache:
    """Lends open KEKs. One that is dropped is closed as soon as nobody uses it any more.

    What has become too old is dropped when the cache is used next, whoever is asked for.
    """

    def __init__(self, limits: CacheLimits, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._entries: OrderedDict[KeyId, _Entry] = OrderedDict()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: KeyId) -> bool:
        with self._lock:
            self._drop_old()
            entry = self._entries.get(key)
            return entry is not None and entry.opened is not None

    @contextmanager
    def lend(self, key: KeyId, open_kek: Callable[[], OpenKek]) -> Iterator[OpenKek]:
        """Lend a KEK for one operation, and open it where it is not open.

        Args:
            key: which.
            open_kek: opens it; called once, however many threads ask. What it raises is raised.
        """
        entry = self._take(key)
        try:
            with entry.opening:
                if entry.opened is None:
                    entry.opened = open_kek()
            yield entry.opened
        finally:
            self._give_back(key, entry)

    def _take(self, key: KeyId) -> _Entry:
        with self._lock:
            self._drop_old()
            entry = self._entries.get(key)
            if entry is not None and entry.uses >= self._limits.uses:
                self._drop(key)
                entry = None
            if entry is None:
                entry = self._entries[key] = _Entry(self._clock())
            entry.uses += 1
            entry.lent += 1
            self._entries.move_to_end(key)
            while len(self._entries) > self._limits.count:
                self._drop(next(iter(self._entries)))
            return entry

    def _give_back(self, key: KeyId, entry: _Entry) -> None:
        with self._lock:
            entry.lent -= 1
            if entry.opened is None and self._entries.get(key) is entry and not entry.lent:
                # It could not be opened.
                del self._entries[key]
            self._close_idle(key, entry)

    def _drop_old(self) -> None:
        oldest = self._clock() - self._limits.age
        for key in [key for key, entry in self._entries.items() if entry.since <= oldest]:
            self._drop(key)

    def _drop(self, key: KeyId) -> None:
        self._close_idle(key, self._entries.pop(key))

    def _close_idle(self, key: KeyId, entry: _Entry) -> None:
        if self._entries.get(key) is not entry and not entry.lent and entry.opened is not None:
            entry.opened.kek.close()

    def forget(self, key: KeyId) -> None:
        """Drop a version, or all versions of a key."""
        with self._lock:
            for known in list(self._entries):
                if key in (known, known.versionless):
                    self._drop(known)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            for key in list(self._entries):
                self._drop(key)
