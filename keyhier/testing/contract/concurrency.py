"""Any method may be called from any thread at any time, and batches are in order and complete."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Final

import pytest

from keyhier.algorithms import KeyType
from keyhier.errors import AlreadyExistsError, UnwrapError
from keyhier.testing.contract.requirements import each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest, latest_keys
from keyhier.vault import Key

__all__ = ["Concurrency"]

THREADS: Final = 4
ROUNDS: Final = 12
PATIENCE: Final = 120.0  # Seconds until a thread that does not end counts as hung.


def _all_at_once(work: Callable[[int], object]) -> list[object]:
    """Run ``work`` in every thread at the same moment and return what each returned."""
    start = Barrier(THREADS)

    def run(thread: int) -> object:
        start.wait(PATIENCE)
        return work(thread)

    with ThreadPoolExecutor(THREADS) as pool:
        started = [pool.submit(run, thread) for thread in range(THREADS)]
        return [future.result(PATIENCE) for future in started]


class Concurrency:
    """Threads and batches."""

    @each_family()
    def test_threads_wrap_and_unwrap_with_one_key(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))

        def work(thread: int) -> None:
            for number in range(ROUNDS):
                secret = f"{thread}-{number}".encode()
                context = {"thread": str(thread)}
                wrapped = key.wrap(secret, context=context)
                with under_test.vault.unwrap(str(wrapped), context=context) as opened:
                    assert opened == secret
                with pytest.raises(UnwrapError):
                    under_test.vault.unwrap(wrapped)

        _all_at_once(work)

    @needs("rotates", "lifecycle")
    def test_threads_create_list_rotate_disable_and_delete_side_by_side(
        self, under_test: VaultUnderTest
    ) -> None:
        shared = under_test.any_key()
        first = shared.wrap(b"first")
        # RSA keys take a while to make.
        rounds = ROUNDS // 2 if under_test.can_family(KeyType.AES) else 2

        def work(thread: int) -> None:
            for number in range(rounds):
                own = under_test.any_key()
                secret = f"{thread}-{number}".encode()
                wrapped = own.wrap(secret)
                assert own.name in [listed.name for listed in latest_keys(under_test.vault)]
                newest = shared.rotate()
                with under_test.vault.unwrap(newest.wrap(secret)) as opened:
                    assert opened == secret
                own.disable()
                own.enable()
                with under_test.another_user().unwrap(wrapped) as opened:
                    assert opened == secret
                with under_test.vault.unwrap(first) as opened:
                    assert opened == b"first"
                under_test.destroy(own.name)

        _all_at_once(work)
        versions = under_test.another_user().key(shared.name).versions()
        assert len({version.id for version in versions}) == 1 + THREADS * rounds
        for version in versions:
            with under_test.vault.unwrap(version.wrap(b"secret")) as opened:
                assert opened == b"secret"

    def test_of_threads_that_want_one_name_one_gets_it(self, under_test: VaultUnderTest) -> None:
        name = under_test.new_name()
        spec, purpose = under_test.purpose_of(under_test.any_algorithm())

        def work(_: int) -> Key | None:
            try:
                return under_test.vault.create_key(name, spec, algorithm=purpose)
            except AlreadyExistsError:
                return None

        made = [key for key in _all_at_once(work) if isinstance(key, Key)]
        assert len(made) == 1
        assert [version.id for version in under_test.vault.key(name).versions()] == [made[0].id]

    @each_family()
    def test_a_batch_is_in_order_and_one_bad_item_spoils_no_other(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        secrets = [f"secret {number}".encode() for number in range(20)]
        items = ((secret, {"number": str(number)}) for number, secret in enumerate(secrets))
        sealed = [
            outcome.result() for outcome in under_test.vault.wrap_many(key, items, workers=THREADS)
        ]
        asked = [
            (wrapped, {"number": "wrong" if number == 7 else str(number)})
            for number, wrapped in enumerate(sealed)
        ]
        done: list[int] = []
        outcomes = list(under_test.vault.unwrap_many(asked, workers=THREADS, progress=done.append))
        assert [outcome.index for outcome in outcomes] == list(range(20))
        assert [outcome.index for outcome in outcomes if outcome.error] == [7]
        assert isinstance(outcomes[7].error, UnwrapError)
        for secret, outcome in zip(secrets, outcomes, strict=True):
            if outcome.index != 7:
                with outcome.result() as opened:
                    assert opened == secret
        assert done == list(range(1, 21))
