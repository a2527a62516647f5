"""timeout= of single calls: which operations of the driver get the time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import keyhier
from keyhier import Vault
from keyhier.driver import Driver
from keyhier.errors import InvalidInputError, UnsupportedError
from keyhier_memory.driver import MemoryDriver
from keyhier_memory.store import MemoryStore
from tests.odd_vault import OddDriver

SECRET = b"what opens the disk"


class Timed(MemoryDriver):
    """A memory vault that notes what times it was given."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self.given: list[float] = []

    def within(self, seconds: float) -> MemoryDriver:
        self.given.append(seconds)
        return self

    def taken(self) -> list[float]:
        given, self.given = self.given, []
        return given


@pytest.fixture
def driver() -> Timed:
    return Timed(MemoryStore())


@pytest.fixture
def vault(driver: Timed) -> Iterator[Vault]:
    with Vault(driver, uri="memory:") as vault:
        yield vault


def test_each_operation_in_the_vault_gets_the_time(vault: Vault, driver: Timed) -> None:
    key = vault.create_key("kek", "AES-256")
    envelope = key.wrap(SECRET, timeout=1)
    assert set(driver.taken()) == {1}
    assert key.unwrap(envelope, timeout=2.5) == SECRET
    assert set(driver.taken()) == {2.5}
    assert vault.unwrap(envelope, timeout=3) == SECRET
    assert set(driver.taken()) == {3}
    raw = key.wrap_raw(bytes(16), timeout=4)
    assert key.unwrap_raw(raw, timeout=4) == bytes(16)
    assert set(driver.taken()) == {4}
    assert len(vault.random_bytes(8, timeout=5)) == 8
    assert set(driver.taken()) == {5}
    with key.unwrap_into(key.wrap_raw(bytes(32)), key_id="record:fleet/web/1", timeout=6) as held:
        assert set(driver.taken()) == {6}
        held.unwrap(held.wrap(SECRET, timeout=7), timeout=7)
        held.unwrap_raw(held.wrap_raw(bytes(16), timeout=7), timeout=7)
        assert set(driver.taken()) == {7}
    wrapped = [each.value for each in vault.wrap_many(key, [(SECRET, None)] * 3, timeout=8)]
    assert set(driver.taken()) == {8}
    items = [(each, None) for each in wrapped if each]
    assert [each.value for each in vault.unwrap_many(items, timeout=9)] == [SECRET] * 3
    assert set(driver.taken()) == {9}


def test_a_vault_that_finds_the_key_first_gives_that_the_time_too(driver: Timed) -> None:
    with Vault(driver, uri="memory:") as first:
        envelope = first.create_key("kek", "RSA-2048").wrap(SECRET)
        with Vault(driver, uri="memory:") as second:
            assert second.unwrap(envelope, timeout=1) == SECRET
            assert driver.taken() == [1, 1]


def test_without_a_time_none_is_given(vault: Vault, driver: Timed) -> None:
    key = vault.create_key("kek", "AES-256")
    assert vault.unwrap(key.wrap(SECRET)) == SECRET
    assert driver.taken() == []


@pytest.mark.parametrize("timeout", [0, -1, float("nan"), float("inf"), True])
def test_what_is_no_time_is_refused(timeout: float, vault: Vault) -> None:
    key = vault.create_key("kek", "AES-256")
    with pytest.raises(InvalidInputError, match="a timeout is a number of seconds above 0"):
        key.wrap(SECRET, timeout=timeout)


def test_a_vault_that_knows_no_timeouts_says_so() -> None:
    driver: Driver = OddDriver()
    with Vault(driver, uri="memory:") as vault:
        key = vault.create_key("kek", "AES-256")
        assert not vault.capabilities.timeouts
        with pytest.raises(UnsupportedError, match="this memory: vault knows no timeouts"):
            key.wrap(SECRET, timeout=1)


def test_a_memory_vault_is_never_late() -> None:
    with keyhier.open("memory:") as vault:
        assert vault.capabilities.timeouts
        key = vault.create_key("kek", "AES-256")
        assert vault.unwrap(key.wrap(SECRET, timeout=0.001), timeout=0.001) == SECRET


def test_a_credential_is_for_a_vault_that_takes_one() -> None:
    with pytest.raises(InvalidInputError, match="this kind of vault takes no credential"):
        keyhier.open("memory:", credential=object())
