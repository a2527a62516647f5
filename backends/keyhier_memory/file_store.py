"""A store that keeps the content in the vault's file."""

from __future__ import annotations

import threading
from typing import Final, Self

import attrs

from keyhier.errors import AuthenticationError
from keyhier.pin import PinSource
from keyhier.secret import SecretBytes
from keyhier_memory.content import Content
from keyhier_memory.file_format import Cost, open_content, seal_content
from keyhier_memory.store import Change, closed
from keyhier_memory.vault_file import Signature, VaultFile

__all__ = ["FileStore"]

_COST: Final = Cost()


@attrs.frozen
class _Loaded:
    """The file as it was last seen; replaced as a whole, so that readers need no lock."""

    signature: Signature
    content: Content
    cost: Cost


class FileStore:
    """Keeps the content in one encrypted file, which other processes may change at the same time.

    The passphrase is kept, in a buffer that is wiped on closing, because every write derives a
    fresh key from it.
    """

    def __init__(self, file: VaultFile, passphrase: SecretBytes, loaded: _Loaded) -> None:
        self.file = file
        self._passphrase = passphrase
        # Taken to load or to change; a read that finds the file unchanged takes no lock.
        self._lock = threading.Lock()
        self._loaded: _Loaded | None = loaded

    @classmethod
    def open(cls, file: VaultFile, source: PinSource, cost: Cost = _COST) -> Self:
        """Open the vault in ``file``, or make it, so that a guess at its passphrase has ``cost``.

        Raises:
            AuthenticationError: there is no passphrase, it is wrong, or the file was altered.
            IntegrityError, UnsupportedError: what lies there is no vault that can be read.
            NotFoundError, AccessDeniedError, InvalidInputError, UnavailableError: the file
                cannot be used.
        """
        passphrase = _passphrase(file, source)
        try:
            return cls(file, passphrase, _load_or_make(file, passphrase, cost))
        except BaseException:
            passphrase.wipe()
            raise

    def read(self) -> Content:
        """See :meth:`keyhier_memory.store.Store.read`."""
        loaded = self._loaded
        if loaded is None:
            raise closed()
        if self.file.signature() == loaded.signature:
            return loaded.content
        with self._lock:
            return self._reload()[0].content

    def _reload(self) -> tuple[_Loaded, bytes]:
        if self._loaded is None:
            raise closed()
        signature, data = self.file.read()
        if signature != self._loaded.signature:
            content, cost = open_content(data, self._passphrase, self.file.path)
            self._loaded = _Loaded(signature, content, cost)
        return self._loaded, data

    def change(self, change: Change) -> Content:
        """See :meth:`keyhier_memory.store.Store.change`."""
        with self._lock, self.file.locked():
            loaded, before = self._reload()
            changed = change(loaded.content)
            data = seal_content(changed, self._passphrase, loaded.cost)
            self._loaded = _Loaded(self.file.replace(data, before), changed, loaded.cost)
        return changed

    def close(self) -> None:
        """See :meth:`keyhier_memory.store.Store.close`."""
        with self._lock:
            self._loaded = None
            self._passphrase.wipe()


def _passphrase(file: VaultFile, source: PinSource) -> SecretBytes:
    what = f"the vault file {file.path}"
    new = file.missing()
    passphrase = source.read(what, "passphrase")
    if new and source.callback is None and source.reference in (None, "prompt:"):
        # Nobody could ever open a new file whose passphrase was mistyped.
        with source.read(f"{what}, once more because it is new", "passphrase") as again:
            if passphrase != again:
                passphrase.wipe()
                raise AuthenticationError("the two passphrases differ; no file was made")
    return passphrase


def _load_or_make(file: VaultFile, passphrase: SecretBytes, cost: Cost) -> _Loaded:
    if file.missing():
        with file.locked():
            # Another process may have made it in the meantime.
            if file.missing():
                content = Content()
                signature = file.replace(seal_content(content, passphrase, cost), None)
                return _Loaded(signature, content, cost)
    signature, data = file.read()
    return _Loaded(signature, *open_content(data, passphrase, file.path))
