"""How much fits, and that one byte more is told before the vault is asked."""

from __future__ import annotations

import os
from typing import Final

import pytest

from keyhier.algorithms import KeyType, WrapAlgorithm, capacity
from keyhier.errors import CapacityError, InvalidInputError
from keyhier.testing.contract.requirements import RAW, each_algorithm, each_family
from keyhier.testing.contract.under_test import VaultUnderTest
from keyhier.testing.counting import counted
from keyhier.vault import Key
from keyhier.wrapped import MAX_SECRET_BYTES

__all__ = ["Capacities"]

KEY_WRAP: Final = (WrapAlgorithm.A128KW, WrapAlgorithm.A192KW, WrapAlgorithm.A256KW)


def _watched(under_test: VaultUnderTest, algorithm: WrapAlgorithm) -> tuple[Key, list[str]]:
    """Return the shared key as seen through a driver that counts."""
    driver, calls = counted(under_test.driver)
    key = under_test.another_user(driver=driver).key(under_test.key(algorithm).id)
    calls.clear()
    return key, calls


class Capacities:
    """The edges of what can be wrapped."""

    @each_algorithm(RAW)
    def test_a_raw_wrap_takes_exactly_what_its_capacity_says(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key, calls = _watched(under_test, algorithm)
        limit = capacity(algorithm, key.spec)
        with pytest.raises(CapacityError):
            key.wrap_raw(bytes(limit + 1), algorithm)
        assert calls == []
        secret = os.urandom(limit)
        with key.unwrap_raw(key.wrap_raw(secret, algorithm), algorithm) as opened:
            assert opened == secret

    @each_algorithm(RAW)
    def test_an_empty_secret_is_refused(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key, calls = _watched(under_test, algorithm)
        with pytest.raises(InvalidInputError, match="empty"):
            key.wrap_raw(b"", algorithm)
        assert calls == []

    @each_algorithm(KEY_WRAP)
    def test_key_wrap_takes_at_least_16_bytes_in_multiples_of_8(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key, calls = _watched(under_test, algorithm)
        for length in (1, 8, 15, 17, 31, 33, 156):
            with pytest.raises(InvalidInputError):
                key.wrap_raw(bytes(length), algorithm)
        assert calls == []

    @each_algorithm(RAW)
    def test_bytes_that_cannot_be_a_raw_wrap_are_refused(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key, calls = _watched(under_test, algorithm)
        for length in (0, 1, 8, 1024 * 1024):
            with pytest.raises(InvalidInputError):
                key.unwrap_raw(bytes(length), algorithm)
        assert calls == []

    @each_family()
    def test_an_envelope_takes_48_kib_and_not_a_byte_more(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        with pytest.raises(CapacityError):
            key.wrap(bytes(MAX_SECRET_BYTES + 1))
        with pytest.raises(InvalidInputError):
            key.wrap(b"")

    @each_family()
    def test_a_context_that_other_libraries_would_refuse_is_refused(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        with pytest.raises(CapacityError):
            key.wrap(b"secret", context={"vm": "x" * 1024})

    @each_family()
    def test_sixteen_context_entries_are_bound(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        context = {f"n{number}": str(number) for number in range(16)}
        wrapped = key.wrap(b"secret", context=context)
        with under_test.vault.unwrap(str(wrapped), context=context) as opened:
            assert opened == b"secret"

    @each_family()
    def test_only_bytes_and_volume_keys_are_wrapped(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        for foreign in ("text", 1, None, [1, 2]):
            with pytest.raises(InvalidInputError):
                key.wrap(foreign)  # type: ignore[arg-type]  # That is the test.
