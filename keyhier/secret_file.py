"""Files that hold a secret: written whole or not at all, for the owner's eyes only.

Some volume keys go to removable media, whose FAT file systems know neither modes nor hard
links. There the mode is the mount's, and a new file is made directly under its final name.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Final

from keyhier.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from keyhier.secret import SecretBytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyhier.errors import KeyhierError

__all__ = ["read_secret_file", "read_secret_stream", "sync_folder", "write_secret_file"]

_OWNER_ONLY: Final = 0o600

# How file systems without hard links, or that forbid them, refuse one (link(2)).
_NO_HARD_LINKS: Final = frozenset(
    {errno.EPERM, errno.EACCES, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
)

_NO_FOLDER_SYNC: Final = frozenset({errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS})

_ERRORS: Final[dict[int | None, type[KeyhierError]]] = {
    errno.ENOENT: NotFoundError,
    errno.ENOTDIR: NotFoundError,
    errno.EEXIST: AlreadyExistsError,
    errno.EACCES: AccessDeniedError,
    errno.EPERM: AccessDeniedError,
    errno.EROFS: AccessDeniedError,
    errno.EISDIR: InvalidInputError,
    errno.ENAMETOOLONG: InvalidInputError,
    errno.EINVAL: InvalidInputError,
}


def write_secret_file(
    path: str | os.PathLike[str], secret: SecretBytes, *, overwrite: bool = False
) -> None:
    """Write ``secret``, and nothing else, to the file ``path``.

    The file has mode 0600 whatever the umask, and appears under its name only when all of it
    is on the disk, file and folder synced. What stood there before stays until then, and stays
    if anything fails. A symbolic link at ``path`` is never followed: it counts as an existing
    file, and ``overwrite`` replaces the link itself. Two writers without ``overwrite`` cannot
    both succeed.

    On a file system without hard links (FAT) a new file is made directly under its name, so
    that a crash of the machine can leave part of it; a failure does not.

    Args:
        path: the file; its folder must exist.
        secret: what to write; it is not wiped.
        overwrite: replace an existing file instead of refusing it.

    Raises:
        AlreadyExistsError: there is something at ``path`` and ``overwrite`` is false.
        NotFoundError: the folder does not exist, or is not one.
        AccessDeniedError: the folder refuses new files, or the file system is read-only.
        InvalidInputError: ``path`` is a folder, a device or another special file, or no name that
            the file system takes.
        UnavailableError: the disk is full, or failed; where only the last sync of the folder
            failed, the file is in place.
    """
    target = Path(path)
    with _translated(
        f"the file {target} cannot be written", missing=f"make the folder {target.parent} first"
    ):
        folder = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            _check_place(folder, target)
            _publish(folder, target.name, secret, overwrite=overwrite)
            sync_folder(folder)
        finally:
            os.close(folder)


def _check_place(folder: int, target: Path) -> None:
    """Refuse to put a file in the place of a device, which the whole machine may use."""
    try:
        mode = os.stat(target.name, dir_fd=folder, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode) or stat.S_ISDIR(mode)):
        raise InvalidInputError(f"{target} is no ordinary file, and is left as it is")


def sync_folder(folder: int) -> None:
    """Make a file's new name in an open folder outlast a crash, where the file system can.

    Raises:
        OSError: the disk failed.
    """
    try:
        os.fsync(folder)
    except OSError as error:
        # Some file systems sync files but no folders (fsync(2)); the file itself is safe.
        if error.errno not in _NO_FOLDER_SYNC:
            raise


def _publish(folder: int, name: str, secret: SecretBytes, *, overwrite: bool) -> None:
    temporary = f".keyhier-{secrets.token_hex(8)}"
    _create(folder, temporary, secret)
    try:
        if overwrite:
            os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            return
        # Unlike a rename, a link never replaces what another process has put there since.
        try:
            os.link(temporary, name, src_dir_fd=folder, dst_dir_fd=folder, follow_symlinks=False)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            _create(folder, name, secret)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary, dir_fd=folder)


def _create(folder: int, name: str, secret: SecretBytes) -> None:
    """Make a new file that is complete and synced, or none."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    handle = os.open(name, flags, _OWNER_ONLY, dir_fd=folder)
    with contextlib.ExitStack() as undo:
        undo.callback(os.unlink, name, dir_fd=folder)
        try:
            # The umask can only have taken permissions away, so that a file system that keeps
            # no modes and refuses this makes nothing worse.
            with contextlib.suppress(OSError):
                os.fchmod(handle, _OWNER_ONLY)
            rest = secret.view()
            while rest:
                rest = rest[os.write(handle, rest) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        undo.pop_all()


def read_secret_file(path: str | os.PathLike[str], *, limit: int) -> SecretBytes:
    """Read a file into a buffer that the caller wipes; no other copy is made.

    A pipe (``/dev/fd/63``) is read to its end like a file.

    Args:
        path: the file.
        limit: the greatest length, in bytes, that is accepted.

    Raises:
        NotFoundError: there is no such file.
        AccessDeniedError: it may not be read.
        InvalidInputError: it is a folder, or longer than ``limit`` bytes.
        UnavailableError: the disk failed.
    """
    source = Path(path)
    what = f"the file {source}"
    with _translated(f"{what} cannot be read"):
        handle = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return read_secret_stream(handle, limit=limit, what=what)
    finally:
        os.close(handle)


def read_secret_stream(handle: int, *, limit: int, what: str) -> SecretBytes:
    """Read an open file or pipe to its end into a buffer that the caller wipes.

    Args:
        handle: the file descriptor, which stays open.
        limit: the greatest length, in bytes, that is accepted.
        what: what an error calls it, such as ``standard input``.

    Raises:
        InvalidInputError: it is a folder, or longer than ``limit`` bytes.
        UnavailableError: reading failed.
    """
    # One byte more than is accepted tells what is too long, even if it has no length or no end.
    with SecretBytes.allocate(limit + 1) as buffer:
        filled = 0
        with _translated(f"{what} cannot be read"):
            while count := os.readv(handle, [buffer.view()[filled:]]):
                filled += count
        if filled > limit:
            raise InvalidInputError(f"{what} is longer than {limit} bytes")
        return SecretBytes(buffer.view()[:filled])


@contextlib.contextmanager
def _translated(what: str, *, missing: str | None = None) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind = _ERRORS.get(error.errno, UnavailableError)
        name = errno.errorcode.get(error.errno or 0, "OSError")
        remedies = {
            AlreadyExistsError: "choose another name, or allow overwriting",
            NotFoundError: missing,
        }
        # The system's own sentence says what happened; its traceback adds nothing for a user.
        raise kind(f"{what}: {error.strerror}", native=name, remedy=remedies.get(kind)) from None
    except ValueError:
        # Python refuses a NUL, or what has no bytes, before it asks the system.
        raise InvalidInputError(f"{what}: the name is none that a file can have") from None
