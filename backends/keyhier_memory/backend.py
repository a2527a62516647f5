"""What the entry point refers to: the backend for ``memory:`` URIs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.pin import PinSource

if TYPE_CHECKING:
    from keyhier.driver import Driver, OpenOptions
    from keyhier.uri import VaultUri

__all__ = ["MemoryBackend"]


@attrs.frozen
class MemoryBackend:
    """Opens ``memory:``, a vault in this process, alone or kept in one encrypted file."""

    description: Final = "keys in this process, optionally kept in one encrypted file"
    uri_forms: Final = (
        "memory:",
        "memory:?file=/path/to/vault&pin-source=file:/path/to/passphrase",
    )

    def unavailable(self) -> str | None:
        """Return None: it needs only what keyhier itself needs."""
        return None

    def open(self, uri: VaultUri, options: OpenOptions) -> Driver:
        """Open a vault: a new and empty one, or the one in ``file``, made if it is not there.

        Raises:
            InvalidInputError: the URI has a path, an unknown attribute, a relative ``file``, or a
                ``pin-source`` without a ``file``; or there is a credential.
            NotFoundError: the file's folder does not exist.
            AccessDeniedError: the file belongs to somebody else or is open to others.
            AuthenticationError: there is no passphrase, or it is wrong, or the file was altered.
            IntegrityError: the file is no vault's, or is cut short.
            UnsupportedError: a newer release wrote the file.
        """
        # The primitives are loaded when a vault is opened, not when backends are listed.
        from keyhier_memory.driver import MemoryDriver  # noqa: PLC0415
        from keyhier_memory.file_store import FileStore  # noqa: PLC0415
        from keyhier_memory.store import MemoryStore  # noqa: PLC0415
        from keyhier_memory.vault_file import VaultFile  # noqa: PLC0415

        options.refuse_credential()
        if uri.path:
            raise InvalidInputError("a memory: URI has no path; its file is ?file=/absolute/path")
        uri.only("file", "pin-source")
        file, reference = uri.query.get("file"), uri.query.get("pin-source")
        if file is None:
            if reference is not None:
                raise InvalidInputError(
                    "pin-source in a memory: URI goes with file=, for its passphrase"
                )
            return MemoryDriver(MemoryStore())
        path = Path(file)
        if not path.is_absolute() or "\0" in file:
            raise InvalidInputError("file in a memory: URI is an absolute path")
        return MemoryDriver(FileStore.open(VaultFile(path), PinSource(reference, options.pin)))
