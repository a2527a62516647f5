"""A module that hangs costs its caller the deadline and a worker thread, not the program."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

import keyhier
from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, SupportsTimeout
from keyhier.errors import InvalidInputError, InvalidStateError, UnavailableError, UnwrapError
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier_pkcs11.deadline import Workers
from tests.pkcs11.operations import OPERATIONS, SECRET, Bench

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from cryptography.hazmat.primitives.asymmetric import rsa

    from keyhier.testing.faults import Faults
    from keyhier.testing.softhsm import SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver

GCM = WrapAlgorithm.A256GCMKW
KW = WrapAlgorithm.A256KW


def until_threads_are(count: int) -> bool:
    end = time.monotonic() + 10
    while threading.active_count() > count and time.monotonic() < end:
        time.sleep(0.01)
    return threading.active_count() <= count


@pytest.fixture
def bench(softhsm_token: SoftHsmToken, rsa_key: rsa.RSAPrivateKey) -> Iterator[Bench]:
    """A token with known keys, open without a limit."""
    made = Bench(softhsm_token, rsa_key)
    yield made
    made.driver.close()


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_limit_for_one_call_holds_whatever_the_operation(
    bench: Bench, faults: Faults, name: str
) -> None:
    operation, unlimited = OPERATIONS[name], bench.driver
    operation.prepare(bench)
    before = threading.active_count()

    assert isinstance(unlimited, SupportsTimeout)
    bench.driver = unlimited.within(0.2)
    with faults.hang("C_*") as hang:
        started = time.monotonic()
        with pytest.raises(UnavailableError, match=r"within 0\.2 seconds"):
            operation.run(bench)
        assert 0.1 < time.monotonic() - started < 5
        assert threading.active_count() == before + 1
        hang.release()
        unlimited.close()
        # What was given up comes to its end before the token is gone.
        assert until_threads_are(before)
    bench.driver = bench.open()
    assert bench.driver.unwrap(bench.kw, KW, bench.under_kw) == SECRET


def test_a_key_has_the_limit_that_its_caller_gives(
    softhsm_token: SoftHsmToken, faults: Faults
) -> None:
    before = threading.active_count()
    vault = keyhier.open(softhsm_token.uri)
    kek = vault.create_key("kek", "AES-256")
    envelope = kek.wrap(b"secret", timeout=30)
    raw = kek.wrap_raw(bytes(32))
    calls: list[Callable[[], object]] = [
        lambda: vault.unwrap(envelope, timeout=0.2),
        lambda: kek.unwrap_raw(raw, timeout=0.2),
        lambda: kek.wrap(b"secret", timeout=0.2),
        lambda: vault.random_bytes(3, timeout=0.2),
    ]
    with faults.hang("C_*") as hang:
        for call in calls:
            with pytest.raises(UnavailableError, match=r"within 0\.2 seconds"):
                call()
        assert threading.active_count() == before + len(calls)
        hang.release()
        with vault.unwrap(envelope, timeout=30) as secret:
            assert secret == b"secret"
        vault.close()
        assert until_threads_are(before)


def test_a_limit_for_one_call_takes_the_place_of_the_vault_s(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    short = open_driver(f"{softhsm_token.uri}&timeout=0.1")
    with faults.delay("C_GenerateRandom", 0.3):
        with pytest.raises(UnavailableError, match=r"within 0\.1 seconds"):
            short.random_bytes(3)
        assert len(short.within(10).random_bytes(3)) == 3
        with pytest.raises(UnavailableError, match=r"within 0\.05 seconds"):
            short.within(10).within(0.05).random_bytes(3)


def test_limits_of_one_vault_share_its_threads(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(f"{softhsm_token.uri}&timeout=30&max-sessions=2")
    with faults.hang("C_GenerateRandom"):
        told = []
        for seconds in (0.1, 0.15, 0.2):
            with pytest.raises(UnavailableError) as caught:
                driver.within(seconds).random_bytes(3)
            told.append(caught.value.message)
    assert told[-1].startswith("2 operations with the token hang")
    assert len(driver.random_bytes(3)) == 3


def test_a_view_with_a_limit_is_the_same_vault(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    before = threading.active_count()
    driver = open_driver(softhsm_token.uri)
    view = driver.within(10)
    made = view.create_key(CreateKey("kek", KeySpec.AES_256, GCM))
    assert driver.get_key("kek") == made
    view.close()
    for each in (driver, view):
        with pytest.raises(InvalidStateError, match="closed"):
            each.get_key("kek")
    assert not driver._shared.in_use
    assert until_threads_are(before)


def test_a_key_that_comes_into_the_token_too_late_is_let_go(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    before = threading.active_count()
    driver = open_driver(softhsm_token.uri)
    outer = driver.create_key(CreateKey("outer", KeySpec.AES_256, KW))
    wrapped = driver.wrap(outer, KW, SecretBytes(bytes(32)))
    named = KeyId.parse("record:fleet/web/1")
    driver.discard(driver.unwrap_into(outer, KW, wrapped, KW, named))

    destroyed = faults.count("C_DestroyObject")
    with faults.hang("C_UnwrapKey") as hang:
        with pytest.raises(UnavailableError, match="within"):
            driver.within(0.2).unwrap_into(outer, KW, wrapped, KW, named)
        hang.release()
        end = time.monotonic() + 10
        while faults.under_way() or faults.count("C_DestroyObject") == destroyed:
            assert time.monotonic() < end
            time.sleep(0.01)
    with driver._shared.session() as session:
        assert len(list(session.get_objects())) == 1
    driver.close()
    assert until_threads_are(before)


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
    assert not driver._shared._users - {driver._vault}


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
    workers = Workers(2)
    late = SecretBytes(b"late")
    gate, returned = threading.Event(), threading.Event()

    def slow() -> SecretBytes:
        gate.wait()
        returned.set()
        return late

    with pytest.raises(UnavailableError):
        workers.run(slow, 0.05)
    assert late == b"late"
    gate.set()
    assert returned.wait(10)
    # The next job has the same thread, so the first is over when it is done.
    before = threading.active_count()
    workers.close()
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
