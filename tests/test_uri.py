"""Vault URIs: read strictly, printed as given, and never with a PIN in them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError
from keyhier.uri import VaultUri, decode_text, parse_path_attributes, quote_bytes, quote_text

texts = st.text(st.characters(exclude_categories=["Cs"]))
attribute_names = st.from_regex(r"[a-z][a-z-]{0,12}", fullmatch=True).filter(
    lambda name: "pin-value" not in name
)
almost = st.one_of(
    st.text(),
    st.builds(
        "{}{}".format,
        st.sampled_from(["memory:", "memory:?", "pkcs11:token=a?", "https://", "pkcs11:?pin-"]),
        st.text(st.sampled_from("abZ09-/;=%?#&:@.[]\x00\n é\ud800")),
    ),
)


@given(almost)
def test_text_is_a_uri_that_prints_back_or_invalid_input(text: str) -> None:
    try:
        uri = VaultUri.parse(text)
    except InvalidInputError:
        return
    assert str(uri) == text
    assert VaultUri.parse(str(uri)) == uri
    assert hash(VaultUri.parse(str(uri))) == hash(uri)


@given(st.dictionaries(attribute_names, texts, max_size=5))
def test_query_attributes_are_decoded(attributes: dict[str, str]) -> None:
    query = "&".join(f"{name}={quote_bytes(text.encode())}" for name, text in attributes.items())
    uri = VaultUri.parse(f"memory:?{query}" if query else "memory:")
    assert dict(uri.query) == attributes
    uri.only(*attributes)


@given(st.dictionaries(attribute_names, texts, max_size=5))
def test_path_attributes_are_decoded_to_bytes(attributes: dict[str, str]) -> None:
    path = ";".join(f"{name}={quote_text(text)}" for name, text in attributes.items())
    assert parse_path_attributes(path) == {name: text.encode() for name, text in attributes.items()}


@given(texts)
def test_text_survives_quoting(text: str) -> None:
    assert decode_text(quote_text(text)) == text
    assert decode_text(quote_bytes(text.encode())) == text
    assert quote_text(text).isascii()
    assert not set(quote_text(text)) & set(";?/# \n")


@given(st.text())
def test_decoding_text_gives_text_or_invalid_input(text: str) -> None:
    try:
        decoded = decode_text(text)
    except InvalidInputError:
        return
    decoded.encode()


def test_a_uri_is_taken_apart() -> None:
    uri = VaultUri.parse("PKCS11:token=my%20disks?module-path=/usr/lib/x.so&pin-source=file:/a%26b")
    assert uri.scheme == "pkcs11"
    assert uri.path == "token=my%20disks"
    assert dict(uri.query) == {"module-path": "/usr/lib/x.so", "pin-source": "file:/a&b"}


def test_a_uri_cannot_be_changed() -> None:
    uri = VaultUri.parse("memory:?file=/a")
    with pytest.raises(TypeError):
        uri.query["file"] = "/b"  # type: ignore[index]  # It is the point.


@pytest.mark.parametrize(
    "text",
    [
        "",
        "memory",
        ":",
        "1memory:",
        "me mory:",
        "memory: ",
        "memory:\n",
        "memory:\x00",
        "memory:\ud800",
        "memory:\u00a0",
        "p\u212acs11:token=a",
        "memory:#x",
        "memory:?a=b#x",
        "memory:?a",
        "memory:?=b",
        "memory:?a=b&",
        "memory:?a=b&&c=d",
        "memory:?a=b&a=b",
        "memory:?a=%",
        "memory:?a=%zz",
        "memory:?a=%ff",
        "https://user:pw@contoso.vault.azure.net",
        "https://user@contoso.vault.azure.net",
        "memory:?file=" + "a" * 2048,
        None,
        b"memory:",
        7,
    ],
)
def test_promise_9_anything_else_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        VaultUri.parse(text)


def test_promise_9_an_unknown_attribute_is_refused_with_the_known_ones() -> None:
    uri = VaultUri.parse("memory:?flie=/a")
    with pytest.raises(InvalidInputError, match=r"'flie' in a memory: URI; known are file, pin"):
        uri.only("file", "pin-source")
    with pytest.raises(InvalidInputError, match="known are none"):
        uri.only()


@pytest.mark.parametrize(
    "text",
    [
        "pkcs11:token=t?pin-value=s3cr3t",
        "pkcs11:token=t;pin-value=s3cr3t",
        "pkcs11:pin-value=s3cr3t",
        "pkcs11:token=t?module-path=/a&pin-value=s3cr3t",
        "pkcs11:token=t?PIN-VALUE=s3cr3t",
        "pkcs11:token=t?pin%2Dvalue=s3cr3t",
        "pkcs11:token=t;p%69n-value=s3cr3t",
        "memory:?pin-value=s3cr3t",
        "memory:?pin-value",
        "https://contoso.vault.azure.net?pin-value=s3cr3t",
        "https://me:s3cr3t@contoso.vault.azure.net",
    ],
)
def test_promise_7_a_pin_in_a_uri_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        VaultUri.parse(text)
    assert "s3cr3t" not in f"{caught.value!r} {caught.value}"
    assert caught.value.__context__ is None


@pytest.mark.parametrize("name", ["pin-value", "Pin-Value", "pin%2dvalue"])
def test_promise_7_nor_does_a_path_attribute_hold_a_pin(name: str) -> None:
    with pytest.raises(InvalidInputError, match="pin-value is refused") as caught:
        parse_path_attributes(f"token=t;{name}=s3cr3t")
    assert "s3cr3t" not in f"{caught.value!r} {caught.value}"
