"""AuditLog: an audit hook that writes hash-chained JSON Lines, the intent before the outcome.

::

    with AuditLog("/var/log/keyhier/audit.jsonl", required=True) as log:
        with keyhier.open(uri, audit=log) as vault:
            ...
        print(log.head)          # keep it where the log's writer cannot change it
"""

from __future__ import annotations

import errno
import fcntl
import getpass
import logging
import os
import socket
import stat
import threading
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import attrs

from keyhier.audit import AuditEvent
from keyhier.audit_chain import MAX_LINE_BYTES, Head, hash_of, seal
from keyhier.errors import (
    AccessDeniedError,
    CapacityError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
)

__all__ = ["AuditLog", "Listener", "to_logging"]

Listener = Callable[[Mapping[str, Any], Head], None]
"""Told of every entry as it was written, with the chain's new head."""

_LOGGER: Final = logging.getLogger("keyhier.audit")
_ERRORS: Final[dict[type[KeyhierError], tuple[int, ...]]] = {
    NotFoundError: (errno.ENOENT, errno.ENOTDIR),
    AccessDeniedError: (errno.EACCES, errno.EPERM, errno.EROFS),
    InvalidInputError: (errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP),
    CapacityError: (errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
}


def to_logging(logger: logging.Logger = _LOGGER) -> Listener:
    """Return a listener that hands entries to a logger, as attributes of the log record.

    OpenTelemetry takes log records over with its logging handler. The entry is the attribute
    ``keyhier`` and the head ``keyhier_head``.
    """

    def tell(entry: Mapping[str, Any], head: Head) -> None:
        logger.info(
            "%s %s: %s",
            entry.get("operation", "chain"),
            entry.get("key", head.chain),
            entry.get("outcome", "begins"),
            extra={"keyhier": dict(entry), "keyhier_head": str(head)},
        )

    return tell


class AuditLog:
    """An audit hook for :func:`keyhier.open` that writes a file; a context manager that closes it.

    Several processes may write one file; each begins a chain of its own, as does a forked child. A
    line is written in one piece, with the file locked.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        required: bool = True,
        sync: bool = True,
        who: str | None = None,
        listener: Listener | None = None,
    ) -> None:
        """Open or make the file (mode 0600) and begin a chain.

        Args:
            path: the file; its folder must exist.
            required: whether what cannot be written stops the operation, before it touches a key.
                Otherwise it is told to the logger ``keyhier.audit``, and the operation goes on.
            sync: whether every line is on the disk before the operation goes on (fsync).
            who: on whose behalf; by default the user's and the machine's name.
            listener: told of every entry and the chain's new head, to keep it elsewhere; what it
                raises is raised.

        Raises:
            NotFoundError: the folder does not exist.
            AccessDeniedError: the file may not be written, or others may change it.
            InvalidInputError: it is a folder, a symbolic link, or no file at all.
            CapacityError, UnavailableError: the disk is full, or failed.
        """
        self._path = Path(path)
        self._required = required
        self._sync = sync
        self._who = _whoever() if who is None else who
        self._listener = listener
        self._lock = threading.Lock()
        self._head: Head | None = None
        self._chain = uuid.uuid4().hex
        self._file = self._open()
        try:
            self._begin_chain()
        except BaseException:
            self.close()
            raise
        _begin_anew_after_fork(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; doing so twice is harmless."""
        with self._lock:
            file, self._file = self._file, -1
        if file >= 0:
            # Also where this fails the number is free, and may soon be another file's.
            with _translated(self._path):
                os.close(file)

    @property
    def head(self) -> Head:
        """The chain's last line.

        Raises:
            InvalidStateError: the chain has none yet.
        """
        if self._head is None:
            raise InvalidStateError("nothing has been written to the audit log yet")
        return self._head

    def begin(self, event: AuditEvent) -> None:
        """Write what is about to happen; what this raises stops it."""
        self._tell(event)

    def __call__(self, event: AuditEvent) -> None:
        """Write what came of it."""
        self._tell(event)

    def _tell(self, event: AuditEvent) -> None:
        entry = {name: value for name, value in attrs.asdict(event).items() if value is not None}
        if event.seconds is not None:
            entry["seconds"] = round(event.seconds, 6)
        try:
            self._append({**entry, "who": self._who})
        except KeyhierError as error:
            if self._required:
                raise
            _LOGGER.warning("an entry of the audit log was lost: %s", error)

    def _append(self, entry: Mapping[str, Any]) -> None:
        with self._lock:
            if self._file < 0:
                raise InvalidStateError("the audit log is closed")
            if self._head is None:
                self._begin_chain()
            self._write(entry)

    def _begin_chain(self) -> None:
        self._write({"began": "chain", "who": self._who, "process": os.getpid()})

    def _write(self, entry: Mapping[str, Any]) -> None:
        with _translated(self._path):
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                head = self._head
                place: dict[str, Any] = {"chain": self._chain, "number": 0}
                if head is not None:
                    place |= {"number": head.number + 1, "previous": head.hash}
                place["after"] = _last_hash(self._file)
                # Whole seconds: how long it was between an intent and an UnwrapError tells more
                # than the error is to tell (promise 3). What else ended says so itself.
                now = datetime.now(UTC).isoformat(timespec="seconds")
                written = {**place, "time": now, **entry}
                line, digest = seal(written)
                self._put(line)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)
        self._head = Head(place["chain"], place["number"], digest)
        if self._listener is not None:
            self._listener(written, self._head)

    def _put(self, line: bytes) -> None:
        """Write a line whole or not at all."""
        size = os.fstat(self._file).st_size
        try:
            if size and os.pread(self._file, 1, size - 1) != b"\n":
                # What a crash has cut off stays to be seen, on a line of its own.
                os.write(self._file, b"\n")
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(self._file, rest) :]
            if self._sync:
                os.fsync(self._file)
        except OSError:
            os.ftruncate(self._file, size)
            raise

    def _open(self) -> int:
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOCTTY
        # Whoever may put a link there must not choose the file that is written.
        flags |= os.O_NOFOLLOW
        with _translated(self._path):
            file = os.open(self._path, flags, 0o600)
        try:
            _require_own(self._path, os.fstat(file))
        except BaseException:
            os.close(file)
            raise
        return file

    def begin_anew(self) -> None:
        """Begin a chain of its own in a forked child; called after the fork."""
        self._lock = threading.Lock()
        self._head = None
        self._chain = uuid.uuid4().hex
        if self._file >= 0:
            # A lock belongs to the open file, which parent and child would share.
            inherited, self._file = self._file, -1
            os.close(inherited)
            self._file = self._open()


def _whoever() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


def _require_own(path: Path, status: os.stat_result) -> None:
    """Refuse a file that others could have put there, or can change."""
    if not stat.S_ISREG(status.st_mode):
        raise InvalidInputError(f"the audit log {path} is no regular file")
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others or status.st_uid not in (0, os.geteuid()):
        raise AccessDeniedError(
            f"the audit log {path} can be changed by others",
            remedy=f"make it yours and run: chmod go-w {path}",
        )


def _last_hash(file: int) -> str | None:
    """Return the hash of a file's last whole line, or None where there is none."""
    size = os.fstat(file).st_size
    end = os.pread(file, MAX_LINE_BYTES, max(0, size - MAX_LINE_BYTES))
    return hash_of(end.removesuffix(b"\n").rpartition(b"\n")[2])


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Tell the system's errors in keyhier's terms."""
    try:
        yield
    except OSError as error:
        kind = next((kind for kind, codes in _ERRORS.items() if error.errno in codes), None)
        reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
        raise (kind or UnavailableError)(
            f"the audit log {path} cannot be written: {reason}",
            native=errno.errorcode.get(error.errno or 0, "OSError"),
            remedy=f"make the folder {path.parent} first" if kind is NotFoundError else None,
        ) from None


def _begin_anew_after_fork(log: AuditLog) -> None:
    reference = weakref.ref(log)

    def begin_anew() -> None:
        inherited = reference()
        if inherited is not None:
            inherited.begin_anew()

    os.register_at_fork(after_in_child=begin_anew)
