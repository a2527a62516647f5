"""CK_TOKEN_INFO (PKCS#11 v3.1, section 3.2), most of which python-pkcs11 does not show."""

from __future__ import annotations

import ctypes
from datetime import UTC, datetime
from typing import ClassVar, Final

import attrs

from keyhier.errors import UnavailableError

__all__ = ["TokenInfo", "read_token_info"]

_CKR_OK: Final = 0x000
_CKR_CRYPTOKI_NOT_INITIALIZED: Final = 0x190
_CKF_CLOCK_ON_TOKEN: Final = 0x40
# CK_UNAVAILABLE_INFORMATION and CK_EFFECTIVELY_INFINITE.
_UNKNOWN: Final = ctypes.c_ulong(-1).value
_UNBOUNDED: Final = 0
_BEYOND_REACH: Final = 2**31


class _TokenInfo(ctypes.Structure):
    _fields_: ClassVar = [
        ("names", ctypes.c_ubyte * (32 + 32 + 16 + 16)),
        ("flags", ctypes.c_ulong),
        ("max_sessions", ctypes.c_ulong),
        ("sessions", ctypes.c_ulong),
        ("max_writable_sessions", ctypes.c_ulong),
        ("writable_sessions", ctypes.c_ulong),
        ("max_pin", ctypes.c_ulong),
        ("min_pin", ctypes.c_ulong),
        ("memory", ctypes.c_ulong * 4),
        ("versions", ctypes.c_ubyte * 4),
        ("utc_time", ctypes.c_char * 16),
    ]


class _FunctionList(ctypes.Structure):
    _fields_: ClassVar = [
        ("version", ctypes.c_ubyte * 2),
        ("C_Initialize", ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)),
        ("C_Finalize", ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)),
        ("others", ctypes.c_void_p * 4),  # C_GetInfo to C_GetSlotInfo.
        (
            "C_GetTokenInfo",
            ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_ulong, ctypes.POINTER(_TokenInfo)),
        ),
    ]


@attrs.frozen
class TokenInfo:
    """What a token says of itself.

    Attributes:
        flags: the CKF_ flags.
        max_sessions, max_writable_sessions: how many sessions one application may have, or None
            where there is no limit or the token does not say.
        sessions, writable_sessions: how many this one has, or None where the token does not say.
        min_pin, max_pin: the lengths of a PIN, in bytes.
        clock: the token's time, or None where it has no clock, or one that cannot be read.
        has_clock: whether it claims to have one.
    """

    flags: int
    max_sessions: int | None
    sessions: int | None
    max_writable_sessions: int | None
    writable_sessions: int | None
    min_pin: int
    max_pin: int
    clock: datetime | None

    @property
    def has_clock(self) -> bool:
        """Whether the token claims to have a clock (CKF_CLOCK_ON_TOKEN)."""
        return bool(self.flags & _CKF_CLOCK_ON_TOKEN)


def read_token_info(module_path: str, slot_id: int) -> TokenInfo:
    """Ask a module that this process has initialised for what it knows of a token.

    Raises:
        UnavailableError: it does not answer.
    """
    info = _TokenInfo()
    first, second = _function_list(module_path), _function_list(module_path)
    code = first.C_GetTokenInfo(slot_id, ctypes.byref(info))
    one_list = ctypes.addressof(first) == ctypes.addressof(second)
    if code == _CKR_CRYPTOKI_NOT_INITIALIZED and not one_list:
        # p11-kit-client.so keeps its state in the list, and hands out a new one at each call: this
        # one is ours alone, and so may be initialised and finalised.
        code = first.C_Initialize(None)
        if code == _CKR_OK:
            code = first.C_GetTokenInfo(slot_id, ctypes.byref(info))
            first.C_Finalize(None)
    if code != _CKR_OK:
        raise UnavailableError(
            "the token does not say what it is", native=f"C_GetTokenInfo: {code:#x}"
        )
    has_clock = info.flags & _CKF_CLOCK_ON_TOKEN
    return TokenInfo(
        flags=info.flags,
        max_sessions=_limit(info.max_sessions),
        sessions=_count(info.sessions),
        max_writable_sessions=_limit(info.max_writable_sessions),
        writable_sessions=_count(info.writable_sessions),
        min_pin=info.min_pin,
        max_pin=info.max_pin,
        clock=_time(info.utc_time) if has_clock else None,
    )


def _function_list(module_path: str) -> _FunctionList:
    found = ctypes.POINTER(_FunctionList)()
    ctypes.CDLL(module_path).C_GetFunctionList(ctypes.byref(found))
    return found.contents


def _limit(number: int) -> int | None:
    # opencryptoki tells a number that nothing could ever reach; CK_UNAVAILABLE_INFORMATION is one.
    return None if number == _UNBOUNDED or number > _BEYOND_REACH else number


def _count(number: int) -> int | None:
    return None if number == _UNKNOWN else number


def _time(text: bytes) -> datetime | None:
    """Read ``YYYYMMDDhhmmssxx``, whose last two characters are reserved."""
    try:
        return datetime.strptime(text[:14].decode("ascii"), "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
