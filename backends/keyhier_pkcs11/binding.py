"""Key handles, bound to whatever session does the next operation.

python-pkcs11 ties a key object to the session that found it and builds a new class for each,
with several calls to the token. A handle is good in every session of the login (PKCS#11 v3.1,
section 5.7), so the operations of python-pkcs11 are lent to a bare session and handle instead.
"""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast

from pkcs11 import _pkcs11, types
from pkcs11.exceptions import OperationActive, PKCS11Error

from keyhier.algorithms import MAX_RAW_BYTES
from keyhier_pkcs11.errors import too_small

if TYPE_CHECKING:
    from pkcs11.mechanisms import GCMParams, Mechanism
    from pkcs11.types import Object, Session

    from keyhier_pkcs11.module import Module

__all__ = ["BoundKey", "OtherKey", "handle_of"]

# More than any mechanism here adds to what it wraps: 16 bytes for AES-GCM, 15 for AES key wrap.
_OVERHEAD: Final = 64


class _Mechanism(ctypes.Structure):
    """CK_MECHANISM."""

    _fields_: ClassVar = [
        ("mechanism", ctypes.c_ulong),
        ("parameter", ctypes.c_void_p),
        ("length", ctypes.c_ulong),
    ]


class _GcmParameters(ctypes.Structure):
    """CK_GCM_PARAMS."""

    _fields_: ClassVar = [
        ("iv", ctypes.c_char_p),
        ("iv_bytes", ctypes.c_ulong),
        ("iv_bits", ctypes.c_ulong),
        ("aad", ctypes.c_char_p),
        ("aad_bytes", ctypes.c_ulong),
        ("tag_bits", ctypes.c_ulong),
    ]


class OtherKey(types.Key):
    """A key of the token that is wrapped by another, by its handle alone."""

    # python-pkcs11's properties would want the object that a search made.
    handle: int = 0

    def __init__(self, handle: int) -> None:
        self.handle = handle


class BoundKey(
    _pkcs11.EncryptMixin,  # type: ignore[misc,name-defined]  # Missing in python-pkcs11's stubs.
    _pkcs11.DecryptMixin,  # type: ignore[misc,name-defined]  # The same.
    _pkcs11.WrapMixin,  # type: ignore[misc,name-defined]  # The same.
    _pkcs11.UnwrapMixin,  # type: ignore[misc,name-defined]  # The same.
):
    """A key of the token in one session, with python-pkcs11's ``encrypt``, ``wrap_key``, ….

    Whether the key may do what is asked is for the token to say.

    python-pkcs11 gives each output the size that the module tells for it. NSS tells less than it
    then wants (AES-GCM, AES key wrap with padding) and answers CKR_BUFFER_TOO_SMALL. Then the
    call is made again here, with room enough (PKCS#11 v3.1, section 5.2).
    """

    # python-pkcs11's operations read these three; as class attributes they hide its properties.
    session: Any = None
    handle: int = 0
    # It only chooses a default mechanism, and every call here names one.
    key_type: Any = None

    def __init__(self, session: Session, handle: int, module: Module) -> None:
        self.session = session
        self.handle = handle
        self._module = module

    def encrypt(self, data: bytes, *, mechanism: Mechanism, mechanism_param: GCMParams) -> bytes:
        """Encrypt with C_Encrypt."""
        try:
            sealed: bytes = super().encrypt(
                data, mechanism=mechanism, mechanism_param=mechanism_param
            )
        except PKCS11Error as error:
            if not too_small(error):
                raise
            return self._encrypt_again(data, mechanism, mechanism_param)
        return sealed

    def wrap_key(self, key: Object | OtherKey, *, mechanism: Mechanism) -> bytes:
        """Wrap another key with C_WrapKey."""
        try:
            wrapped: bytes = super().wrap_key(key, mechanism=mechanism)
        except PKCS11Error as error:
            if not too_small(error):
                raise
            return self._call(
                "C_WrapKey",
                ctypes.byref(_Mechanism(mechanism)),
                ctypes.c_ulong(self.handle),
                ctypes.c_ulong(handle_of(key)),
                room=MAX_RAW_BYTES + _OVERHEAD,
            )
        return wrapped

    def _encrypt_again(self, data: bytes, mechanism: Mechanism, parameters: GCMParams) -> bytes:
        aad = parameters.aad or b""
        given = _GcmParameters(
            parameters.nonce,
            len(parameters.nonce),
            len(parameters.nonce) * 8,
            aad,
            len(aad),
            parameters.tag_bits,
        )
        started = _Mechanism(
            mechanism, ctypes.cast(ctypes.pointer(given), ctypes.c_void_p), ctypes.sizeof(given)
        )
        # The operation should still be active, but NSS has ended it.
        with suppress(OperationActive):
            session, handle = ctypes.c_ulong(self.session.handle), ctypes.c_ulong(self.handle)
            self._module.call("C_EncryptInit", session, ctypes.byref(started), handle)
        room = len(data) + _OVERHEAD
        return self._call("C_Encrypt", data, ctypes.c_ulong(len(data)), room=room)

    def _call(self, function: str, *arguments: object, room: int) -> bytes:
        output = ctypes.create_string_buffer(room)
        length = ctypes.c_ulong(room)
        session = ctypes.c_ulong(self.session.handle)
        self._module.call(function, session, *arguments, output, ctypes.byref(length))
        return output.raw[: length.value]


def handle_of(found: Object | OtherKey) -> int:
    """Return the handle of an object that python-pkcs11 found or made."""
    # Only objects that are no more than a template in memory have none.
    return cast("int", found.handle)
