"""Unpadded base64url: one spelling for each sequence of bytes, and no other is read."""

from __future__ import annotations

import base64
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier import base64url
from keyhier.errors import InvalidInputError

ALPHABET = string.ascii_letters + string.digits + "-_"


@given(st.binary(max_size=100))
def test_what_is_written_is_what_the_standard_library_writes_without_padding(data: bytes) -> None:
    text = base64url.encode(data)
    assert text == base64.urlsafe_b64encode(data).decode().rstrip("=")
    assert base64url.decode(text) == data


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=6))
def test_joined_parts_are_split_again(parts: list[bytes]) -> None:
    text = base64url.join(*parts)
    assert text == ".".join(map(base64url.encode, parts))
    assert base64url.split(text, len(parts)) == parts


@given(st.text(st.sampled_from(ALPHABET + "=+/. \n\u00e9"), max_size=12))
def test_whatever_is_read_is_written_the_same_way(text: str) -> None:
    try:
        data = base64url.decode(text)
    except InvalidInputError:
        return
    assert base64url.encode(data) == text


@pytest.mark.parametrize(
    "text", ["A", "AAAAA", "AB", "AAB", "AA==", "AA=", "+/+/", "AA A", "AAAA\n", "AAA\u00e9", "A.A"]
)
def test_another_spelling_is_invalid_input(text: str) -> None:
    with pytest.raises(InvalidInputError, match="unpadded base64url"):
        base64url.decode(text)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_another_number_of_parts_is_invalid_input(count: int) -> None:
    with pytest.raises(InvalidInputError):
        base64url.split("AAAA.AAAA.AAAA", count)
