"""OpenedVault: one object for each key version, shared and brought up to date until it closes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import attrs
import pytest

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, Driver, KeyVersion, SupportsImport, SupportsRotation
from keyhier.errors import InvalidStateError, UnsupportedError
from keyhier.opened import OpenedVault
from keyhier_memory.driver import MemoryDriver
from keyhier_memory.store import MemoryStore


class WithoutRotation(MemoryDriver):
    rotate_key = None  # type: ignore[assignment]


@attrs.define(eq=False)
class Seen:
    version: KeyVersion
    updates: int = 0

    def update(self, version: KeyVersion) -> None:
        self.version = version
        self.updates += 1


@pytest.fixture
def driver() -> Driver:
    return MemoryDriver(MemoryStore())


@pytest.fixture
def version(driver: Driver) -> KeyVersion:
    return driver.create_key(CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256KW))


def test_one_version_is_one_object_that_is_brought_up_to_date(
    driver: Driver, version: KeyVersion
) -> None:
    opened = OpenedVault[Seen](driver, None)
    assert opened.known(version.id) is None
    first = opened.adopt(version, Seen, Seen.update)
    again = opened.adopt(attrs.evolve(version, enabled=False), Seen, Seen.update)
    assert again is first is opened.known(version.id)
    assert (first.updates, first.version.enabled) == (1, False)
    assert opened.seen("kek") == [first]
    assert opened.seen("other") == []


def test_threads_that_adopt_a_version_at_once_get_one_object(
    driver: Driver, version: KeyVersion
) -> None:
    opened = OpenedVault[Seen](driver, None)
    barrier = Barrier(8, timeout=30)

    def adopt(_: int) -> int:
        barrier.wait()
        return id(opened.adopt(version, Seen, Seen.update))

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(adopt, range(8)))) == 1


def test_a_closed_vault_gives_no_driver(driver: Driver) -> None:
    opened = OpenedVault[Seen](driver, None)
    assert opened.driver is driver
    opened.close()
    opened.close()
    for refused in (
        lambda: opened.driver,
        opened.require_open,
        lambda: opened.capable(SupportsImport, "import keys"),
    ):
        with pytest.raises(InvalidStateError, match="the vault is closed"):
            refused()


def test_what_a_driver_cannot_do_is_told(driver: Driver) -> None:
    able = OpenedVault[Seen](driver, None).capable(SupportsRotation, "rotate keys")
    assert able.rotate_key.__self__ is driver  # type: ignore[attr-defined]
    with pytest.raises(UnsupportedError, match="this memory: vault cannot rotate keys"):
        OpenedVault[Seen](WithoutRotation(MemoryStore()), None).capable(
            SupportsRotation, "rotate keys"
        )


def test_whether_anybody_is_told_is_known(driver: Driver) -> None:
    assert not OpenedVault[Seen](driver, None).audited
    assert OpenedVault[Seen](driver, lambda _: None).audited
