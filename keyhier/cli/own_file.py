"""Files that are believed: nobody but their reader and root may be able to change them."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from keyhier.errors import AccessDeniedError

__all__ = ["require_own"]


def require_own(path: Path, status: os.stat_result, choice: str) -> None:
    """Raise where others can change a file.

    Args:
        path: the file, for the message.
        status: its status, of the open file where it is open.
        choice: what whoever changed it would choose.

    Raises:
        AccessDeniedError: they can.
    """
    others = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if others or status.st_uid not in (0, os.geteuid()):
        raise AccessDeniedError(
            f"{path} can be changed by others, who could choose {choice}",
            remedy=f"make it yours and run: chmod go-w {path}",
        )
