"""A PKCS#11 module's function list (CK_FUNCTION_LIST), with others in place of its functions.

The modules of SoftHSM, NSS and opencryptoki hand out the same list at each call, and it can be
written to: what is put there is what every user of the list in the process calls from then on.
"""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Final

import attrs

from keyhier.errors import NotFoundError, UnsupportedError

__all__ = ["FUNCTIONS", "CkAttribute", "Function", "FunctionList", "Layer", "Native"]

Native = Callable[..., int]
"""A PKCS#11 function as Python calls it: numbers and addresses (None for NULL) in, CK_RV out."""

# The functions of PKCS#11 2.40 in the order of the list (pkcs11f.h), and what each takes:
# s a session, o an object, n another number, b a CK_BBOOL, p a pointer; S and O point to where
# the module puts a session or an object, F to where it puts many objects, whose number it puts
# where the last argument points.
_SIGNATURES: Final = """
C_Initialize p
C_Finalize p
C_GetInfo p
C_GetFunctionList p
C_GetSlotList bpp
C_GetSlotInfo np
C_GetTokenInfo np
C_GetMechanismList npp
C_GetMechanismInfo nnp
C_InitToken npnp
C_InitPIN spn
C_SetPIN spnpn
C_OpenSession nnppS
C_CloseSession s
C_CloseAllSessions n
C_GetSessionInfo sp
C_GetOperationState spp
C_SetOperationState spnoo
C_Login snpn
C_Logout s
C_CreateObject spnO
C_CopyObject sopnO
C_DestroyObject so
C_GetObjectSize sop
C_GetAttributeValue sopn
C_SetAttributeValue sopn
C_FindObjectsInit spn
C_FindObjects sFnp
C_FindObjectsFinal s
C_EncryptInit spo
C_Encrypt spnpp
C_EncryptUpdate spnpp
C_EncryptFinal spp
C_DecryptInit spo
C_Decrypt spnpp
C_DecryptUpdate spnpp
C_DecryptFinal spp
C_DigestInit sp
C_Digest spnpp
C_DigestUpdate spn
C_DigestKey so
C_DigestFinal spp
C_SignInit spo
C_Sign spnpp
C_SignUpdate spn
C_SignFinal spp
C_SignRecoverInit spo
C_SignRecover spnpp
C_VerifyInit spo
C_Verify spnpn
C_VerifyUpdate spn
C_VerifyFinal spn
C_VerifyRecoverInit spo
C_VerifyRecover spnpp
C_DigestEncryptUpdate spnpp
C_DecryptDigestUpdate spnpp
C_SignEncryptUpdate spnpp
C_DecryptVerifyUpdate spnpp
C_GenerateKey sppnO
C_GenerateKeyPair sppnpnOO
C_WrapKey spoopp
C_UnwrapKey spopnpnO
C_DeriveKey spopnO
C_SeedRandom spn
C_GenerateRandom spn
C_GetFunctionStatus s
C_CancelFunction s
C_WaitForSlotEvent npp
"""
_NUMBERS: Final = "sno"


class CkAttribute(ctypes.Structure):
    """CK_ATTRIBUTE, of which templates are made."""

    _fields_: ClassVar = [
        ("type", ctypes.c_ulong),
        ("value", ctypes.c_void_p),
        ("length", ctypes.c_ulong),
    ]

    type: int
    value: int | None
    length: int


@attrs.frozen
class Function:
    """A function of the list.

    Attributes:
        name: ``C_Decrypt``.
        place: where it stands in the list, from 0.
        signature: one letter for an argument: see the table in this module.
    """

    name: str
    place: int
    signature: str

    @property
    def prototype(self) -> Callable[[int | Native], Any]:
        """The C type: makes a function of an address, and what C can call of a function."""
        kinds: dict[str, Any] = {"b": ctypes.c_ubyte, **dict.fromkeys(_NUMBERS, ctypes.c_ulong)}
        taken = [kinds.get(letter, ctypes.c_void_p) for letter in self.signature]
        return ctypes.CFUNCTYPE(ctypes.c_ulong, *taken)

    def sessions_used(self, arguments: tuple[Any, ...]) -> tuple[int, ...]:
        """Return the sessions among the arguments."""
        return self._among("s", arguments)

    def objects_used(self, arguments: tuple[Any, ...]) -> tuple[int, ...]:
        """Return the object handles among the arguments."""
        return self._among("o", arguments)

    def sessions_given(self, arguments: tuple[Any, ...]) -> tuple[int, ...]:
        """Return the sessions that a call has put where its arguments point."""
        return tuple(_read(address) for address in self._among("S", arguments))

    def objects_given(self, arguments: tuple[Any, ...]) -> tuple[int, ...]:
        """Return the object handles that a call has put where its arguments point."""
        found = [_read(address) for address in self._among("O", arguments)]
        for address in self._among("F", arguments):
            found.extend((ctypes.c_ulong * _read(arguments[-1])).from_address(address))
        return tuple(found)

    def _among(self, letter: str, arguments: tuple[Any, ...]) -> tuple[int, ...]:
        # NULL and CK_INVALID_HANDLE, which is 0, are nothing.
        pairs = zip(self.signature, arguments, strict=True)
        return tuple(argument for kind, argument in pairs if kind == letter and argument)


def _read(address: int) -> int:
    return ctypes.c_ulong.from_address(address).value


FUNCTIONS: Final = {
    name: Function(name, place, signature)
    for place, (name, signature) in enumerate(
        line.split() for line in _SIGNATURES.strip().splitlines()
    )
}
"""The functions of the list, by name."""


Layer = Callable[[Function, tuple[Any, ...], Native], int]
"""What stands between the users of a function list and the module: answers a call of a function
with these arguments; the third is what lies below."""


class FunctionList:
    """The function list of a module that is loaded in this process.

    While there are layers, every function of the list has a stand-in. The stand-ins are made once
    and kept for good, because a thread may be inside one when the last layer goes. Nothing that
    they do waits for a lock: a child forked while another thread holds one would wait for ever.
    """

    def __init__(self, address: int) -> None:
        """Take the list at ``address``; :meth:`of` is the way in."""
        # The version stands before the first function and takes a pointer's place.
        start = address + ctypes.sizeof(ctypes.c_void_p)
        self._entries = (ctypes.c_void_p * len(FUNCTIONS)).from_address(start)
        self._lock = threading.Lock()
        self._layers: tuple[Layer, ...] = ()
        self._originals: dict[str, int] = {}
        self._callable: dict[str, Native] = {}
        self._stand_ins = {
            function.name: function.prototype(self._stand_in(function))
            for function in FUNCTIONS.values()
        }

    @classmethod
    def of(cls, module_path: Path | str) -> FunctionList:
        """Return the list of the module at ``module_path``, always the same object for one list.

        Raises:
            NotFoundError: there is no such file.
            UnsupportedError: the module hands out a new list at each call, as p11-kit's do, or
                one that cannot be written to.
        """
        if not Path(module_path).is_file():
            raise NotFoundError(f"there is no PKCS#11 module {module_path}")
        library = ctypes.CDLL(str(module_path))
        first, second = ctypes.c_void_p(), ctypes.c_void_p()
        for found in (first, second):
            library.C_GetFunctionList(ctypes.byref(found))
        if first.value is None or first.value != second.value:
            raise UnsupportedError(
                f"{module_path} hands out a new function list at each call, where nothing can be "
                "put in place of its functions",
                remedy="test with a module that hands out one: SoftHSM, NSS or opencryptoki",
            )
        if not _writable(first.value):
            raise UnsupportedError(f"the function list of {module_path} cannot be written to")
        with _registry_lock:
            if first.value not in _lists:
                _lists[first.value] = cls(first.value)
            return _lists[first.value]

    def add(self, layer: Layer) -> None:
        """Put a layer above those that are there."""
        with self._lock:
            if not self._layers:
                self._replace()
            self._layers = (*self._layers, layer)

    def remove(self, layer: Layer) -> None:
        """Take a layer away; with the last one the list is again as it was."""
        with self._lock:
            self._layers = tuple(each for each in self._layers if each != layer)
            if not self._layers:
                for name, original in self._originals.items():
                    self._entries[FUNCTIONS[name].place] = original

    def call(self, name: str, *arguments: Any) -> int:
        """Call the module's own function, past all layers."""
        return self._callable[name](*arguments)

    def _replace(self) -> None:
        for function in FUNCTIONS.values():
            original = self._entries[function.place]
            # A module may leave out what it does not have.
            if original is not None:
                self._originals[function.name] = original
                self._callable[function.name] = function.prototype(original)
                stand_in = ctypes.cast(self._stand_ins[function.name], ctypes.c_void_p)
                self._entries[function.place] = stand_in.value

    def _stand_in(self, function: Function) -> Native:
        def answer(*arguments: Any) -> int:
            return self._pass(function, self._layers, arguments)

        return answer

    def _pass(self, function: Function, layers: tuple[Layer, ...], arguments: Any) -> int:
        if not layers:
            return self._callable[function.name](*arguments)
        *below, layer = layers
        return layer(function, arguments, lambda *given: self._pass(function, tuple(below), given))


def _writable(address: int) -> bool:
    maps = Path("/proc/self/maps")
    # Where the system does not say (it does on Linux), it is tried.
    for line in maps.read_text().splitlines() if maps.exists() else ():
        reach, permissions, *_ = line.split()
        start, end = (int(bound, 16) for bound in reach.split("-"))
        if start <= address < end:
            return "w" in permissions
    return True


_registry_lock = threading.Lock()
_lists: dict[int, FunctionList] = {}
