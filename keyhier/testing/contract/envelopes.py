"""What is wrapped comes back, from the right key and from no other."""

from __future__ import annotations

import os
from typing import Final

import pytest

from keyhier.algorithms import KeyType, WrapAlgorithm
from keyhier.secret import SecretBytes
from keyhier.testing.contract.forgery import compose, refusal
from keyhier.testing.contract.requirements import ENVELOPE, each_algorithm, each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest
from keyhier.wrapped import MAX_SECRET_BYTES, WrappedKey

__all__ = ["Envelopes"]

CONTEXT: Final = {"vm": "web-01", "volume": "C:"}
# A BEK has 156 bytes, a Linux passphrase 172.
SIZES: Final = (1, 31, 32, 33, 156, 172, MAX_SECRET_BYTES)


class Envelopes:
    """Round trips through envelopes."""

    @pytest.mark.parametrize("size", SIZES)
    @pytest.mark.parametrize("algorithm", ENVELOPE)
    @needs()
    def test_an_envelope_gives_back_what_was_wrapped(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm, size: int
    ) -> None:
        key = under_test.key(algorithm)
        secret = os.urandom(size)
        wrapped = key.wrap(secret, context=CONTEXT, algorithm=algorithm)
        with under_test.vault.unwrap(str(wrapped), context=CONTEXT) as opened:
            assert opened == secret
        with key.unwrap(wrapped, context=CONTEXT) as opened:
            assert opened == secret

    @each_algorithm(ENVELOPE)
    def test_an_envelope_says_what_opens_it(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        wrapped = key.wrap(b"secret", context=CONTEXT, algorithm=algorithm)
        again = WrappedKey.parse(str(wrapped))
        assert again == wrapped
        assert again.kid == key.id
        assert again.algorithm == algorithm
        assert again.thumbprint == key.thumbprint
        assert again.context == CONTEXT
        assert again.content_type == "octet-stream"

    @each_algorithm(ENVELOPE)
    def test_two_wraps_of_one_secret_have_nothing_in_common(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        one, two = (key.wrap(bytes(32), algorithm=algorithm) for _ in range(2))
        assert one.encrypted_key != two.encrypted_key
        assert one.iv != two.iv
        assert one.ciphertext != two.ciphertext
        assert one.tag != two.tag
        if algorithm is WrapAlgorithm.A256GCMKW:
            assert one.header.key_iv != two.header.key_iv

    @each_algorithm(ENVELOPE)
    def test_a_key_refuses_an_envelope_that_names_another(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        wrapped = under_test.key(algorithm).wrap(b"secret", algorithm=algorithm)
        refusal(under_test.other_key(algorithm).unwrap, wrapped)

    @each_algorithm(ENVELOPE)
    def test_a_key_cannot_open_what_another_wrapped(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        other = under_test.other_key(algorithm)
        foreign = compose(
            under_test.key(algorithm),
            b"secret",
            algorithm=algorithm,
            kid=other.id,
            thumbprint=other.thumbprint,
        )
        refusal(other.unwrap, foreign)
        refusal(under_test.vault.unwrap, foreign)

    @each_algorithm(ENVELOPE)
    def test_an_envelope_that_another_library_made_opens(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        # Others know no `kth`; the kid alone names the key.
        made = compose(key, b"secret", algorithm=algorithm, context=CONTEXT)
        with under_test.vault.unwrap(str(made), context=CONTEXT) as opened:
            assert opened == b"secret"

    @each_family()
    def test_without_an_algorithm_the_default_is_used(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        assert key.default_algorithm is key.algorithms[0]
        wrapped = key.wrap(b"secret")
        assert wrapped.algorithm == key.default_algorithm
        with under_test.vault.unwrap(wrapped) as opened:
            assert opened == b"secret"

    def test_promise_6_a_secret_that_was_lent_is_neither_wiped_nor_changed(
        self, under_test: VaultUnderTest
    ) -> None:
        key = under_test.key(under_test.any_algorithm())
        with SecretBytes(b"lent") as secret:
            wrapped = key.wrap(secret)
            assert secret == b"lent"
        with under_test.vault.unwrap(wrapped) as opened:
            assert opened == b"lent"
            assert "lent" not in repr(opened)
