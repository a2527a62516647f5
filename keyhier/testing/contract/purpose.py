"""A key serves one purpose, and the vault says what it can do before any work starts."""

from __future__ import annotations

import pytest

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.errors import InvalidInputError, UnsupportedError
from keyhier.testing.contract.requirements import RAW, each_algorithm, needs
from keyhier.testing.contract.under_test import VaultUnderTest

__all__ = ["Purpose"]

AES = [known for known in RAW if known.key_type is KeyType.AES]


class Purpose:
    """What a key may be used for."""

    @each_algorithm(AES)
    def test_promise_5_an_aes_version_is_for_one_algorithm_only(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        assert key.algorithms == (algorithm,)
        assert under_test.another_user().key(key.id).algorithms == (algorithm,)
        for other in RAW:
            if other is not algorithm:
                with pytest.raises(UnsupportedError, match=algorithm):
                    key.wrap(b"secret", algorithm=other)
                with pytest.raises(UnsupportedError, match=algorithm):
                    key.wrap_raw(bytes(32), other)
                with pytest.raises(UnsupportedError, match=algorithm):
                    key.unwrap_raw(bytes(64), other)

    @each_algorithm(AES, "rotates")
    def test_promise_5_a_rotated_key_is_for_the_same_algorithm(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        new = under_test.fresh_key(algorithm).rotate()
        assert new.algorithms == (algorithm,)
        assert under_test.another_user().key(new.id).algorithms == (algorithm,)

    @pytest.mark.parametrize("family", [KeyType.RSA])
    @needs()
    def test_an_rsa_key_can_do_what_the_vault_can(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        usable = {
            known
            for known in algorithms_for(key.spec)
            if known in under_test.capabilities.algorithms
        }
        assert set(key.algorithms) == usable
        assert len(key.algorithms) == len(usable)
        for other in AES:
            with pytest.raises(UnsupportedError, match=key.default_algorithm):
                key.wrap_raw(bytes(32), other)

    @pytest.mark.parametrize("algorithm", RAW)
    def test_an_algorithm_that_the_vault_lacks_is_refused_with_those_it_has(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        if algorithm in under_test.capabilities.algorithms:
            assert algorithm in under_test.key(algorithm).algorithms
            return
        able = under_test.capabilities
        with pytest.raises(UnsupportedError) as refused:
            under_test.fresh_key(algorithm).wrap_raw(bytes(32), algorithm)
        makes = under_test.spec_for(algorithm) in able.key_specs
        for known in able.algorithms if makes else able.key_specs:
            if known.key_type is algorithm.key_type or not makes:
                assert known in str(refused.value)

    @pytest.mark.parametrize("spec", KeySpec)
    def test_a_spec_that_the_vault_lacks_is_refused_with_those_it_has(
        self, under_test: VaultUnderTest, spec: KeySpec
    ) -> None:
        if spec in under_test.capabilities.key_specs:
            # Large RSA keys take seconds to make, and are not made here.
            if spec.bits <= 2048:
                usable = set(algorithms_for(spec)) & set(under_test.capabilities.algorithms)
                assert under_test.fresh_key(min(usable)).spec == spec
            return
        with pytest.raises(UnsupportedError, match=spec) as refused:
            under_test.vault.create_key(under_test.new_name(), spec)
        for known in under_test.capabilities.key_specs:
            assert known in str(refused.value)

    @pytest.mark.parametrize(
        ("spec", "algorithm"),
        [
            (spec, algorithm)
            for spec in KeySpec
            for algorithm in WrapAlgorithm
            # An RSA key is for all that fits it, so no algorithm is named when it is made.
            if spec.key_type is KeyType.RSA or algorithm not in algorithms_for(spec)
        ],
    )
    def test_a_key_is_not_made_for_an_algorithm_that_does_not_fit(
        self, under_test: VaultUnderTest, spec: KeySpec, algorithm: WrapAlgorithm
    ) -> None:
        with pytest.raises(InvalidInputError):
            under_test.vault.create_key(under_test.new_name(), spec, algorithm=algorithm)

    def test_what_the_vault_says_it_can_do_does_not_change(
        self, under_test: VaultUnderTest
    ) -> None:
        assert under_test.vault.capabilities == under_test.capabilities
        assert under_test.capabilities.key_specs
        assert under_test.capabilities.algorithms
