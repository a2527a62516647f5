"""The vault's generator, from which disk keys can be made."""

from __future__ import annotations

import pytest

from keyhier.errors import InvalidInputError
from keyhier.testing.contract.requirements import needs
from keyhier.testing.contract.under_test import VaultUnderTest

__all__ = ["Randomness"]


class Randomness:
    """Random bytes."""

    @needs("random")
    def test_random_bytes_are_as_many_as_were_asked_for(self, under_test: VaultUnderTest) -> None:
        for length in (1, 31, 32, 33, 127, 4096, 1024 * 1024):
            with under_test.vault.random_bytes(length) as drawn:
                assert len(drawn) == length

    @needs("random")
    def test_random_bytes_never_come_twice(self, under_test: VaultUnderTest) -> None:
        drawn = {under_test.vault.random_bytes(16).reveal() for _ in range(256)}
        assert len(drawn) == 256

    @needs("random")
    def test_random_bytes_use_every_value(self, under_test: VaultUnderTest) -> None:
        # That one of 256 values is missing from 64 KiB has a probability below 10^-100.
        with under_test.vault.random_bytes(64 * 1024) as drawn:
            assert len(set(drawn.view())) == 256

    @pytest.mark.parametrize("length", [-1, 0, 1024 * 1024 + 1])
    def test_other_lengths_are_refused(self, under_test: VaultUnderTest, length: int) -> None:
        with pytest.raises(InvalidInputError):
            under_test.vault.random_bytes(length)
