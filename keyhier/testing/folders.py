"""Folders for the tokens of a test process, gone when it ends, at the latest when another begins.

A process that ends by a signal, as one whose module crashes does, cleans nothing up. So a folder is
locked as long as its process, or a child that was forked from it, lives, and whoever makes one
deletes those that nobody holds. The kernel lets a lock go with the process, however that ends.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import Final

__all__ = ["new_folder"]

_PREFIX: Final = "keyhier-test-"


def new_folder(kind: str) -> Path:
    """Return a new folder, which only its owner can read, for as long as this process lives.

    Args:
        kind: what it is for, to be read in its name.
    """
    _delete_abandoned()
    # It gets the name by which it is looked for when it is locked.
    fresh = Path(tempfile.mkdtemp(prefix=f"keyhier-new-{kind}-"))
    lock = _open(fresh)
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = fresh.rename(fresh.with_name(fresh.name.replace("keyhier-new-", _PREFIX, 1)))
    atexit.register(_clean_up, folder, os.getpid())
    return folder


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)


def _delete_abandoned() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        try:
            lock = _open(folder)
        except OSError:
            # Somebody else's, or no folder, or gone already.
            continue
        try:
            if os.fstat(lock).st_uid == os.geteuid():
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
        except BlockingIOError:
            continue
        finally:
            os.close(lock)


def _clean_up(folder: Path, process: int) -> None:
    # A forked child inherits the exit handler, and must leave its parent's folder alone.
    if os.getpid() == process:
        shutil.rmtree(folder, ignore_errors=True)
