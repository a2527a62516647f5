"""RSA wraps are made with the public half, and nothing is asked of the vault for them."""

from __future__ import annotations

import pytest

from keyhier.algorithms import ENVELOPE_ALGORITHMS, KeyType, WrapAlgorithm
from keyhier.testing.contract.requirements import RAW, each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest
from keyhier.testing.counting import counted

__all__ = ["LocalWraps"]


class LocalWraps:
    """Who does the wrapping."""

    @pytest.mark.parametrize("algorithm", [known for known in RAW if known.key_type is KeyType.RSA])
    @needs()
    def test_an_rsa_wrap_asks_nothing_of_the_vault(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        driver, calls = counted(under_test.driver)
        key = under_test.another_user(driver=driver).key(under_test.key(algorithm).id)
        calls.clear()
        key.wrap_raw(bytes(32), algorithm)
        if algorithm in ENVELOPE_ALGORITHMS:
            key.wrap(b"secret", algorithm=algorithm)
        assert calls == []

    @each_family()
    def test_what_an_aes_key_wraps_is_opened_before_it_is_handed_out(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        driver, calls = counted(under_test.driver)
        shared = under_test.key(under_test.algorithm_of(family))
        key = under_test.another_user(driver=driver).key(shared.id)
        calls.clear()
        key.wrap(b"secret")
        assert calls == ([] if family is KeyType.RSA else ["wrap", "unwrap"])

    @each_family()
    def test_only_an_rsa_key_has_a_public_half(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        assert (key.public_key is not None) is (family is KeyType.RSA)
        assert (key.thumbprint is not None) is (family is KeyType.RSA)
        if key.public_key is not None:
            assert key.public_key.key_size == key.spec.bits
            again = under_test.another_user().key(key.id).public_key
            assert again is not None
            assert again.public_numbers() == key.public_key.public_numbers()
