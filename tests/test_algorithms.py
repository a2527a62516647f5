"""Key specs and wrap algorithms: names, what fits what, and how much fits."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.algorithms import (
    ENVELOPE_ALGORITHMS,
    KeySpec,
    KeyType,
    WrapAlgorithm,
    algorithms_for,
    capacity,
    check_capacity,
    check_wrapped_length,
)
from keyhier.errors import CapacityError, InvalidInputError

PAIRS = [(algorithm, spec) for spec in KeySpec for algorithm in algorithms_for(spec)]


def test_the_names_are_those_of_jose_and_of_the_documentation() -> None:
    assert set(KeySpec) == {"RSA-2048", "RSA-3072", "RSA-4096", "AES-128", "AES-192", "AES-256"}
    assert set(WrapAlgorithm) == {
        *("RSA-OAEP-256", "RSA-OAEP", "RSA1_5", "RSA-AES-KWP"),
        *("A128KW", "A192KW", "A256KW", "A256GCMKW", "A256GCM", "A256KWP"),
    }


@pytest.mark.parametrize("spec", KeySpec)
def test_a_spec_says_its_family_and_size(spec: KeySpec) -> None:
    family, bits = spec.split("-")
    assert spec.key_type is KeyType(family)
    assert spec.bits == int(bits) == spec.size * 8
    assert KeySpec.parse(str(spec)) is spec


@pytest.mark.parametrize("algorithm", WrapAlgorithm)
def test_an_algorithm_is_read_by_its_name(algorithm: WrapAlgorithm) -> None:
    assert WrapAlgorithm.parse(str(algorithm)) is algorithm
    assert {spec.key_type for spec in KeySpec if algorithm in algorithms_for(spec)} == {
        algorithm.key_type
    }


@pytest.mark.parametrize(
    "name", ["", "rsa-oaep", "RSA-OAEP-512", "dir", "none", "A256KW ", None, []]
)
def test_promise_9_an_unknown_algorithm_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"unknown wrap algorithm .* RSA-OAEP-256"):
        WrapAlgorithm.parse(name)


@pytest.mark.parametrize("name", ["", "rsa-2048", "RSA-1024", "RSA_2048", "AES", "EC-P256", None])
def test_promise_9_an_unknown_key_spec_is_refused_with_the_known_ones(name: str) -> None:
    with pytest.raises(InvalidInputError, match=r"unknown key spec .* RSA-2048"):
        KeySpec.parse(name)


@given(st.text())
def test_any_other_name_is_invalid_input_and_a_short_message(name: str) -> None:
    for kind in (KeySpec, WrapAlgorithm):
        if name not in list(kind):
            with pytest.raises(InvalidInputError) as caught:
                kind.parse(name)
            assert len(str(caught.value)) < 250


def test_only_the_six_algorithms_of_the_promise_go_into_envelopes() -> None:
    assert {"RSA-OAEP", "RSA-OAEP-256", "A128KW", "A192KW", "A256KW", "A256GCMKW"} == (
        ENVELOPE_ALGORITHMS
    )


@pytest.mark.parametrize("spec", KeySpec)
def test_promise_5_the_default_is_safe_and_goes_into_envelopes(spec: KeySpec) -> None:
    assert algorithms_for(spec)[0] in ENVELOPE_ALGORITHMS
    assert algorithms_for(spec)[0] is not WrapAlgorithm.RSA1_5


@pytest.mark.parametrize(
    ("algorithm", "spec", "most"),
    [
        # RFC 8017, section 7.1.1: k - 2 hLen - 2.
        ("RSA-OAEP", "RSA-2048", 214),
        ("RSA-OAEP-256", "RSA-2048", 190),
        ("RSA-OAEP", "RSA-4096", 470),
        ("RSA-OAEP-256", "RSA-3072", 318),
        # Section 7.2.1: k - 11.
        ("RSA1_5", "RSA-2048", 245),
        ("RSA-AES-KWP", "RSA-2048", 65536),
        ("A256KW", "AES-256", 65536),
    ],
)
def test_capacities_are_those_of_the_standards(algorithm: str, spec: str, most: int) -> None:
    pair = WrapAlgorithm.parse(algorithm), KeySpec.parse(spec)
    assert capacity(*pair) == most
    check_capacity(*pair, most)
    with pytest.raises(CapacityError, match=f"takes at most {most}"):
        check_capacity(*pair, most + 1)


@pytest.mark.parametrize(("algorithm", "spec"), PAIRS)
def test_nothing_cannot_be_wrapped(algorithm: WrapAlgorithm, spec: KeySpec) -> None:
    with pytest.raises(InvalidInputError, match="empty"):
        check_capacity(algorithm, spec, 0)


@pytest.mark.parametrize(
    ("algorithm", "spec"), [("A128KW", "AES-128"), ("A192KW", "AES-192"), ("A256KW", "AES-256")]
)
@pytest.mark.parametrize("length", [1, 8, 15, 17, 156])
def test_key_wrap_takes_multiples_of_eight_from_sixteen(
    algorithm: str, spec: str, length: int
) -> None:
    with pytest.raises(InvalidInputError, match="at least 16 bytes in multiples of 8"):
        check_capacity(WrapAlgorithm(algorithm), KeySpec(spec), length)
    check_capacity(WrapAlgorithm(algorithm), KeySpec(spec), 24)


def _wrapped_length(algorithm: WrapAlgorithm, spec: KeySpec, length: int) -> int:
    """Return how long the output is, written down from the standards a second time."""
    padded = length + -length % 8 + 8
    match algorithm:
        case "RSA-AES-KWP":
            return spec.size + padded
        case "A256KWP" | "A128KW" | "A192KW" | "A256KW":
            return padded
        case "A256GCM" | "A256GCMKW":
            return 12 + length + 16
    return spec.size


@given(st.sampled_from(PAIRS), st.integers(1, 70_000))
def test_what_can_be_wrapped_can_be_unwrapped_by_its_length(
    pair: tuple[WrapAlgorithm, KeySpec], length: int
) -> None:
    try:
        check_capacity(*pair, length)
    except (CapacityError, InvalidInputError):
        return
    check_wrapped_length(*pair, _wrapped_length(*pair, length))


@given(st.sampled_from(PAIRS), st.integers(0, 70_000))
def test_no_other_length_is_taken_for_wrapped(
    pair: tuple[WrapAlgorithm, KeySpec], length: int
) -> None:
    try:
        check_wrapped_length(*pair, length)
    except InvalidInputError:
        return
    assert any(
        _wrapped_length(*pair, plaintext) == length
        for plaintext in {
            1,
            max(1, length - 28),
            max(1, length - 8),
            max(1, length - 8 - pair[1].size),
        }
    )


@pytest.mark.parametrize(("algorithm", "spec"), PAIRS)
@pytest.mark.parametrize("length", [0, 1, 7, 1_000_000])
def test_a_length_that_nothing_has_is_invalid_input(
    algorithm: WrapAlgorithm, spec: KeySpec, length: int
) -> None:
    with pytest.raises(InvalidInputError, match="no output of"):
        check_wrapped_length(algorithm, spec, length)
