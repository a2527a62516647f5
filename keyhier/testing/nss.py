"""NSS's software token for tests: no daemon, no root, a database in a folder of its own.

NSS reads its database once, when the module is initialised, and is told where by an
initialisation string. So a test process has one NSS token, which all its tests share.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from keyhier.errors import NotFoundError, UnavailableError
from keyhier.testing.folders import new_folder
from keyhier.testing.prepared import PreparedToken, write_pin

__all__ = ["find_nss_module", "make_nss_token", "nss_token"]

_SEARCHED: Final = (
    "/usr/lib/x86_64-linux-gnu/libsoftokn3.so",
    "/usr/lib/aarch64-linux-gnu/libsoftokn3.so",
    "/usr/lib64/libsoftokn3.so",
    "/usr/lib/libsoftokn3.so",
)
_LABEL: Final = "NSS Certificate DB"


def find_nss_module() -> Path | None:
    """Return NSS's PKCS#11 module, or None where it is not installed.

    Where the environment variable ``NSS_MODULE`` is set, it is the only place looked at.
    """
    chosen = os.environ.get("NSS_MODULE")
    for place in (chosen,) if chosen else _SEARCHED:
        if Path(place).is_file():
            return Path(place)
    return None


@cache
def nss_token() -> PreparedToken:
    """Return this process's NSS token, made at the first call and deleted when the process ends.

    Raises:
        NotFoundError, UnavailableError: as :func:`make_nss_token`.
    """
    return make_nss_token(new_folder("nss"), secrets.token_hex(8))


def make_nss_token(folder: Path, pin: str) -> PreparedToken:
    """Make a token in a folder that is there and empty; a process can open one NSS token.

    Raises:
        NotFoundError: NSS or its ``certutil`` is not installed.
        UnavailableError: ``certutil`` fails.
    """
    module_path = find_nss_module()
    certutil = shutil.which("certutil")
    if module_path is None or certutil is None:
        raise NotFoundError(
            "NSS is not installed, or its certutil is not",
            remedy="install libnss3 and libnss3-tools, or set NSS_MODULE to libsoftokn3.so",
        )
    # A PIN that opens nothing else needs no costly derivation, which each use of a key pays, in
    # child processes too.
    os.environ["NSS_MAX_MP_PBE_ITERATION_COUNT"] = "1"
    pin_file = write_pin(folder / "pin", pin)
    done = subprocess.run(  # noqa: S603  # The program that the PATH names, as for a user.
        [certutil, "-N", "-d", f"sql:{folder}", "-f", str(pin_file)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise UnavailableError(f"certutil does not make a database: {done.stderr.strip()}")
    return PreparedToken(
        label=_LABEL,
        pin=pin,
        pin_file=pin_file,
        module_path=module_path,
        init_args=f"configdir='sql:{folder}' certPrefix='' keyPrefix='' secmod='secmod.db' flags=",
    )
