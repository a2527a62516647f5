"""The protected header: what is written is JSON that is read back, member for member."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier import base64url
from keyhier.algorithms import ENVELOPE_ALGORITHMS, KeyType, WrapAlgorithm
from keyhier.errors import CapacityError, InvalidInputError
from keyhier.header import MAX_HEADER_CHARACTERS, Header, finish_header, start_header
from keyhier.identifiers import KeyId

KID = KeyId.parse("memory:kek/1")
THUMBPRINT = base64url.encode(bytes(range(32)))
CONTEXTS = st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=16)
CONTENT_TYPES = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1)


def written(
    algorithm: WrapAlgorithm = WrapAlgorithm.A256KW,
    content_type: str = "octet-stream",
    context: dict[str, str] | None = None,
    *key_wrap: bytes,
) -> str:
    thumbprint = THUMBPRINT if algorithm.key_type is KeyType.RSA else None
    start = start_header(algorithm, KID, thumbprint)
    return finish_header(start, content_type, context, *key_wrap)


def segment(**members: Any) -> str:
    return base64url.encode(json.dumps(members).encode())


@given(
    st.sampled_from(sorted(ENVELOPE_ALGORITHMS)),
    CONTENT_TYPES.filter(lambda t: len(t) < 99),
    CONTEXTS,
)
def test_promise_1_every_member_is_json_and_is_read_back(
    algorithm: WrapAlgorithm, content_type: str, context: dict[str, str]
) -> None:
    key_wrap = (b"i" * 12, b"t" * 16) if algorithm is WrapAlgorithm.A256GCMKW else (b"", b"")
    try:
        text = written(algorithm, content_type, context, *key_wrap)
    except CapacityError:
        return
    members = json.loads(base64url.decode(text))
    assert members.get("ctx", {}) == context
    rsa = algorithm.key_type is KeyType.RSA
    assert Header.decode(text) == Header(
        algorithm, KID, content_type, THUMBPRINT if rsa else None, context, *key_wrap
    )


def test_a_header_that_other_libraries_refuse_is_not_written() -> None:
    def of(length: int) -> str:
        return written(context={"a": "b" * length})

    longest = (MAX_HEADER_CHARACTERS * 3 // 4) - len(base64url.decode(of(1))) + 1
    assert 1020 <= len(of(longest)) <= MAX_HEADER_CHARACTERS < 1024
    with pytest.raises(CapacityError, match="shorten the context") as caught:
        of(longest + 1)
    assert "of at most 1023" in str(caught.value)


@pytest.mark.parametrize("content_type", ["", "a b", "a\n", "\u00e4", "a" * 128, None, 7, ["a"]])
def test_a_content_type_that_could_not_be_read_back_is_refused(content_type: Any) -> None:
    with pytest.raises(InvalidInputError, match="1 to 127 printable characters"):
        written(content_type=content_type)


@pytest.mark.parametrize("kid", ["memory:kek", "pkcs11:token=t;object=kek"])
def test_an_id_without_an_exact_version_is_not_written(kid: str) -> None:
    with pytest.raises(InvalidInputError, match="cannot stand in an envelope"):
        start_header(WrapAlgorithm.A256KW, KeyId.parse(kid), None)


def test_an_id_that_would_be_read_as_another_is_not_written() -> None:
    for kid in (KeyId("memory", "", "a/b", "1"), KeyId("memory", "", "a?file=x", "1")):
        with pytest.raises(InvalidInputError):
            start_header(WrapAlgorithm.A256KW, kid, None)


@pytest.mark.parametrize("around", ["{} ", " {}", "\n{}\t"])
def test_json_white_space_around_the_object_is_json(around: str) -> None:
    members = json.dumps({"alg": "A256KW", "enc": "A256GCM", "kid": "memory:kek/1"})
    text = around.replace("{}", members)
    assert Header.decode(base64url.encode(text.encode())).kid == KID


@pytest.mark.parametrize("after", ["{}", "null", ",", "x", "\u00a0", "\0"])
def test_nothing_else_stands_around_the_object(after: str) -> None:
    members = json.dumps({"alg": "A256KW", "enc": "A256GCM", "kid": "memory:kek/1"})
    for text in (members + after, after + members):
        with pytest.raises(InvalidInputError, match="not a JSON object"):
            Header.decode(base64url.encode(text.encode()))


@pytest.mark.parametrize(
    "thumbprint", ["", "A" * 42, "A" * 44, "A" * 42 + "B", "A" * 42 + "+", "A" * 42 + "\n", 7, None]
)
def test_a_thumbprint_is_32_bytes_in_their_one_spelling(thumbprint: Any) -> None:
    members = {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "memory:kek/1", "kth": thumbprint}
    with pytest.raises(InvalidInputError, match="kth"):
        Header.decode(segment(**members))


@given(st.binary(min_size=32, max_size=32))
def test_every_thumbprint_of_32_bytes_is_read(digest: bytes) -> None:
    text = base64url.encode(digest)
    members = {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": "memory:kek/1", "kth": text}
    assert Header.decode(segment(**members)).thumbprint == text


@given(CONTEXTS, CONTEXTS)
def test_promise_2_a_header_is_bound_to_its_own_context_only(
    one: dict[str, str], other: dict[str, str]
) -> None:
    header = Header(WrapAlgorithm.A256KW, KID, context=one)
    assert header.is_bound_to(dict(one))
    assert header.is_bound_to(other) == (one == other)
    assert header.is_bound_to(None) == (one == {})


@pytest.mark.parametrize("context", [7, "a", [("a", "b")], {"a": 1}, {1: "a"}, {"a": "\ud800"}])
def test_promise_2_what_nothing_is_bound_to_is_invalid_input(context: Any) -> None:
    with pytest.raises(InvalidInputError, match="a context maps strings to strings"):
        Header(WrapAlgorithm.A256KW, KID).is_bound_to(context)
