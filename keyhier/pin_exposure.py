"""Who else may learn a PIN from where the URI says that it comes from."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from keyhier.doctor import Finding, Severity
from keyhier.pin import PinSource
from keyhier.uri import VaultUri

__all__ = ["examine_pin_source"]

_CHECK: Final = "pin-source"
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def examine_pin_source(uri: VaultUri) -> Iterator[Finding]:
    """Look at the ``pin-source`` of a vault's URI, without reading the PIN.

    A prompt shows the PIN to nobody, so there is nothing to find.

    Raises:
        InvalidInputError: it is none.
    """
    reference = uri.query.get("pin-source")
    source = PinSource(reference)
    if source.file is not None:
        yield _of_file(source.file)
    elif reference is not None and reference.startswith("env:"):
        yield Finding(
            _CHECK,
            Severity.NOTE,
            f"the PIN stands in the environment ({reference}), which every process of this user "
            "may read and every child inherits",
            "prefer pin-source=file: and a file of mode 0600",
        )


def _of_file(path: Path) -> Finding:
    try:
        status = path.stat()
    except OSError as error:
        found = f"{path} cannot be used: {error.strerror}"
        return Finding(_CHECK, Severity.ERROR, found, "put the PIN there, or correct pin-source")
    mode = stat.S_IMODE(status.st_mode)
    if mode & _OTHERS:
        found = f"{path} has mode {mode:04o}: others may read or change it"
        return Finding(_CHECK, Severity.WARNING, found, f"chmod 600 {path}")
    if status.st_uid not in (os.geteuid(), 0):
        found = f"{path} belongs to another user (uid {status.st_uid})"
        return Finding(_CHECK, Severity.WARNING, found, f"chown the file to uid {os.geteuid()}")
    return Finding(_CHECK, Severity.OK, f"{path} is for its owner alone (mode {mode:04o})")
