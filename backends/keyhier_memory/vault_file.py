"""The vault's file on the disk: locked, read and replaced, so that nothing is ever lost.

Three more names lie beside the file: ``.lock``, which whoever changes the file holds, ``.new``,
which exists while the file is being written, and ``.previous``, the copy before the last change.
The file itself is only ever replaced by a complete one (rename), so readers need no lock.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import attrs

from keyhier.errors import (
    AccessDeniedError,
    CapacityError,
    IntegrityError,
    InvalidInputError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
)
from keyhier.secret_file import sync_folder

__all__ = ["Signature", "VaultFile"]

Signature = tuple[int, int, int]
"""What tells one content of the file from the next: inode, size in bytes, mtime in nanoseconds."""

MAX_FILE_BYTES: Final = 64 * 1024 * 1024
_OWNER_ONLY: Final = 0o600
_FLAGS: Final = os.O_NOFOLLOW | os.O_CLOEXEC
_POLL_SECONDS: Final = 0.01


@attrs.frozen
class VaultFile:
    """A vault's file and its neighbours.

    Attributes:
        path: the file's absolute path.
        lock_seconds: how long to wait for another process that changes the file.
    """

    path: Path
    lock_seconds: float = 60.0

    @property
    def previous(self) -> Path:
        """The copy before the last change."""
        return self._beside(".previous")

    @property
    def unfinished(self) -> Path:
        """What is being written, until it takes the file's place."""
        return self._beside(".new")

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def signature(self) -> Signature:
        """Return what changes whenever the file's content does; cheap.

        Raises:
            UnavailableError: the file or its folder is gone.
            AccessDeniedError: the folder may not be searched.
        """
        try:
            return _signature(self.path.lstat())
        except OSError as error:
            raise _explained("stat", self.path, error) from None

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep every other process, and every other vault of this one, from changing the file.

        Raises:
            UnavailableError: somebody else holds the lock and does not let go.
            AccessDeniedError, InvalidInputError: as for the file.
        """
        path = self._beside(".lock")
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _FLAGS, _OWNER_ONLY)
        except OSError as error:
            raise _explained("open", path, error) from None
        try:
            self._wait_for(descriptor)
            yield
        finally:
            # A process forked in the meantime has the descriptor too: closing ours would not do.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            # The file stays: removing it would race with whoever waits.
            os.close(descriptor)

    def _wait_for(self, descriptor: int) -> None:
        deadline = time.monotonic() + self.lock_seconds
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"another process has held {self.path}.lock for {self.lock_seconds:g} s",
                        native="flock: EWOULDBLOCK",
                        remedy="see what it is doing, and try again",
                    ) from None
                time.sleep(_POLL_SECONDS)
            except OSError as error:
                raise _explained("flock", self._beside(".lock"), error) from None
            else:
                return

    def missing(self) -> bool:
        """Whether there is no file yet, so that a new vault may be made.

        Raises:
            NotFoundError: the folder is not there.
            AccessDeniedError: the folder may not be searched.
            IntegrityError: the file is gone and its previous copy is there, so that a new vault
                would sooner or later take the previous copy's place.
        """
        try:
            self.path.lstat()
        except FileNotFoundError:
            if not self.path.parent.is_dir():
                raise NotFoundError(
                    f"there is no folder {self.path.parent}", native="stat: ENOENT"
                ) from None
        except OSError as error:
            raise _explained("stat", self.path, error) from None
        else:
            return False
        if os.path.lexists(self.previous):
            raise IntegrityError(
                f"{self.path} is gone, but {self.previous} is there",
                remedy="move the previous copy to the file's name, or out of the way",
            )
        return True

    def read(self) -> tuple[Signature, bytes]:
        """Return the whole file and its signature.

        Raises:
            UnavailableError: the file or its folder is gone.
            AccessDeniedError: it belongs to somebody else, or is open to others.
            InvalidInputError: it is a folder, a symbolic link or no ordinary file.
            IntegrityError: it is larger than any vault.
        """
        try:
            # Without O_NONBLOCK a pipe by that name would wait for a writer.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS)
        except OSError as error:
            raise _explained("open", self.path, error) from None
        try:
            status = os.fstat(descriptor)
            self._check(status)
            with open(descriptor, "rb", closefd=False) as file:
                return _signature(status), file.read()
        except OSError as error:
            raise _explained("read", self.path, error) from None
        finally:
            os.close(descriptor)

    def _check(self, status: os.stat_result) -> None:
        if not stat.S_ISREG(status.st_mode):
            raise InvalidInputError(f"{self.path} is no ordinary file")
        if status.st_uid != os.geteuid():
            raise AccessDeniedError(f"{self.path} belongs to another user")
        if status.st_mode & 0o077:
            raise AccessDeniedError(
                f"{self.path} is open to other users", remedy=f"chmod 600 {self.path}"
            )
        if status.st_size > MAX_FILE_BYTES:
            raise IntegrityError(f"{self.path} is larger than any vault")

    def replace(self, data: bytes, previous: bytes | None) -> Signature:
        """Put ``data`` in the file's place, after keeping ``previous``; hold the lock.

        Whatever happens, the file holds either what it held or ``data``, completely.

        Raises:
            CapacityError: it would be larger than what :meth:`read` takes.
            AccessDeniedError, UnavailableError: it could not be written; or, as the message says,
                it was, and only the sync of its folder failed.
        """
        if len(data) > MAX_FILE_BYTES:
            raise CapacityError(
                f"{self.path} would have more than {MAX_FILE_BYTES} bytes",
                remedy="purge deleted keys, or keep some keys in another file",
            )
        if previous is not None:
            self._put(self.previous, previous)
        signature = self._put(self.path, data)
        self._sync_folder()
        return signature

    def _put(self, target: Path, data: bytes) -> Signature:
        temporary = self.unfinished
        try:
            # One that a killed writer left behind is in the way of O_EXCL.
            temporary.unlink(missing_ok=True)
            signature = _write(temporary, data)
            temporary.replace(target)
        except OSError as error:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise _explained("write", target, error) from None
        return signature

    def _sync_folder(self) -> None:
        try:
            folder = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                sync_folder(folder)
            finally:
                os.close(folder)
        except OSError as error:
            number = error.errno or 0
            raise UnavailableError(
                f"{self.path} was written, but its folder cannot be synced: {os.strerror(number)}",
                native=f"fsync: {errno.errorcode.get(number, str(number))}",
                remedy="the change is in place, and a crash of the machine could still undo it",
            ) from None


def _signature(status: os.stat_result) -> Signature:
    return status.st_ino, status.st_size, status.st_mtime_ns


def _write(path: Path, data: bytes) -> Signature:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, _OWNER_ONLY)
    with open(descriptor, "wb") as file:  # noqa: PTH123  # A descriptor is no path.
        file.write(data)
        file.flush()
        os.fsync(descriptor)
        return _signature(os.fstat(descriptor))


def _explained(call: str, path: Path, error: OSError) -> KeyhierError:
    number = error.errno or 0
    native = f"{call}: {errno.errorcode.get(number, str(number))}"
    match number:
        case errno.ENOENT:
            # It was there when the vault was opened, so this is no key that was not found.
            return UnavailableError(
                f"{path} is gone", native=native, remedy="bring it back; nothing is made anew"
            )
        case errno.ENOTDIR:
            return NotFoundError(f"there is no folder {path.parent}", native=native)
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return AccessDeniedError(f"{path} may not be used", native=native)
        case errno.ELOOP:
            return InvalidInputError(
                f"{path} is a symbolic link", native=native, remedy="name the file it refers to"
            )
        case errno.ENAMETOOLONG | errno.EISDIR:
            return InvalidInputError(f"{path} cannot be a file", native=native)
        case _:
            return UnavailableError(
                f"{path} cannot be used: {os.strerror(number)}; it is as it was", native=native
            )
