"""What a PKCS#11 return code means for keyhier.

python-pkcs11 raises one class for each return code that it knows and a bare ``PKCS11Error`` with
a sentence for the others; here both become ``C_Function: CKR_CODE``.
"""

from __future__ import annotations

import re
from typing import Final

from pkcs11 import exceptions as ckr
from pkcs11.exceptions import PKCS11Error

from keyhier.errors import (
    AccessDeniedError,
    AuthenticationError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)

__all__ = [
    "INCAPABLE",
    "REFUSED_TEMPLATE",
    "REJECTED",
    "STALE_HANDLE",
    "ambiguous",
    "clearly_lost",
    "code_of",
    "lost",
    "native",
    "not_permitted",
    "too_small",
    "translated",
    "unknown",
]

_KEY_FUNCTION_NOT_PERMITTED: Final = "CKR_KEY_FUNCTION_NOT_PERMITTED"
_NOT_INITIALIZED: Final = "CKR_CRYPTOKI_NOT_INITIALIZED"

# Where python-pkcs11's spelling is not the standard's in other letters.
_IRREGULAR: Final = {
    "AnotherUserAlreadyLoggedIn": "CKR_USER_ANOTHER_ALREADY_LOGGED_IN",
    "FunctionCancelled": "CKR_FUNCTION_CANCELED",
    "RandomNoRNG": "CKR_RANDOM_NO_RNG",
    "SessionReadWriteSOExists": "CKR_SESSION_READ_WRITE_SO_EXISTS",
    "SlotIDInvalid": "CKR_SLOT_ID_INVALID",
    "TokenNotRecognised": "CKR_TOKEN_NOT_RECOGNIZED",
}
# What a bare PKCS11Error's sentence says (python-pkcs11's map_rv_to_error).
_SENTENCES: Final = {
    "not initialized": _NOT_INITIALIZED,
    "already initialized": "CKR_CRYPTOKI_ALREADY_INITIALIZED",
    "too small": "CKR_BUFFER_TOO_SMALL",
    "Parallel": "CKR_SESSION_PARALLEL_NOT_SUPPORTED",
    "User type": "CKR_USER_TYPE_INVALID",
}
# Codes that it does not know but that a token may well answer (pkcs11t.h).
_NUMBERS: Final = {
    "0x68": _KEY_FUNCTION_NOT_PERMITTED,
    "0x1b": "CKR_ACTION_PROHIBITED",
}
_UNMAPPED: Final = re.compile(r"Unmapped error code (0x[0-9a-f]+)")
_WORD: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")

REJECTED: Final = (
    ckr.EncryptedDataInvalid,
    ckr.EncryptedDataLenRange,
    ckr.WrappedKeyInvalid,
    ckr.WrappedKeyLenRange,
)
"""The key rejects what it is to unwrap."""

INCAPABLE: Final = (
    ckr.AttributeReadOnly,
    ckr.AttributeTypeInvalid,
    ckr.AttributeValueInvalid,
    ckr.FunctionRejected,
    ckr.FunctionNotSupported,
    ckr.KeyNotWrappable,
    ckr.KeySizeRange,
    ckr.KeyTypeInconsistent,
    ckr.MechanismInvalid,
    ckr.MechanismParamInvalid,
    ckr.TemplateIncomplete,
    ckr.TemplateInconsistent,
)
"""What a token answers to what it cannot do, whatever the values are."""

REFUSED_TEMPLATE: Final = (
    ckr.AttributeReadOnly,
    ckr.AttributeTypeInvalid,
    ckr.AttributeValueInvalid,
    ckr.TemplateInconsistent,
)
"""What a token answers to a template that its policy does not allow."""

_AMBIGUOUS: Final = (
    ckr.ArgumentsBad,
    ckr.DataInvalid,
    ckr.DataLenRange,
    ckr.DeviceError,
    ckr.FunctionFailed,
    ckr.GeneralError,
)

STALE_HANDLE: Final = (
    ckr.KeyHandleInvalid,
    ckr.ObjectHandleInvalid,
    ckr.UnwrappingKeyHandleInvalid,
    ckr.WrappingKeyHandleInvalid,
)
"""The object that a handle meant is not there any more."""

_LOST: Final = (
    ckr.DeviceError,
    ckr.DeviceRemoved,
    ckr.OperationActive,
    ckr.OperationNotInitialized,
    ckr.SessionClosed,
    ckr.SessionHandleInvalid,
    ckr.SlotIDInvalid,
    ckr.TokenNotPresent,
    ckr.TokenNotRecognised,
    ckr.UserNotLoggedIn,
)

_KINDS: Final[tuple[tuple[type[KeyhierError], tuple[type[PKCS11Error], ...]], ...]] = (
    (
        AuthenticationError,
        (
            ckr.PinExpired,
            ckr.PinIncorrect,
            ckr.PinInvalid,
            ckr.PinLenRange,
            ckr.PinLocked,
            ckr.UserNotLoggedIn,
            ckr.UserPinNotInitialized,
        ),
    ),
    (
        AccessDeniedError,
        (
            ckr.AttributeReadOnly,
            ckr.AttributeSensitive,
            ckr.FunctionRejected,
            ckr.SessionReadOnly,
            ckr.TokenWriteProtected,
        ),
    ),
    (
        UnsupportedError,
        (
            ckr.AttributeTypeInvalid,
            ckr.AttributeValueInvalid,
            ckr.FunctionNotSupported,
            ckr.KeyNotWrappable,
            ckr.KeySizeRange,
            ckr.KeyUnextractable,
            ckr.MechanismInvalid,
            ckr.MechanismParamInvalid,
            ckr.RandomNoRNG,
            ckr.TemplateIncomplete,
            ckr.TemplateInconsistent,
            ckr.UnwrappingKeyTypeInconsistent,
            ckr.WrappingKeyTypeInconsistent,
        ),
    ),
    (NotFoundError, STALE_HANDLE),
)


def code_of(error: PKCS11Error) -> str:
    """Return the name of the return code, such as ``CKR_PIN_INCORRECT``."""
    name = type(error).__name__
    if type(error) is not PKCS11Error:
        return _IRREGULAR.get(name) or "CKR_" + _WORD.sub("_", name).upper()
    sentence = str(error)
    if unmapped := _UNMAPPED.fullmatch(sentence):
        return _NUMBERS.get(unmapped[1], f"CKR {unmapped[1]}")
    return next((code for said, code in _SENTENCES.items() if said in sentence), "CKR unknown")


def native(function: str, error: PKCS11Error) -> str:
    """Return what failed for :attr:`KeyhierError.native`: the function and the code."""
    return f"{function}: {code_of(error)}"


def not_permitted(error: PKCS11Error) -> bool:
    """Whether the key's usage attributes forbid the operation, as they do on a disabled key.

    NSS says CKR_KEY_TYPE_INCONSISTENT. Keys are not used here with mechanisms that are not for
    their type, so that it is not taken for the type.
    """
    return isinstance(error, ckr.KeyTypeInconsistent) or (
        code_of(error) == _KEY_FUNCTION_NOT_PERMITTED
    )


def too_small(error: PKCS11Error) -> bool:
    """Whether the module told a smaller size for its output than it then wants.

    NSS 3.87 does at C_WrapKey with CKM_AES_KEY_WRAP_KWP: it tells the size of the plaintext.
    """
    return code_of(error) == "CKR_BUFFER_TOO_SMALL"


def ambiguous(error: PKCS11Error) -> bool:
    """Whether the code may mean bad input as well as a failing token.

    A rejected OAEP ciphertext is CKR_GENERAL_ERROR on SoftHSM and CKR_FUNCTION_FAILED on
    opencryptoki, which are also what modules answer when the HSM is gone.
    """
    return isinstance(error, _AMBIGUOUS)


def unknown(error: PKCS11Error) -> bool:
    """Whether the code is none of the standard's that keyhier knows, such as a vendor's."""
    return code_of(error).startswith("CKR ")


def clearly_lost(error: BaseException) -> bool:
    """Whether the code says that the session, the login, the token or the module is gone.

    Args:
        error: what python-pkcs11 raised, or the error of keyhier's tree that it became.
    """
    cause = error if isinstance(error, PKCS11Error) else error.__cause__
    return isinstance(cause, PKCS11Error) and (
        isinstance(cause, _LOST) or code_of(cause) == _NOT_INITIALIZED
    )


def lost(error: BaseException) -> bool:
    """Whether the code says, or leaves open, that the token is gone.

    Args:
        error: as of :func:`clearly_lost`.
    """
    cause = error if isinstance(error, PKCS11Error) else error.__cause__
    return clearly_lost(error) or (isinstance(cause, PKCS11Error) and ambiguous(cause))


def translated(error: PKCS11Error, function: str, doing: str) -> KeyhierError:
    """Return the error of keyhier's tree for a failed call.

    Args:
        error: what python-pkcs11 raised.
        function: the PKCS#11 function that failed.
        doing: what was being done, to follow ``the token failed``.
    """
    if not_permitted(error):
        return InvalidStateError(
            f"the key is disabled, or not for {doing}", native=native(function, error)
        )
    for kind, classes in _KINDS:
        if isinstance(error, classes):
            return kind(f"{_SAID[kind]} {doing}", native=native(function, error))
    return UnavailableError(f"the token failed at {doing}", native=native(function, error))


_SAID: Final[dict[type[KeyhierError], str]] = {
    AuthenticationError: "the token does not accept the PIN, or wants one, for",
    AccessDeniedError: "the token refuses",
    UnsupportedError: "the token does not support",
    NotFoundError: "the object is gone from the token:",
}
