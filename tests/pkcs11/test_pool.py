"""Sessions within a bound, none tested before use; and PINs, of which a refused one is let be."""

from __future__ import annotations

import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

import pytest

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey
from keyhier.errors import AuthenticationError, InvalidInputError, UnavailableError
from keyhier.secret import SecretBytes
from keyhier.testing.faults import Ckr, Native
from keyhier_pkcs11.pool import Permits

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.softhsm import SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver


def without_pin(token: SoftHsmToken) -> str:
    return token.uri.partition("&pin-source")[0]


def test_whoever_waits_too_long_for_a_session_is_told_the_bound() -> None:
    permits = Permits(2, patience=0.05)
    permits.take()
    permits.take()
    with pytest.raises(UnavailableError, match="all 2 sessions") as caught:
        permits.take()
    assert "max-sessions" in str(caught.value)
    permits.give_back()
    permits.take()


def test_a_permit_that_comes_free_ends_the_waiting() -> None:
    permits = Permits(1)
    permits.take()
    giving = threading.Timer(0.05, permits.give_back)
    giving.start()
    permits.take()
    giving.join()


def test_sessions_that_are_kept_leave_some_for_operations() -> None:
    permits = Permits(4, patience=0.05)
    for _ in range(2):
        permits.take_to_keep()
    with pytest.raises(UnavailableError, match="all 4 sessions"):
        permits.take_to_keep()
    permits.take()
    permits.take()
    permits.give_back_kept()
    # It waits for a session although one more may be kept, and gives that right back.
    permits.take()
    for _ in range(2):
        with pytest.raises(UnavailableError, match="all 4 sessions"):
            permits.take_to_keep()
    permits.give_back()
    permits.take_to_keep()


def test_many_threads_share_few_sessions(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    present, most = 0, 0
    lock = threading.Lock()

    def count(step: int, proceed: Native, *arguments: object) -> int:
        nonlocal present, most
        with lock:
            present += step
            most = max(most, present)
        return proceed(*arguments)

    with (
        faults.replace("C_OpenSession", partial(count, 1)),
        faults.replace("C_CloseSession", partial(count, -1)),
    ):
        driver = open_driver(f"{softhsm_token.uri}&max-sessions=3")
        key = driver.create_key(CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256KW))
        wrapped = driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))

        def work(_: int) -> bool:
            driver.get_key("kek")
            return driver.unwrap(key, WrapAlgorithm.A256KW, wrapped) == bytes(32)

        with ThreadPoolExecutor(8) as threads:
            assert all(threads.map(work, range(80)))
    # The one that logged in is none of the three.
    assert 2 <= most <= 4


def test_an_operation_makes_no_other_call_than_its_own(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    key = driver.create_key(CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256GCMKW))
    wrapped = driver.wrap(key, WrapAlgorithm.A256GCMKW, SecretBytes(bytes(32)))
    driver.unwrap(key, WrapAlgorithm.A256GCMKW, wrapped)
    faults.calls.clear()
    for _ in range(5):
        driver.unwrap(key, WrapAlgorithm.A256GCMKW, wrapped)
    made = Counter(call.function for call in faults.calls)
    assert made == {"C_DecryptInit": 5, "C_Decrypt": 10}


@pytest.mark.parametrize("wrong", ["0", "1", "-3", "many", "10000", "2.0", "٣"])
def test_a_bound_that_is_none_is_refused(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, wrong: str
) -> None:
    with pytest.raises(InvalidInputError, match="max-sessions"):
        open_driver(f"{softhsm_token.uri}&max-sessions={wrong}")


def test_a_refused_pin_is_not_tried_again_until_another_is_accepted(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    uri = without_pin(softhsm_token)
    with faults.delay("C_Login", 0) as logins:
        for _ in range(3):
            with pytest.raises(AuthenticationError) as caught:
                open_driver(uri, lambda _: "wrong-pin-17")
        assert len(logins.hits) == 1
        assert "not tried again" in str(caught.value)
        assert "wrong-pin-17" not in f"{caught.value!r} {caught.value}"
        with pytest.raises(AuthenticationError):
            open_driver(uri, lambda _: "wrong-pin-18")
        assert len(logins.hits) == 2
        open_driver(softhsm_token.uri).close()
        assert len(logins.hits) == 3
        # Somebody may have given the token its old PIN again.
        with pytest.raises(AuthenticationError):
            open_driver(uri, lambda _: "wrong-pin-17")
    assert len(logins.hits) == 4


def test_a_locked_pin_is_told_and_not_tried_again(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with faults.answer("C_Login", Ckr.PIN_LOCKED) as logins:
        for _ in range(2):
            with pytest.raises(AuthenticationError) as caught:
                open_driver(softhsm_token.uri)
            if len(logins.hits) == 1 and caught.value.native:
                assert caught.value.native == "C_Login: CKR_PIN_LOCKED"
    assert len(logins.hits) == 1
