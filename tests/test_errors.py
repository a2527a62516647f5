"""The errors: a closed set, readable, and whole after a way through pickle."""

from __future__ import annotations

import copy
import pickle

import pytest

from keyhier import errors
from keyhier.errors import AmbiguousError, KeyhierError, ThrottledError, UnwrapError

CLASSES = sorted(
    (getattr(errors, name) for name in errors.__all__), key=lambda found: str(found.__name__)
)
PLAIN = [found for found in CLASSES if found is not UnwrapError]


def test_the_set_is_the_one_that_is_documented() -> None:
    assert {found.__name__ for found in CLASSES} == {
        "KeyhierError",
        "NotFoundError",
        "AlreadyExistsError",
        "ConflictError",
        "AccessDeniedError",
        "AuthenticationError",
        "InvalidInputError",
        "InvalidStateError",
        "UnsupportedError",
        "AmbiguousError",
        "CapacityError",
        "UnwrapError",
        "IntegrityError",
        "ThrottledError",
        "UnavailableError",
        "PlacementError",
    }


@pytest.mark.parametrize("found", CLASSES)
def test_every_error_is_a_keyhier_error_one_level_deep(found: type[KeyhierError]) -> None:
    assert found is KeyhierError or found.__bases__ == (KeyhierError,)
    assert found.__doc__
    assert found.__name__ in str(errors.__doc__)


@pytest.mark.parametrize("found", PLAIN)
def test_an_error_says_what_failed_natively_and_what_to_do_next(found: type[KeyhierError]) -> None:
    error = found("the key is gone", native="C_Decrypt: CKR_DEVICE_ERROR", remedy="plug it in")
    assert str(error) == "the key is gone (C_Decrypt: CKR_DEVICE_ERROR); plug it in"
    assert str(found("the key is gone")) == "the key is gone"


def test_an_ambiguity_lists_its_candidates() -> None:
    error = AmbiguousError(
        "two tokens answer",
        candidates=["serial 1", "serial 2"],
        native="C_GetTokenInfo: CKR_OK",
        remedy="name the serial",
    )
    assert error.candidates == ("serial 1", "serial 2")
    assert str(error) == (
        "two tokens answer: serial 1, serial 2 (C_GetTokenInfo: CKR_OK); name the serial"
    )


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("found", PLAIN)
def test_an_error_survives_pickle(found: type[KeyhierError], protocol: int) -> None:
    error = found("the key is gone", native="C_X: CKR_Y", remedy="look")
    again = pickle.loads(pickle.dumps(error, protocol))
    assert type(again) is found
    assert (str(again), vars(again)) == (str(error), vars(error))


def test_what_an_error_carries_besides_survives_pickle_and_copy() -> None:
    ambiguous = AmbiguousError("two", candidates=["a", "b"])
    throttled = ThrottledError("slower", retry_after=1.5)
    assert pickle.loads(pickle.dumps(ambiguous)).candidates == ("a", "b")
    assert pickle.loads(pickle.dumps(throttled)).retry_after == 1.5
    assert copy.copy(ambiguous).candidates == ("a", "b")


def test_promise_3_an_unwrap_error_has_one_message_and_takes_no_other() -> None:
    error = UnwrapError()
    assert str(error) == str(UnwrapError())
    assert str(error).startswith("the wrapped key did not open")
    assert error.native is None
    with pytest.raises(TypeError):
        UnwrapError("the tag was wrong")  # type: ignore[call-arg]  # It is the point.


def test_promise_3_an_unwrap_error_is_the_same_after_pickle() -> None:
    again = pickle.loads(pickle.dumps(UnwrapError()))
    assert type(again) is UnwrapError
    assert (str(again), again.args) == (str(UnwrapError()), UnwrapError().args)
