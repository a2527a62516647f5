"""A module that hangs costs its caller the deadline and a worker thread, not the program."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey
from keyhier.errors import InvalidInputError, UnavailableError, UnwrapError
from keyhier.secret import SecretBytes
from keyhier_pkcs11.deadline import Deadline
from tests.pkcs11.function_list import Function, replaced

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver

NUMBER, POINTER = ctypes.c_ulong, ctypes.c_void_p
DECRYPT = [NUMBER, POINTER, NUMBER, POINTER, POINTER]
SLOTS = [ctypes.c_ubyte, POINTER, POINTER]
GCM = WrapAlgorithm.A256GCMKW


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Opened at the end at the latest, so that no thread is left hanging."""
    event = threading.Event()
    yield event
    event.set()


def until_threads_are(count: int) -> bool:
    end = time.monotonic() + 10
    while threading.active_count() > count and time.monotonic() < end:
        time.sleep(0.01)
    return threading.active_count() <= count


def test_a_call_that_hangs_costs_the_deadline_and_others_go_on(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, gate: threading.Event
) -> None:
    before = threading.active_count()
    driver = open_driver(f"{softhsm_token.uri}&timeout=0.5")
    key = driver.create_key(CreateKey("kek", KeySpec.AES_256, GCM))
    wrapped = driver.wrap(key, GCM, SecretBytes(b"s" * 32))

    def hanging(original: Function) -> Function:
        def decrypt(*arguments: object) -> int:
            gate.wait()
            return original(*arguments)

        return decrypt

    with replaced(softhsm_token.module_path, "C_Decrypt", DECRYPT, hanging):
        started = time.monotonic()
        with pytest.raises(UnavailableError, match=r"within 0\.5 seconds"):
            driver.unwrap(key, GCM, wrapped)
        assert 0.4 < time.monotonic() - started < 5
        assert len(driver.random_bytes(9)) == 9
        gate.set()
        assert driver.unwrap(key, GCM, wrapped) == b"s" * 32
        driver.close()
        assert until_threads_are(before)


def test_a_module_that_hangs_for_ever_gathers_no_more_threads_than_the_bound(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, gate: threading.Event
) -> None:
    driver = open_driver(f"{softhsm_token.uri}&timeout=0.4&max-sessions=2")
    key = driver.create_key(CreateKey("kek", KeySpec.AES_256, GCM))
    wrapped = driver.wrap(key, GCM, SecretBytes(b"s" * 32))
    before = threading.active_count()

    def hanging(original: Function) -> Function:
        def decrypt(*arguments: object) -> int:
            gate.wait()
            return original(*arguments)

        return decrypt

    with replaced(softhsm_token.module_path, "C_Decrypt", DECRYPT, hanging):
        told = []
        for _ in range(5):
            with pytest.raises(UnavailableError) as caught:
                driver.unwrap(key, GCM, wrapped)
            told.append(caught.value.message)
        assert threading.active_count() <= before + 1
        assert told[-1].startswith("2 operations with the token hang")
        gate.set()
        assert driver.unwrap(key, GCM, wrapped) == b"s" * 32


def test_opening_has_the_deadline_too(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, gate: threading.Event
) -> None:
    def hanging(original: Function) -> Function:
        def get_slot_list(*arguments: object) -> int:
            gate.wait()
            return original(*arguments)

        return get_slot_list

    before = threading.active_count()
    with replaced(softhsm_token.module_path, "C_GetSlotList", SLOTS, hanging):
        with pytest.raises(UnavailableError, match=r"within 0\.2 seconds"):
            open_driver(f"{softhsm_token.uri}&timeout=0.2")
        gate.set()
        assert until_threads_are(before)
    assert open_driver(f"{softhsm_token.uri}&timeout=5").vault == softhsm_token.label


def test_a_login_that_comes_too_late_is_given_up(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, gate: threading.Event
) -> None:
    arguments = [NUMBER, NUMBER, POINTER, NUMBER]

    def hanging(original: Function) -> Function:
        def login(*given: object) -> int:
            gate.wait()
            return original(*given)

        return login

    before = threading.active_count()
    with replaced(softhsm_token.module_path, "C_Login", arguments, hanging):
        with pytest.raises(UnavailableError, match=r"within 0\.2 seconds"):
            open_driver(f"{softhsm_token.uri}&timeout=0.2")
        gate.set()
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
