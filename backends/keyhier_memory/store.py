"""Where the content of a vault is kept while it is open."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from keyhier.errors import InvalidStateError
from keyhier_memory.content import Content

if TYPE_CHECKING:
    from keyhier_memory.vault_file import VaultFile

__all__ = ["Change", "MemoryStore", "Store", "closed"]

_PROCESS_BACKUP_KEY: Final = Content().backup_key
"""Shared, so that any vault of this process that has no file restores what another backed up."""

Change = Callable[[Content], Content]
"""Given what the vault holds now, returns what it shall hold, or raises."""


class Store(Protocol):
    """Keeps the content of one vault."""

    @property
    def file(self) -> VaultFile | None:
        """The file that it is kept in, or None where there is none."""
        ...

    def read(self) -> Content:
        """Return what the vault holds now.

        Raises:
            InvalidStateError: the store is closed.
        """
        ...

    def change(self, change: Change) -> Content:
        """Apply ``change`` to what the vault holds now, alone, and return what it holds then.

        If it fails, the vault holds what it held before.

        Raises:
            InvalidStateError: the store is closed.
        """
        ...

    def close(self) -> None:
        """Forget everything; doing so twice is harmless."""
        ...


def closed() -> InvalidStateError:
    """What every use of a closed store raises."""
    return InvalidStateError("the vault is closed", remedy="open it again")


class MemoryStore:
    """Keeps the content in this process and nowhere else."""

    file: Final = None

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._content: Content | None = Content(_PROCESS_BACKUP_KEY)

    def read(self) -> Content:
        """See :meth:`Store.read`."""
        content = self._content
        if content is None:
            raise closed()
        return content

    def change(self, change: Change) -> Content:
        """See :meth:`Store.change`."""
        with self._lock:
            self._content = changed = change(self.read())
        return changed

    def close(self) -> None:
        """See :meth:`Store.close`."""
        with self._lock:
            self._content = None
