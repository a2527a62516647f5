"""Base64 of secrets, as the standard library writes it and as strictly as can be."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier import padded_base64
from keyhier.errors import InvalidInputError


@given(st.binary(max_size=300))
def test_it_is_standard_base64(data: bytes) -> None:
    with padded_base64.encode(memoryview(data)) as text:
        assert text == base64.b64encode(data)
        with padded_base64.decode(text.view()) as back:
            assert back == data


@given(st.text(alphabet="AQgw/+-_= \n", max_size=12))
def test_one_spelling_of_the_same_bytes_is_read(text: str) -> None:
    encoded = text.encode()
    try:
        decoded = padded_base64.decode(memoryview(encoded))
    except InvalidInputError:
        return
    with decoded, padded_base64.encode(decoded.view()) as again:
        assert again == encoded


@pytest.mark.parametrize(
    "text", [b"A", b"AA", b"AAA", b"A===", b"====", b"==", b"AB==", b"AAB=", b"AA-_", b"AAAA\n"]
)
def test_another_spelling_is_refused(text: bytes) -> None:
    with pytest.raises(InvalidInputError, match="standard base64"):
        padded_base64.decode(memoryview(text))
