"""PKCS#11 return codes in keyhier's errors."""

from __future__ import annotations

import pytest
from pkcs11 import exceptions

from keyhier.errors import (
    AccessDeniedError,
    AuthenticationError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from keyhier_pkcs11.errors import code_of, translated

NOT_CODES = {"MultipleObjectsReturned", "MultipleTokensReturned", "NoSuchKey", "NoSuchToken"}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.PinIncorrect(), "CKR_PIN_INCORRECT"),
        (exceptions.TokenNotRecognised(), "CKR_TOKEN_NOT_RECOGNIZED"),
        (exceptions.FunctionCancelled(), "CKR_FUNCTION_CANCELED"),
        (exceptions.RandomNoRNG(), "CKR_RANDOM_NO_RNG"),
        (exceptions.SlotIDInvalid(), "CKR_SLOT_ID_INVALID"),
        (exceptions.SessionReadWriteSOExists(), "CKR_SESSION_READ_WRITE_SO_EXISTS"),
        (exceptions.AnotherUserAlreadyLoggedIn(), "CKR_USER_ANOTHER_ALREADY_LOGGED_IN"),
        (exceptions.UserAlreadyLoggedIn(), "CKR_USER_ALREADY_LOGGED_IN"),
        (exceptions.PKCS11Error("Unmapped error code 0x68"), "CKR_KEY_FUNCTION_NOT_PERMITTED"),
        (exceptions.PKCS11Error("Unmapped error code 0x80000001"), "CKR 0x80000001"),
        (
            exceptions.PKCS11Error(
                "Initialisation error (not initialized). Should never see this."
            ),
            "CKR_CRYPTOKI_NOT_INITIALIZED",
        ),
        (
            exceptions.PKCS11Error("Buffer was too small. Should never see this."),
            "CKR_BUFFER_TOO_SMALL",
        ),
        (exceptions.PKCS11Error("something else"), "CKR unknown"),
    ],
)
def test_a_return_code_has_its_name(error: exceptions.PKCS11Error, code: str) -> None:
    assert code_of(error) == code


def test_every_code_of_the_library_has_a_name() -> None:
    for name, kind in vars(exceptions).items():
        if isinstance(kind, type) and kind is not exceptions.PKCS11Error and name not in NOT_CODES:
            assert code_of(kind()).startswith("CKR_")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (exceptions.PinLocked(), AuthenticationError),
        (exceptions.TokenWriteProtected(), AccessDeniedError),
        (exceptions.MechanismInvalid(), UnsupportedError),
        (exceptions.ObjectHandleInvalid(), NotFoundError),
        (exceptions.DeviceRemoved(), UnavailableError),
        (exceptions.PKCS11Error("Unmapped error code 0x68"), InvalidStateError),
        (exceptions.KeyTypeInconsistent(), InvalidStateError),
    ],
)
def test_an_error_is_of_the_tree_and_names_the_call(
    error: exceptions.PKCS11Error, kind: type[KeyhierError]
) -> None:
    found = translated(error, "C_Sign", "a test")
    assert type(found) is kind
    assert found.native == f"C_Sign: {code_of(error)}"
