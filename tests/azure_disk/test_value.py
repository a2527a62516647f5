"""Values: base64 without a KEK, base64url with one, and never one for the other."""

from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.azure_disk import value
from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes
from tests.azure_disk.forms import base64_of, base64url_of

ciphertexts = st.sampled_from([256, 384, 512]).flatmap(
    lambda size: st.binary(min_size=size, max_size=size)
)


@given(st.binary(max_size=300))
def test_a_plain_value_comes_back(content: bytes) -> None:
    with SecretBytes(content) as plain, value.encode_plain(plain) as text:
        assert text == base64.b64encode(content)
        with value.decode_plain(text) as back:
            assert back == content


@given(ciphertexts)
def test_a_wrapped_value_comes_back(ciphertext: bytes) -> None:
    with value.encode_wrapped(ciphertext) as text:
        assert text == base64url_of(ciphertext).encode()
        assert value.decode_wrapped(text) == ciphertext
        assert value.looks_wrapped(text)


@given(st.binary(max_size=60) | st.text(alphabet="AQgw+/-_=", max_size=60).map(str.encode))
def test_any_bytes_are_a_plain_value_in_one_spelling_or_refused(data: bytes) -> None:
    with SecretBytes(data) as text:
        try:
            content = value.decode_plain(text)
        except InvalidInputError:
            return
        with content, value.encode_plain(content) as again:
            assert again == data


@given(st.binary(max_size=60) | st.text(alphabet="AQgw+/-_=", max_size=900).map(str.encode))
def test_any_bytes_are_a_wrapped_value_in_one_spelling_or_refused(data: bytes) -> None:
    with SecretBytes(data) as text:
        try:
            ciphertext = value.decode_wrapped(text)
        except InvalidInputError:
            assert not value.looks_wrapped(text)
            return
        with value.encode_wrapped(ciphertext) as again:
            assert again == data


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (base64url_of(b"\xff" * 200), "looks like base64url"),
        (base64url_of(b"k" * 200), "looks like base64url"),
        ("a b c", "no standard base64"),
        (base64_of(b"k" * 200) + "\n", "no standard base64"),
        (base64_of(b"k" * 200)[:-1], "no standard base64"),
    ],
)
def test_a_plain_value_that_is_spelt_otherwise_is_refused(text: str, told: str) -> None:
    with (
        SecretBytes(text.encode()) as secret,
        pytest.raises(InvalidInputError, match=told) as caught,
    ):
        value.decode_plain(secret)
    assert caught.value.__context__ is None
    assert text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (base64_of(b"\xff" * 256), "looks like standard base64"),
        (base64_of(b"k" * 256), "looks like standard base64"),
        (base64url_of(b"k" * 255), "255 bytes"),
        (base64url_of(b"k" * 257), "257 bytes"),
        (base64url_of(b"k" * 32), "32 bytes"),
        (base64url_of(b"k" * 256) + "\n", "no unpadded base64url"),
        ("ü" * 342, "no unpadded base64url"),
        ("", "0 bytes"),
    ],
)
def test_a_wrapped_value_that_is_spelt_otherwise_is_refused(text: str, told: str) -> None:
    with SecretBytes(text.encode()) as secret:
        with pytest.raises(InvalidInputError, match=told):
            value.decode_wrapped(secret)
        assert not value.looks_wrapped(secret)


def test_no_passphrase_in_base64_looks_wrapped() -> None:
    for _ in range(50):
        with SecretBytes(base64_of(base64_of(os.urandom(127)).encode()).encode()) as text:
            assert len(text) == 232
            assert not value.looks_wrapped(text)
