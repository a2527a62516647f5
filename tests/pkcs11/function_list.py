"""Stand-ins for functions of a PKCS#11 module that is loaded in this process.

SoftHSM's function list is writable and the same at each call, so an entry can be replaced. Codes
are those of pkcs11t.h.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

OK = 0x000
GENERAL_ERROR = 0x005
DEVICE_ERROR = 0x030
DEVICE_REMOVED = 0x032

# The places of functions in CK_FUNCTION_LIST (pkcs11f.h).
_PLACES = {
    "C_Initialize": 0,
    "C_GetSlotList": 4,
    "C_GetTokenInfo": 6,
    "C_GetMechanismList": 7,
    "C_GetMechanismInfo": 8,
    "C_OpenSession": 12,
    "C_Login": 18,
    "C_CreateObject": 20,
    "C_DestroyObject": 22,
    "C_GetAttributeValue": 24,
    "C_SetAttributeValue": 25,
    "C_FindObjectsInit": 26,
    "C_Encrypt": 30,
    "C_Decrypt": 34,
    "C_GenerateKey": 58,
    "C_GenerateKeyPair": 59,
    "C_WrapKey": 60,
    "C_UnwrapKey": 61,
    "C_GenerateRandom": 64,
}

Function = Callable[..., int]


class CkAttribute(ctypes.Structure):
    """CK_ATTRIBUTE, of which templates are made."""

    _fields_ = (
        ("type", ctypes.c_ulong),
        ("value", ctypes.c_void_p),
        ("length", ctypes.c_ulong),
    )


@contextmanager
def replaced(
    module: Path, name: str, argument_types: list[Any], make: Callable[[Function], Function]
) -> Iterator[None]:
    """Replace a function by ``make(original)`` while the block runs."""
    pointer = ctypes.POINTER(ctypes.c_void_p)()
    ctypes.CDLL(str(module)).C_GetFunctionList(ctypes.byref(pointer))
    prototype = ctypes.CFUNCTYPE(ctypes.c_ulong, *argument_types)
    # The version stands before the first function and takes a pointer's place.
    place = 1 + _PLACES[name]
    original = pointer[place]
    assert original is not None
    stand_in = prototype(make(prototype(original)))
    pointer[place] = ctypes.cast(stand_in, ctypes.c_void_p).value
    try:
        yield
    finally:
        pointer[place] = original


@contextmanager
def answering(module: Path, name: str, code: int) -> Iterator[list[int]]:
    """Make a function do nothing and answer ``code``; yields a list that grows at each call."""
    calls: list[int] = []

    def make(original: Function) -> Function:
        def answer() -> int:
            calls.append(code)
            return code

        return answer

    with replaced(module, name, [], make):
        yield calls


@contextmanager
def counted(module: Path, name: str, argument_types: list[Any]) -> Iterator[list[int]]:
    """Count the calls of a function, which otherwise does what it does."""
    calls: list[int] = []

    def make(original: Function) -> Function:
        def count(*arguments: Any) -> int:
            calls.append(OK)
            return original(*arguments)

        return count

    with replaced(module, name, argument_types, make):
        yield calls


@contextmanager
def token_flags(module: Path, *, add: int = 0, remove: int = 0) -> Iterator[None]:
    """Change the flags that tokens show (CK_TOKEN_INFO, whose flags stand at byte 96)."""

    def make(original: Function) -> Function:
        def get_token_info(slot: int, info: int) -> int:
            code = original(slot, info)
            flags = ctypes.c_ulong.from_address(info + 96)
            flags.value = flags.value & ~remove | add
            return code

        return get_token_info

    with replaced(module, "C_GetTokenInfo", [ctypes.c_ulong, ctypes.c_void_p], make):
        yield


@contextmanager
def without_mechanisms(module: Path, *hidden: int) -> Iterator[None]:
    """Hide mechanisms from the list that tokens show."""
    arrays = ctypes.POINTER(ctypes.c_ulong)

    def make(original: Function) -> Function:
        def get_mechanism_list(slot: int, found: Any, count: Any) -> int:
            code = original(slot, found, count)
            if found:
                kept = [each for each in found[: count[0]] if each not in hidden]
                for place, each in enumerate(kept):
                    found[place] = each
                count[0] = len(kept)
            return code

        return get_mechanism_list

    with replaced(module, "C_GetMechanismList", [ctypes.c_ulong, arrays, arrays], make):
        yield
