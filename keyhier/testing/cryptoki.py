"""The few PKCS#11 calls that making a token takes, which python-pkcs11 does not have."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Final

from keyhier.errors import InvalidInputError, UnavailableError

__all__ = ["Cryptoki", "TokenInfo"]

# PKCS#11 v3.1: constants of pkcs11t.h.
_CKR_OK: Final = 0x000
_CKR_CRYPTOKI_NOT_INITIALIZED: Final = 0x190
_CKR_CRYPTOKI_ALREADY_INITIALIZED: Final = 0x191
_CKF_OS_LOCKING_OK: Final = 0x2
_CKF_SERIAL_RW_SESSION: Final = 0x6
_CKU_SO: Final = 0
_CKU_USER: Final = 1
_LABEL_BYTES: Final = 32


class _InitializeArgs(ctypes.Structure):
    _fields_: ClassVar = [
        ("mutex_functions", ctypes.c_void_p * 4),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_void_p),
    ]


class TokenInfo(ctypes.Structure):
    """CK_TOKEN_INFO."""

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


class Cryptoki:
    """A PKCS#11 module that exports its functions, loaded in this process.

    Every method raises UnavailableError with the function and its code where the module refuses.
    """

    def __init__(self, module_path: Path) -> None:
        """Load the module; it is not initialised yet."""
        self._name = module_path.name
        self._library = ctypes.CDLL(str(module_path))

    def initialize(self) -> bool:
        """Initialise the module for several threads; False where it was initialised already."""
        arguments = _InitializeArgs(flags=_CKF_OS_LOCKING_OK)
        code = self._library.C_Initialize(ctypes.byref(arguments))
        if code not in (_CKR_OK, _CKR_CRYPTOKI_ALREADY_INITIALIZED):
            raise self._refused("C_Initialize", code)
        return bool(code == _CKR_OK)

    def finalize(self) -> None:
        """Finalise the module, whoever in this process initialised it."""
        code = self._library.C_Finalize(None)
        if code not in (_CKR_OK, _CKR_CRYPTOKI_NOT_INITIALIZED):
            raise self._refused("C_Finalize", code)

    def slots(self) -> list[int]:
        """Return the slots that hold a token."""
        count = ctypes.c_ulong()
        # Asking for the number is what makes SoftHSM add a slot with a free token.
        self.call("C_GetSlotList", ctypes.c_ubyte(1), None, ctypes.byref(count))
        slots = (ctypes.c_ulong * count.value)()
        self.call("C_GetSlotList", ctypes.c_ubyte(1), slots, ctypes.byref(count))
        return list(slots[: count.value])

    def info(self, slot: int) -> TokenInfo:
        """Return what a slot says of its token; all zeros where the token is gone."""
        info = TokenInfo()
        # The slot of a deleted token stays and answers with an error, which leaves `info` empty.
        self._library.C_GetTokenInfo(ctypes.c_ulong(slot), ctypes.byref(info))
        return info

    def init_token(self, slot: int, label: str, so_pin: str) -> None:
        """Initialise a token, with the security officer's PIN as it is or shall be.

        Raises:
            InvalidInputError: the label has more than 32 bytes of UTF-8.
        """
        self.call("C_InitToken", slot, so_pin.encode(), len(so_pin), _padded(label))

    def init_pin(self, slot: int, so_pin: str, pin: str) -> None:
        """Give a token its user's PIN."""
        with self._login(slot, _CKU_SO, so_pin) as session:
            self.call("C_InitPIN", session, pin.encode(), len(pin))

    def change_so_pin(self, slot: int, old: str, new: str) -> None:
        """Change the security officer's PIN."""
        with self._login(slot, _CKU_SO, old) as session:
            self.call("C_SetPIN", session, old.encode(), len(old), new.encode(), len(new))

    def change_pin(self, slot: int, old: str, new: str) -> None:
        """Change the user's PIN."""
        with self._login(slot, _CKU_USER, old) as session:
            self.call("C_SetPIN", session, old.encode(), len(old), new.encode(), len(new))

    def close_all_sessions(self, slot: int) -> None:
        """Close every session that this process has on a slot."""
        self.call("C_CloseAllSessions", slot)

    def call(self, function: str, *arguments: object) -> None:
        """Call a function; whole numbers are handed over as CK_ULONG."""
        converted = [ctypes.c_ulong(a) if isinstance(a, int) else a for a in arguments]
        code = self._library[function](*converted)
        if code != _CKR_OK:
            raise self._refused(function, code)

    @contextmanager
    def _login(self, slot: int, user: int, pin: str) -> Iterator[int]:
        session = ctypes.c_ulong()
        self.call("C_OpenSession", slot, _CKF_SERIAL_RW_SESSION, None, None, ctypes.byref(session))
        try:
            self.call("C_Login", session.value, user, pin.encode(), len(pin))
            yield session.value
            self.call("C_Logout", session.value)
        finally:
            self.call("C_CloseSession", session.value)

    def _refused(self, function: str, code: int) -> UnavailableError:
        return UnavailableError(f"{self._name} refused", native=f"{function}: {code:#x}")


def _padded(label: str) -> bytes:
    encoded = label.encode()
    if len(encoded) > _LABEL_BYTES:
        raise InvalidInputError("a token's label has at most 32 bytes of UTF-8")
    return encoded.ljust(_LABEL_BYTES)
