"""Raw wraps: the bare output of the KEK, for formats that demand it."""

from __future__ import annotations

import os
from typing import Final

import pytest

from keyhier.algorithms import GCM_IV_BYTES, WrapAlgorithm
from keyhier.errors import InvalidInputError, KeyhierError
from keyhier.testing.contract.forgery import flips, refusal, rejection
from keyhier.testing.contract.requirements import RAW, each_algorithm, needs
from keyhier.testing.contract.under_test import VaultUnderTest

__all__ = ["RawWraps"]

KEY_WRAP: Final = (WrapAlgorithm.A128KW, WrapAlgorithm.A192KW, WrapAlgorithm.A256KW)
DETERMINISTIC: Final = (*KEY_WRAP, WrapAlgorithm.A256KWP)
OPAQUE: Final = [algorithm for algorithm in RAW if algorithm is not WrapAlgorithm.RSA1_5]
# RFC 3394 takes 16 bytes and more in multiples of 8, the others any number.
SIZES: Final = [
    (algorithm, size)
    for algorithm in RAW
    for size in ((16, 24, 32, 40, 160) if algorithm in KEY_WRAP else (1, 31, 32, 33, 156, 172))
]
FITS_EVERYWHERE: Final = 32


class RawWraps:
    """Round trips without an envelope, and what must not open."""

    @pytest.mark.parametrize(("algorithm", "size"), SIZES)
    @needs()
    def test_a_raw_wrap_gives_back_what_was_wrapped(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm, size: int
    ) -> None:
        key = under_test.key(algorithm)
        secret = os.urandom(size)
        with key.unwrap_raw(key.wrap_raw(secret, algorithm), algorithm) as opened:
            assert opened == secret

    @each_algorithm(RAW)
    def test_zeros_at_either_end_of_a_secret_survive(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        for secret in (bytes(16) + bytes(range(16)), bytes(range(16)) + bytes(16), bytes(32)):
            with key.unwrap_raw(key.wrap_raw(secret, algorithm), algorithm) as opened:
                assert opened == secret

    @each_algorithm(RAW)
    def test_two_raw_wraps_differ_unless_the_algorithm_has_no_randomness(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        one, two = (key.wrap_raw(bytes(FITS_EVERYWHERE), algorithm) for _ in range(2))
        assert (one == two) is (algorithm in DETERMINISTIC)

    @each_algorithm(OPAQUE)
    def test_a_key_does_not_open_another_ones_raw_wrap(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        wrapped = under_test.key(algorithm).wrap_raw(os.urandom(FITS_EVERYWHERE), algorithm)
        refusal(under_test.other_key(algorithm).unwrap_raw, wrapped, algorithm)

    @each_algorithm(OPAQUE)
    def test_promise_3_an_altered_raw_wrap_does_not_open(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        for altered in flips(key.wrap_raw(os.urandom(FITS_EVERYWHERE), algorithm)):
            refusal(key.unwrap_raw, altered, algorithm)

    @each_algorithm(RAW)
    def test_a_truncated_raw_wrap_does_not_open(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        wrapped = key.wrap_raw(os.urandom(FITS_EVERYWHERE), algorithm)
        for length in range(len(wrapped)):
            rejection(key.unwrap_raw, wrapped[:length], algorithm)

    @needs()
    @pytest.mark.parametrize("algorithm", [WrapAlgorithm.RSA1_5])
    def test_rsa1_5_never_says_whether_the_padding_was_right(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        secret = os.urandom(FITS_EVERYWHERE)
        wrapped = key.wrap_raw(secret, algorithm)
        foreign = under_test.other_key(algorithm).wrap_raw(secret, algorithm)
        for damaged in (foreign, *flips(wrapped)):
            with key.unwrap_raw(damaged, algorithm) as garbage:
                assert garbage != secret

    @needs()
    @pytest.mark.parametrize("algorithm", [WrapAlgorithm.RSA1_5])
    def test_promise_5_rsa1_5_is_used_only_when_asked_for_by_name(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        assert algorithm in key.algorithms
        assert key.default_algorithm is not algorithm
        with pytest.raises(KeyhierError, match="only raw"):
            key.wrap(b"secret", algorithm=algorithm)

    @needs()
    @pytest.mark.parametrize("algorithm", [WrapAlgorithm.A256GCM])
    def test_additional_data_is_part_of_the_seal(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        wrapped = key.wrap_raw(b"secret", algorithm, aad=b"the disk")
        with key.unwrap_raw(wrapped, algorithm, aad=b"the disk") as opened:
            assert opened == b"secret"
        refusal(key.unwrap_raw, wrapped, algorithm, aad=b"another disk")
        refusal(key.unwrap_raw, wrapped, algorithm)
        without = key.wrap_raw(b"secret", algorithm)
        refusal(key.unwrap_raw, without, algorithm, aad=b"the disk")

    @each_algorithm([known for known in RAW if known is not WrapAlgorithm.A256GCM])
    def test_no_other_algorithm_takes_additional_data(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        wrapped = key.wrap_raw(bytes(FITS_EVERYWHERE), algorithm)
        with pytest.raises(InvalidInputError, match="additional data"):
            key.wrap_raw(bytes(FITS_EVERYWHERE), algorithm, aad=b"the disk")
        with pytest.raises(InvalidInputError, match="additional data"):
            key.unwrap_raw(wrapped, algorithm, aad=b"the disk")

    @needs()
    @pytest.mark.parametrize("algorithm", [WrapAlgorithm.A256GCM, WrapAlgorithm.A256GCMKW])
    def test_no_iv_comes_twice(self, under_test: VaultUnderTest, algorithm: WrapAlgorithm) -> None:
        key = under_test.key(algorithm)
        ivs = {key.wrap_raw(bytes(32), algorithm)[:GCM_IV_BYTES] for _ in range(64)}
        assert len(ivs) == 64

    @each_algorithm([known for known in OPAQUE if known is not WrapAlgorithm.RSA_AES_KWP])
    def test_promise_3_the_driver_itself_says_nothing_but_that_it_does_not_open(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        version = under_test.driver.get_key(key.name, key.version)
        wrapped = key.wrap_raw(os.urandom(FITS_EVERYWHERE), algorithm)
        for altered in flips(wrapped, samples=4):
            refusal(under_test.driver.unwrap, version, algorithm, altered)
