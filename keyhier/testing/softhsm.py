"""SoftHSM tokens for tests: made inside the process in a few milliseconds, gone afterwards.

SoftHSM reads its configuration once, when it is initialised, and does not notice tokens that
another process makes. So a test process has one configuration, set before the first use of the
module, and makes its tokens itself. Child processes find the configuration in their environment.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import secrets
import shutil
import tempfile
import threading
from functools import cache
from pathlib import Path
from typing import ClassVar, Final

import attrs

from keyhier.errors import InvalidInputError, InvalidStateError, NotFoundError, UnavailableError
from keyhier.uri import quote_text

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

# PKCS#11 v3.1: constants of pkcs11t.h.
_CKR_OK: Final = 0x000
_CKR_CRYPTOKI_ALREADY_INITIALIZED: Final = 0x191
_CKF_OS_LOCKING_OK: Final = 0x2
_CKF_TOKEN_INITIALIZED: Final = 0x400
_CKF_SERIAL_RW_SESSION: Final = 0x6
_CKU_SO: Final = 0
_LABEL_BYTES: Final = 32


class _InitializeArgs(ctypes.Structure):
    _fields_: ClassVar = [
        ("mutex_functions", ctypes.c_void_p * 4),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    ]


class _TokenInfo(ctypes.Structure):
    _fields_: ClassVar = [
        ("label", ctypes.c_ubyte * 32),
        ("manufacturer", ctypes.c_ubyte * 32),
        ("model", ctypes.c_ubyte * 16),
        ("serial", ctypes.c_ubyte * 16),
        ("flags", ctypes.c_ulong),
        ("counts", ctypes.c_ulong * 10),
        ("versions", ctypes.c_ubyte * 4),
        ("utc_time", ctypes.c_ubyte * 16),
    ]


def find_softhsm_module() -> Path | None:
    """Return SoftHSM's PKCS#11 module, or None where it is not installed.

    Where the environment variable ``SOFTHSM2_MODULE`` is set, it is the only place looked at.
    """
    chosen = os.environ.get("SOFTHSM2_MODULE")
    for place in (chosen,) if chosen else _SEARCHED:
        if Path(place).is_file():
            return Path(place)
    return None


@attrs.frozen
class SoftHsmToken:
    """A token with a user PIN and nothing on it.

    Attributes:
        label: its label, unique unless the test chose one.
        serial: its serial number, which SoftHSM makes up.
        pin: the user's PIN.
        so_pin: the security officer's PIN.
        pin_file: a file of mode 0600 that holds the user's PIN.
        module_path: SoftHSM's PKCS#11 module.
    """

    label: str
    serial: str
    pin: str = attrs.field(repr=False)
    so_pin: str = attrs.field(repr=False)
    pin_file: Path
    module_path: Path

    @property
    def uri(self) -> str:
        """The URI that opens the token by its label, with the PIN from the file."""
        return (
            f"pkcs11:token={quote_text(self.label)}"
            f"?module-path={self.module_path}&pin-source=file:{self.pin_file}"
        )


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
        self.folder = Path(tempfile.mkdtemp(prefix="keyhier-softhsm-"))
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
        atexit.register(self._clean_up, os.getpid())
        self._library = ctypes.CDLL(str(module_path))
        if not self._initialize():
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
            self._initialize()
            slot = self._free_slot()
            self._call("C_InitToken", slot, so_pin.encode(), len(so_pin), _padded(label))
            session = ctypes.c_ulong()
            self._call(
                "C_OpenSession", slot, _CKF_SERIAL_RW_SESSION, None, None, ctypes.byref(session)
            )
            try:
                self._call("C_Login", session.value, _CKU_SO, so_pin.encode(), len(so_pin))
                self._call("C_InitPIN", session.value, pin.encode(), len(pin))
                self._call("C_Logout", session.value)
            finally:
                self._call("C_CloseSession", session.value)
            serial = bytes(self._info(slot).serial).decode().strip()
        pin_file = self.folder / f"{serial}.pin"
        pin_file.touch(mode=0o600)
        pin_file.write_text(pin)
        return SoftHsmToken(label, serial, pin, so_pin, pin_file, self.module_path)

    def remove(self, token: SoftHsmToken) -> None:
        """Close every session on the token and delete it with all that is on it."""
        with self._lock:
            for slot in self._slots():
                if bytes(self._info(slot).serial).decode().strip() == token.serial:
                    self._call("C_CloseAllSessions", slot)
            for folder in self._tokens.iterdir():
                # SoftHSM makes the serial number of the last 16 digits of the folder's UUID.
                if folder.name.replace("-", "").endswith(token.serial):
                    shutil.rmtree(folder)
        token.pin_file.unlink(missing_ok=True)

    def _initialize(self) -> bool:
        arguments = _InitializeArgs(flags=_CKF_OS_LOCKING_OK)
        code = self._library.C_Initialize(ctypes.byref(arguments))
        if code not in (_CKR_OK, _CKR_CRYPTOKI_ALREADY_INITIALIZED):
            raise UnavailableError(
                "SoftHSM cannot be initialised", native=f"C_Initialize: {code:#x}"
            )
        return bool(code == _CKR_OK)

    def _call(self, function: str, *arguments: object) -> None:
        converted = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
        code = self._library[function](*converted)
        if code != _CKR_OK:
            raise UnavailableError("SoftHSM refused", native=f"{function}: {code:#x}")

    def _slots(self) -> list[int]:
        count = ctypes.c_ulong()
        # Asking for the number is what makes SoftHSM add a slot with a free token.
        self._call("C_GetSlotList", ctypes.c_ubyte(1), None, ctypes.byref(count))
        slots = (ctypes.c_ulong * count.value)()
        self._call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
        return list(slots[: count.value])

    def _info(self, slot: int) -> _TokenInfo:
        info = _TokenInfo()
        # The slot of a deleted token stays and answers with an error, which leaves `info` empty.
        self._library.C_GetTokenInfo(ctypes.c_ulong(slot), ctypes.byref(info))
        return info

    def _free_slot(self) -> int:
        for slot in reversed(self._slots()):
            info = self._info(slot)
            if any(info.label) and not info.flags & _CKF_TOKEN_INITIALIZED:
                return slot
        raise UnavailableError("SoftHSM has no slot with a free token")

    def _clean_up(self, process: int) -> None:
        # A forked child inherits the exit handler, and must leave its parent's tokens alone.
        if os.getpid() == process:
            shutil.rmtree(self.folder, ignore_errors=True)


def _padded(label: str) -> bytes:
    encoded = label.encode()
    if len(encoded) > _LABEL_BYTES:
        raise InvalidInputError("a token's label has at most 32 bytes of UTF-8")
    return encoded.ljust(_LABEL_BYTES)
