"""A module that does not keep threads apart, by its profile, carries out one operation at a time.

SoftHSM stands for it, under the profile of one that does not.
"""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, KeyVersion
from keyhier.errors import NotFoundError, UnwrapError
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.function_list import Native
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver

GCM, KW = WrapAlgorithm.A256GCMKW, WrapAlgorithm.A256KW
THREADS = 6
# What touches the objects of sessions, or what they are found by.
TOUCHING = (
    "C_CloseSession",
    "C_CreateObject",
    "C_Decrypt",
    "C_DestroyObject",
    "C_FindObjectsInit",
    "C_GenerateKey",
    "C_UnwrapKey",
    "C_WrapKey",
)


class Use:
    """A driver with keys, and everything that can be done with it."""

    def __init__(self, driver: Pkcs11Driver) -> None:
        self.driver = driver
        self.gcm = driver.create_key(CreateKey("gcm", KeySpec.AES_256, GCM))
        self.kw = driver.create_key(CreateKey("kw", KeySpec.AES_256, KW))

    def opens(self, key: KeyVersion, algorithm: WrapAlgorithm) -> bool:
        wrapped = self.driver.wrap(key, algorithm, SecretBytes(b"s" * 32))
        return self.driver.unwrap(key, algorithm, wrapped) == b"s" * 32

    def everything(self, number: int) -> bool:
        name = f"own-{number}"
        own = self.driver.create_key(CreateKey(name, KeySpec.AES_256, KW))
        with pytest.raises(UnwrapError):
            self.driver.unwrap(self.gcm, GCM, bytes(60))
        with pytest.raises(NotFoundError):
            self.driver.get_key(f"missing-{number}")
        wrapped = self.driver.wrap(own, KW, SecretBytes(bytes(32)))
        held = self.driver.unwrap_into(
            own, KW, wrapped, GCM, KeyId("record", "hierarchy", name, "1")
        )
        right = self.opens(self.gcm, GCM) and self.opens(self.kw, KW) and self.opens(held, GCM)
        self.driver.discard(held)
        self.driver.rotate_key(name)
        self.driver.delete_key(own)
        return right and len(self.driver.random_bytes(9)) == 9


def most_at_once(use: Use, faults: Faults) -> int:
    """Return how many threads at most were in the module's functions at the same time."""
    inside, most = 0, 0
    lock = threading.Lock()

    def count(proceed: Native, *arguments: object) -> int:
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
        time.sleep(0.002)
        try:
            return proceed(*arguments)
        finally:
            with lock:
                inside -= 1

    for function in TOUCHING:
        faults.replace(function, count)
    with ThreadPoolExecutor(THREADS) as threads:
        assert all(threads.map(use.everything, range(2 * THREADS)))
    faults.clear()
    return most


def test_one_operation_runs_at_a_time_where_the_profile_says_so(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(f"{softhsm_token.uri}&profile=opencryptoki")
    assert most_at_once(Use(driver), faults) == 1


def test_others_run_side_by_side(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    assert most_at_once(Use(open_driver(softhsm_token.uri)), faults) > 1


def test_threads_that_take_turns_over_few_sessions_do_not_wait_for_each_other_for_ever(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    # One for each key that is unwrapped into the token, and one to use it with; a trial takes two.
    driver = open_driver(f"{softhsm_token.uri}&profile=opencryptoki&max-sessions=6")
    use = Use(driver)
    with ThreadPoolExecutor(THREADS) as threads:
        running = [threads.submit(use.opens, use.kw, KW) for _ in range(20)]
        running += [threads.submit(use.everything, number) for number in range(4)]
        faults.lose_sessions()
        assert all(each.result(60) for each in running)
