"""Many threads on one vault."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

from keyhier.algorithms import KeySpec
from keyhier.driver import CreateKey
from keyhier.errors import AlreadyExistsError, InvalidStateError, NotFoundError
from keyhier_memory.driver import MemoryDriver
from tests.memory.vaults import create_aes, open_memory, opened, seal

ROUNDS = 200


def together(*work: Callable[[], object]) -> None:
    """Run everything at once, and raise what any of it raised."""
    start = threading.Barrier(len(work))

    def run(one: Callable[[], object]) -> None:
        start.wait()
        one()

    with ThreadPoolExecutor(len(work)) as pool:
        for done in [pool.submit(run, one) for one in work]:
            done.result()


def test_rotating_unwrapping_and_disabling_at_once_lose_nothing() -> None:
    vault = open_memory()
    first = create_aes(vault)
    wrapped = seal(vault, first)
    outcomes: list[bytes | None] = []

    def rotate() -> None:
        for _ in range(ROUNDS):
            vault.rotate_key("kek")

    def unwrap() -> None:
        for _ in range(ROUNDS):
            try:
                outcomes.append(opened(vault, first, wrapped))
            except InvalidStateError:
                outcomes.append(None)

    def toggle() -> None:
        for _ in range(ROUNDS):
            assert not vault.set_enabled(first, enabled=False).enabled
            assert vault.set_enabled(first, enabled=True).enabled

    together(rotate, rotate, unwrap, unwrap, toggle)
    versions = [key.id.version for key in vault.list_versions("kek")]
    assert len(versions) == 2 * ROUNDS + 1
    assert versions == sorted(set(versions))
    assert len(outcomes) == 2 * ROUNDS
    assert set(outcomes) <= {bytes(range(32)), None}
    assert opened(vault, first, wrapped) == bytes(range(32))


def test_of_many_who_create_one_name_one_wins(driver: MemoryDriver) -> None:
    won: list[str] = []

    def create() -> None:
        with suppress(AlreadyExistsError):
            won.append(driver.create_key(CreateKey("kek", KeySpec.RSA_2048)).id.version)

    together(*[create] * 4)
    assert [key.id.version for key in driver.list_versions("kek")] == won


def test_of_many_who_delete_one_key_one_wins(driver: MemoryDriver) -> None:
    key = create_aes(driver)
    won: list[bool] = []

    def delete() -> None:
        try:
            driver.delete_key(key)
            won.append(True)
        except NotFoundError:
            won.append(False)

    together(*[delete] * 4)
    assert sorted(won) == [False, False, False, True]


def test_closing_under_work_ends_it_with_one_clear_error(driver: MemoryDriver) -> None:
    key = create_aes(driver)
    wrapped = seal(driver, key)
    working = threading.Event()

    def unwrap() -> None:
        try:
            while True:
                assert opened(driver, key, wrapped) == bytes(range(32))
                working.set()
        except InvalidStateError as error:
            assert "closed" in str(error)  # noqa: PT017  # It ends a loop, so pytest.raises does not fit.

    def change() -> None:
        try:
            while True:
                driver.rotate_key("kek")
        except InvalidStateError as error:
            assert "closed" in str(error)  # noqa: PT017  # As above.

    def close() -> None:
        working.wait()
        driver.close()

    together(unwrap, unwrap, change, close)
