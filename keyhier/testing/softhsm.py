"""SoftHSM tokens for tests: made inside the process in a few milliseconds, gone afterwards.

SoftHSM reads its configuration once, when it is initialised, and does not notice tokens that
another process makes. So a test process has one configuration, set before the first use of the
module, and makes its tokens itself. Child processes find the configuration in their environment.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from functools import cache
from pathlib import Path
from typing import Final

import attrs

from keyhier.errors import InvalidStateError, NotFoundError, UnavailableError
from keyhier.testing.cryptoki import Cryptoki
from keyhier.testing.folders import new_folder
from keyhier.testing.prepared import PreparedToken, write_pin

__all__ = ["SoftHsm", "SoftHsmToken", "find_softhsm_module"]

_SEARCHED: Final = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
)

# PKCS#11 v3.1, pkcs11t.h.
_CKF_TOKEN_INITIALIZED: Final = 0x400


def find_softhsm_module() -> Path | None:
    """Return SoftHSM's PKCS#11 module, or None where it is not installed.

    Where the environment variable ``SOFTHSM2_MODULE`` is set, it is the only place looked at.
    """
    chosen = os.environ.get("SOFTHSM2_MODULE")
    for place in (chosen,) if chosen else _SEARCHED:
        if Path(place).is_file():
            return Path(place)
    return None


@attrs.frozen(kw_only=True)
class SoftHsmToken(PreparedToken):
    """A token with a user PIN and nothing on it; its label is unique unless the test chose one.

    Attributes:
        serial: its serial number, which SoftHSM makes up.
        so_pin: the security officer's PIN.
    """

    serial: str
    so_pin: str = attrs.field(repr=False)


class SoftHsm:
    """SoftHSM in this process, with a configuration and a folder of its own.

    Attributes:
        module_path: its PKCS#11 module.
        folder: where its configuration, PIN files and tokens lie; deleted when the process ends.
    """

    def __init__(self, module_path: Path) -> None:
        """Write the configuration and initialise the module; see :meth:`current`.

        Raises:
            InvalidStateError: something in this process initialised the module before.
        """
        self.module_path = module_path
        self.folder = new_folder("softhsm")
        self._lock = threading.Lock()
        self._tokens = self.folder / "tokens"
        self._tokens.mkdir()
        configuration = self.folder / "softhsm2.conf"
        configuration.write_text(
            f"directories.tokendir = {self._tokens}\n"
            "objectstore.backend = file\n"
            "log.level = ERROR\n"
            "slots.removable = false\n"
        )
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        self._cryptoki = Cryptoki(module_path)
        if not self._cryptoki.initialize():
            raise InvalidStateError(
                "SoftHSM was initialised in this process with another configuration",
                remedy="make the first SoftHSM token before the module is used",
            )

    @staticmethod
    @cache
    def current() -> SoftHsm:
        """Return this process's SoftHSM, set up at the first call.

        Raises:
            NotFoundError: SoftHSM is not installed.
            InvalidStateError: something in this process initialised the module before.
        """
        module_path = find_softhsm_module()
        if module_path is None:
            raise NotFoundError(
                "SoftHSM is not installed",
                remedy="install softhsm2, or set SOFTHSM2_MODULE to libsofthsm2.so",
            )
        return SoftHsm(module_path)

    def new_token(self, label: str | None = None) -> SoftHsmToken:
        """Make a token; it can be opened at once.

        Args:
            label: at most 32 bytes of UTF-8, by default a unique one. Two tokens may share one.
        """
        label = label or f"keyhier-{secrets.token_hex(6)}"
        pin, so_pin = secrets.token_hex(8), secrets.token_hex(8)
        with self._lock:
            # A program may have finalised the module since.
            self._cryptoki.initialize()
            slot = self._free_slot()
            self._cryptoki.init_token(slot, label, so_pin)
            self._cryptoki.init_pin(slot, so_pin, pin)
            serial = bytes(self._cryptoki.info(slot).serial).decode().strip()
        return SoftHsmToken(
            label=label,
            pin=pin,
            pin_file=write_pin(self.folder / f"{serial}.pin", pin),
            module_path=self.module_path,
            serial=serial,
            so_pin=so_pin,
        )

    def remove(self, token: SoftHsmToken) -> None:
        """Close every session on the token and delete it with all that is on it."""
        with self._lock:
            for slot in self._cryptoki.slots():
                if bytes(self._cryptoki.info(slot).serial).decode().strip() == token.serial:
                    self._cryptoki.close_all_sessions(slot)
            for folder in self._tokens.iterdir():
                # SoftHSM makes the serial number of the last 16 digits of the folder's UUID.
                if folder.name.replace("-", "").endswith(token.serial):
                    shutil.rmtree(folder)
        token.pin_file.unlink(missing_ok=True)

    def _free_slot(self) -> int:
        for slot in reversed(self._cryptoki.slots()):
            info = self._cryptoki.info(slot)
            if any(info.label) and not info.flags & _CKF_TOKEN_INITIALIZED:
                return slot
        raise UnavailableError("SoftHSM has no slot with a free token")
