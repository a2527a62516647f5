"""A module that hangs costs its caller the deadline and a worker thread, not the program."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey
from keyhier.errors import InvalidInputError, UnavailableError, UnwrapError
from keyhier.secret import SecretBytes
from keyhier_pkcs11.deadline import Deadline

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.softhsm import SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver

GCM = WrapAlgorithm.A256GCMKW


def until_threads_are(count: int) -> bool:
    end = time.monotonic() + 10
    while threading.active_count() > count and time.monotonic() < end:
        time.sleep(0.01)
    return threading.active_count() <= count


def test_a_call_that_hangs_costs_the_deadline_and_others_go_on(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    before = threading.active_count()
    driver = open_driver(f"{softhsm_token.uri}&timeout=0.5")
    key = driver.create_key(CreateKey("kek", KeySpec.AES_256, GCM))
    wrapped = driver.wrap(key, GCM, SecretBytes(b"s" * 32))

    with faults.hang("C_Decrypt") as hang:
        started = time.monotonic()
        with pytest.raises(UnavailableError, match=r"within 0\.5 seconds"):
            driver.unwrap(key, GCM, wrapped)
        assert 0.4 < time.monotonic() - started < 5
        assert len(driver.random_bytes(9)) == 9
        hang.release()
        assert driver.unwrap(key, GCM, wrapped) == b"s" * 32
        driver.close()
        assert until_threads_are(before)


def test_a_module_that_hangs_for_ever_gathers_no_more_threads_than_the_bound(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(f"{softhsm_token.uri}&timeout=0.4&max-sessions=2")
    key = driver.create_key(CreateKey("kek", KeySpec.AES_256, GCM))
    wrapped = driver.wrap(key, GCM, SecretBytes(b"s" * 32))
    before = threading.active_count()

    with faults.hang("C_Decrypt") as hang:
        told = []
        for _ in range(5):
            with pytest.raises(UnavailableError) as caught:
                driver.unwrap(key, GCM, wrapped)
            told.append(caught.value.message)
        assert threading.active_count() <= before + 1
        assert told[-1].startswith("2 operations with the token hang")
        hang.release()
        assert driver.unwrap(key, GCM, wrapped) == b"s" * 32


def test_opening_has_the_deadline_too(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    before = threading.active_count()
    with faults.hang("C_GetSlotList") as hang:
        with pytest.raises(UnavailableError, match=r"within 0\.2 seconds"):
            open_driver(f"{softhsm_token.uri}&timeout=0.2")
        hang.release()
        assert until_threads_are(before)
    assert open_driver(f"{softhsm_token.uri}&timeout=5").vault == softhsm_token.label


def test_a_login_that_comes_too_late_is_given_up(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    before = threading.active_count()
    with faults.hang("C_Login") as hang:
        with pytest.raises(UnavailableError, match=r"within 0\.2 seconds"):
            open_driver(f"{softhsm_token.uri}&timeout=0.2")
        hang.release()
        assert until_threads_are(before)
    driver = open_driver(softhsm_token.uri)
    assert not driver._shared._users - {driver}


def test_errors_come_through_as_they_are(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    driver = open_driver(f"{softhsm_token.uri}&timeout=30")
    key = driver.create_key(CreateKey("kek", KeySpec.AES_256, GCM))
    with pytest.raises(UnwrapError) as caught:
        driver.unwrap(key, GCM, bytes(60))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert [found.id.name for found in driver.list_keys()] == ["kek"]
    assert GCM in driver.algorithms
    assert KeySpec.AES_256 in driver.key_specs


def test_without_a_deadline_no_thread_is_started(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    before = threading.active_count()
    driver = open_driver(softhsm_token.uri)
    driver.random_bytes(3)
    assert threading.active_count() == before


def test_promise_6_a_secret_that_comes_too_late_is_wiped() -> None:
    deadline = Deadline(0.05, 2)
    late = SecretBytes(b"late")
    gate, returned = threading.Event(), threading.Event()

    def slow() -> SecretBytes:
        gate.wait()
        returned.set()
        return late

    with pytest.raises(UnavailableError):
        deadline.run(slow)
    assert late == b"late"
    gate.set()
    assert returned.wait(10)
    # The next job has the same thread, so the first is over when it is done.
    before = threading.active_count()
    deadline.close()
    assert until_threads_are(before - 1)
    assert repr(late) == repr(_wiped())


def _wiped() -> SecretBytes:
    secret = SecretBytes(b"late")
    secret.wipe()
    return secret


@pytest.mark.parametrize("wrong", ["0", "0.0", "-1", "soon", "1e3", "inf", "nan", "1.", "٣"])
def test_a_timeout_that_is_none_is_refused(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, wrong: str
) -> None:
    with pytest.raises(InvalidInputError, match="timeout"):
        open_driver(f"{softhsm_token.uri}&timeout={wrong}")
