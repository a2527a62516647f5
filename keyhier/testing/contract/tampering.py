"""Altered, truncated, recombined and foreign envelopes are refused, and nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, Final

import pytest

from keyhier.algorithms import KeyType, WrapAlgorithm
from keyhier.errors import InvalidInputError, UnsupportedError
from keyhier.testing.contract.forgery import (
    SEGMENTS,
    assemble,
    compose,
    flips,
    header_of,
    refusal,
    rejection,
    segments,
    with_header,
    with_header_text,
)
from keyhier.testing.contract.requirements import ENVELOPE, each_algorithm, each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest
from keyhier.testing.counting import counted
from keyhier.wrapped import WrappedKey

__all__ = ["Tampering"]

BOUND: Final = {"vm": "web-01"}

MALFORMED_MEMBERS: Final[dict[str, dict[str, object]]] = {
    "alg none": {"alg": "none"},
    "alg dir": {"alg": "dir"},
    "alg RSA1_5": {"alg": "RSA1_5"},
    "alg PBES2": {"alg": "PBES2-HS256+A128KW", "p2s": "c2FsdA", "p2c": 1},
    "alg A256KWP": {"alg": "A256KWP"},
    "alg missing": {"alg": None},
    "alg is a number": {"alg": 1},
    "enc A128GCM": {"enc": "A128GCM"},
    "enc A256CBC-HS512": {"enc": "A256CBC-HS512"},
    "enc missing": {"enc": None},
    "zip": {"zip": "DEF"},
    "crit": {"crit": ["exp"], "exp": 1},
    "crit empty": {"crit": []},
    "jku": {"jku": "https://contoso.example/keys"},
    "jwk": {"jwk": {"kty": "oct", "k": "AAAA"}},
    "kid missing": {"kid": None},
    "kid without a version": {"kid": "memory:kek"},
    "kid with a query": {"kid": "pkcs11:token=t;object=o;id=%01?module-path=/tmp/evil.so"},
    "kid with a fragment": {"kid": "memory:kek/1#2"},
    "kid is a path": {"kid": "file:///etc/passwd"},
    "ctx is a list": {"ctx": ["vm"]},
    "ctx holds a number": {"ctx": {"vm": 1}},
    "ctx is too large": {"ctx": {str(number): "x" for number in range(17)}},
    "the header is too long": {"ctx": {"vm": "x" * 1024}},
}

MALFORMED_TEXTS: Final[dict[str, Callable[[str], str]]] = {
    "a member twice": lambda text: with_header_text(
        text, json.dumps(header_of(text))[:-1] + ',"alg":"RSA-OAEP"}'
    ),
    "a header that is a list": lambda text: with_header_text(text, "[]"),
    "a header that is no JSON": lambda text: with_header_text(text, "{"),
    "four segments": lambda text: text.rpartition(".")[0],
    "six segments": lambda text: text + ".AAAA",
    "no segment": lambda _: "",
    "padding": lambda text: text + "==",
    "another alphabet": lambda text: text[:-3] + "+/+",
    "white space": lambda text: text + "\n",
    "an empty encrypted key": lambda text: _without(text, 1),
    "an empty IV": lambda text: _without(text, 2),
    "an empty ciphertext": lambda text: _without(text, 3),
    "an empty tag": lambda text: _without(text, 4),
    "a ciphertext of a megabyte": lambda text: assemble(
        [*segments(text)[:3], bytes(1024 * 1024), segments(text)[4]]
    ),
}


def _without(text: str, segment: int) -> str:
    parts = segments(text)
    parts[segment] = b""
    return assemble(parts)


class Tampering:
    """Nobody who changes an envelope learns anything by it."""

    @pytest.mark.parametrize("segment", range(5), ids=SEGMENTS)
    @pytest.mark.parametrize("algorithm", ENVELOPE)
    @needs()
    def test_promise_3_a_flipped_bit_does_not_open(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm, segment: int
    ) -> None:
        key = under_test.key(algorithm)
        parts = segments(key.wrap(b"a secret of 22 bytes..", context=BOUND, algorithm=algorithm))
        for altered in flips(parts[segment]):
            text = assemble([*parts[:segment], altered, *parts[segment + 1 :]])
            rejection(under_test.vault.unwrap, text, context=BOUND)

    @pytest.mark.parametrize("segment", range(5), ids=SEGMENTS)
    @pytest.mark.parametrize("algorithm", ENVELOPE)
    @needs()
    def test_promise_3_a_segment_of_another_envelope_does_not_open(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm, segment: int
    ) -> None:
        key = under_test.key(algorithm)
        one = segments(key.wrap(b"the first secret", context=BOUND, algorithm=algorithm))
        # The context is another one, so that the header is.
        two = segments(key.wrap(b"another secret..", context={"vm": "web-02"}, algorithm=algorithm))
        mixed = assemble([*one[:segment], two[segment], *one[segment + 1 :]])
        context = {"vm": "web-02"} if segment == 0 else BOUND
        refusal(under_test.vault.unwrap, mixed, context=context)

    @each_family()
    def test_no_truncation_opens(self, under_test: VaultUnderTest, family: KeyType) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        text = str(key.wrap(b"secret"))
        for length in range(len(text)):
            rejection(under_test.vault.unwrap, text[:length])

    @each_algorithm(ENVELOPE)
    def test_a_ciphertext_that_lost_or_gained_a_byte_does_not_open(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        head, key, iv, ciphertext, tag = segments(
            under_test.key(algorithm).wrap(b"secret", algorithm=algorithm)
        )
        for altered in (ciphertext[:-1], ciphertext[1:], ciphertext + b"\0", b"\0" + ciphertext):
            rejection(under_test.vault.unwrap, assemble([head, key, iv, altered, tag]))

    @each_algorithm(ENVELOPE)
    def test_an_encrypted_key_of_zeros_does_not_open(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        parts = segments(under_test.key(algorithm).wrap(b"secret", algorithm=algorithm))
        parts[1] = bytes(len(parts[1]))
        refusal(under_test.vault.unwrap, assemble(parts))

    @each_algorithm(ENVELOPE)
    def test_promise_4_an_alg_that_the_key_is_not_for_does_not_open(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.key(algorithm)
        for other in ENVELOPE:
            if other is algorithm or WrapAlgorithm.A256GCMKW in (other, algorithm):
                continue
            if other.key_type is not algorithm.key_type:
                continue
            lie = compose(key, b"secret", algorithm=other, wrapped_with=algorithm)
            if other.key_type is KeyType.RSA and other not in key.algorithms:
                with pytest.raises(UnsupportedError, match=algorithm):
                    under_test.vault.unwrap(lie)
            else:
                refusal(under_test.vault.unwrap, lie)

    @pytest.mark.parametrize("members", MALFORMED_MEMBERS.values(), ids=MALFORMED_MEMBERS)
    def test_a_malformed_header_is_refused_before_the_vault_is_asked(
        self, under_test: VaultUnderTest, members: dict[str, Any]
    ) -> None:
        wrapped = under_test.key(under_test.any_algorithm()).wrap(b"secret")
        _refused_unasked(under_test, with_header(wrapped, **members))

    @pytest.mark.parametrize("malform", MALFORMED_TEXTS.values(), ids=MALFORMED_TEXTS)
    def test_a_malformed_envelope_is_refused_before_the_vault_is_asked(
        self, under_test: VaultUnderTest, malform: Callable[[str], str]
    ) -> None:
        wrapped = under_test.key(under_test.any_algorithm()).wrap(b"secret")
        _refused_unasked(under_test, malform(str(wrapped)))

    @each_family()
    def test_after_all_the_refusals_the_key_still_opens_its_own(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        wrapped = key.wrap(b"secret")
        for altered in flips(wrapped.encrypted_key):
            parts = segments(wrapped)
            parts[1] = altered
            refusal(under_test.vault.unwrap, assemble(parts))
            with under_test.vault.unwrap(wrapped) as opened:
                assert opened == b"secret"


def _refused_unasked(under_test: VaultUnderTest, text: str) -> None:
    driver, calls = counted(under_test.driver)
    with pytest.raises(InvalidInputError):
        under_test.another_user(driver=driver).unwrap(text)
    with pytest.raises(InvalidInputError):
        WrappedKey.parse(text)
    assert calls == []
