"""The envelope as text: what is accepted, what is refused by its public bytes alone."""

from __future__ import annotations

import copy
import json
import pickle
import string
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier import Vault
from keyhier.errors import CapacityError, InvalidInputError
from keyhier.wrapped import MAX_SECRET_BYTES, WrappedKey
from tests import jwe
from tests.jwe import HEADER

URL_SAFE = string.ascii_letters + string.digits + "-_"
KTH = jwe.encode(bytes(32))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
contexts = st.dictionaries(texts, texts, max_size=6)


def _changed(**members: Any) -> str:
    return jwe.seal({**HEADER, **members})


def _without(member: str) -> str:
    return jwe.seal({name: value for name, value in HEADER.items() if name != member})


def _with_member(member: str) -> str:
    """Return an envelope whose header has one more member, written by hand."""
    return jwe.seal(json.dumps(HEADER)[:-1] + f", {member}}}")


def test_promise_1_a_handmade_jwe_is_read() -> None:
    wrapped = WrappedKey.parse(_changed(cty="octet-stream", ctx={"vm": "web-01"}))
    assert wrapped.algorithm == "A256KW"
    assert str(wrapped.kid) == "memory:kek/1"
    assert wrapped.content_type == "octet-stream"
    assert wrapped.context == {"vm": "web-01"}
    assert wrapped.thumbprint is None


@given(contexts, st.binary(min_size=1, max_size=100))
def test_an_envelope_prints_what_was_read(context: dict[str, str], secret: bytes) -> None:
    text = jwe.seal({**HEADER, "ctx": context}, secret)
    wrapped = WrappedKey.parse(text)
    assert str(wrapped) == text
    assert wrapped == WrappedKey.parse(text)
    assert wrapped.context == context


def test_an_envelope_is_a_value() -> None:
    text = _changed(ctx={"vm": "web-01"})
    wrapped = WrappedKey.parse(text)
    assert {wrapped, WrappedKey.parse(text)} == {wrapped}
    assert pickle.loads(pickle.dumps(wrapped)) == wrapped
    assert copy.deepcopy(wrapped) == wrapped
    assert wrapped != WrappedKey.parse(_changed(ctx={"vm": "web-01"}))
    with pytest.raises(AttributeError):
        wrapped.protected = "x"  # type: ignore[misc]  # It is the point.
    with pytest.raises(TypeError):
        wrapped.context["vm"] = "web-02"  # type: ignore[index]  # It is the point.


@given(st.text())
def test_any_text_is_an_envelope_or_invalid_input(text: str) -> None:
    with pytest.raises(InvalidInputError):
        WrappedKey.parse(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.dictionaries(
        st.sampled_from(["alg", "enc", "kid", "cty", "kth", "ctx", "iv", "tag", "typ"]),
        json_values
        | st.sampled_from(["A256KW", "A256GCM", "A256GCMKW", "RSA-OAEP", "memory:kek/1", KTH]),
    ),
    st.booleans(),
)
def test_any_header_is_read_or_invalid_input(members: dict[str, Any], complete: bool) -> None:
    header = {**HEADER, **members} if complete else members
    text = jwe.seal(json.dumps(header))
    try:
        wrapped = WrappedKey.parse(text)
    except InvalidInputError:
        return
    assert str(wrapped) == text
    assert wrapped.header == WrappedKey.parse(str(wrapped)).header


@given(st.binary(max_size=760))
def test_any_bytes_as_header_are_invalid_input(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        WrappedKey.parse(jwe.seal(data))


@given(st.integers(0, 4), st.integers(0, 200), st.characters())
def test_a_character_that_is_changed_gives_another_envelope_or_invalid_input(
    segment: int, place: int, put: str
) -> None:
    text = jwe.seal(HEADER, b"secret" * 4)
    segments = text.split(".")
    at = place % len(segments[segment])
    segments[segment] = segments[segment][:at] + put + segments[segment][at + 1 :]
    changed = ".".join(segments)
    try:
        wrapped = WrappedKey.parse(changed)
    except InvalidInputError:
        return
    assert str(wrapped) == changed


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(_changed(alg="none"), id="alg none"),
        pytest.param(_changed(alg="dir"), id="alg dir"),
        pytest.param(_changed(alg="RSA1_5"), id="alg RSA1_5"),
        pytest.param(_changed(alg="PBES2-HS256+A128KW", p2s="AA", p2c=9), id="alg PBES2"),
        pytest.param(_changed(alg="PBES2-HS256+A128KW"), id="alg PBES2 alone"),
        pytest.param(_changed(alg="A256KWP"), id="alg A256KWP"),
        pytest.param(_changed(alg="RSA-AES-KWP"), id="alg RSA-AES-KWP"),
        pytest.param(_changed(alg="A256GCM"), id="alg A256GCM"),
        pytest.param(_changed(alg="RSA-OAEP-512"), id="alg RSA-OAEP-512"),
        pytest.param(_changed(alg="ECDH-ES"), id="alg ECDH-ES"),
        pytest.param(_changed(alg="a256kw"), id="alg in lower case"),
        pytest.param(_changed(alg=""), id="alg empty"),
        pytest.param(_changed(alg=None), id="alg null"),
        pytest.param(_changed(alg=["A256KW"]), id="alg a list"),
        pytest.param(_changed(enc="A128GCM"), id="enc A128GCM"),
        pytest.param(_changed(enc="A256CBC-HS512"), id="enc A256CBC-HS512"),
        pytest.param(_changed(enc=None), id="enc null"),
        pytest.param(_without("alg"), id="no alg"),
        pytest.param(_without("enc"), id="no enc"),
        pytest.param(_without("kid"), id="no kid"),
        pytest.param(_changed(zip="DEF"), id="zip"),
        pytest.param(_changed(crit=[]), id="crit empty"),
        pytest.param(_changed(crit=["ctx"], ctx={"a": "b"}), id="crit"),
        pytest.param(_changed(jku="https://evil.example/jwks"), id="jku"),
        pytest.param(_changed(jwk={"kty": "oct", "k": "AA"}), id="jwk"),
        pytest.param(_changed(x5u="https://evil.example/x5u"), id="x5u"),
        pytest.param(_changed(x5c=["AA"]), id="x5c"),
        pytest.param(_changed(epk={}), id="epk"),
        pytest.param(_changed(p2c=1), id="p2c"),
        pytest.param(_changed(ALG="A256KW"), id="ALG"),
        pytest.param(_changed(**{"": ""}), id="a member without a name"),
        pytest.param(_changed(**{"x\x1b[2J\n": ""}), id="a member that rules a terminal"),
        pytest.param(_with_member('"\\ud800": 1'), id="a member that is a lone surrogate"),
        pytest.param(_with_member('"alg": "A256KW"'), id="alg twice"),
        pytest.param(_with_member('"\\u0061lg": "A256KW"'), id="alg twice, spelled differently"),
        pytest.param(_with_member('"kid": "memory:kek/1"'), id="kid twice"),
        pytest.param(_with_member('"ctx": {}, "ctx": {}'), id="ctx twice"),
        pytest.param(_with_member('"ctx": {"vm": "a", "vm": "a"}'), id="twice inside ctx"),
        pytest.param(_with_member('"ctx": {"vm": "a", "\\u0076m": "b"}'), id="twice, escaped"),
        pytest.param(_with_member('"ctx": {"vm": "\\ud800"}'), id="a lone surrogate in ctx"),
        pytest.param(_with_member('"ctx": {"\\udfff": "a"}'), id="a lone surrogate names in ctx"),
        pytest.param(_with_member('"typ": "\\ud800"'), id="a lone surrogate in typ"),
        pytest.param(_with_member('"cty": "\\ud800"'), id="a lone surrogate in cty"),
        pytest.param(jwe.seal(jwe.seal(HEADER)), id="an envelope as the header"),
        pytest.param(_changed(kid="memory:kek"), id="kid without version"),
        pytest.param(_changed(kid="https://c.example/keys/kek"), id="https kid without version"),
        pytest.param(_changed(kid="pkcs11:token=t;object=kek"), id="pkcs11 kid without id"),
        pytest.param(_changed(kid="record:prod/kek"), id="record kid without version"),
        pytest.param(_changed(kid="memory:kek/1?file=/etc/passwd"), id="kid with a query"),
        pytest.param(
            _changed(kid="pkcs11:token=t;id=a?module-path=/tmp/evil.so"), id="kid with a module"
        ),
        pytest.param(
            _changed(kid="pkcs11:token=t;id=a;pin-value=4711"), id="kid with a PIN in its path"
        ),
        pytest.param(_changed(kid="memory:kek/1#x"), id="kid with a fragment"),
        pytest.param(_changed(kid="kek"), id="kid that is a bare name"),
        pytest.param(_changed(kid=""), id="kid empty"),
        pytest.param(_changed(kid=7), id="kid a number"),
        pytest.param(_changed(kid=None), id="kid null"),
        pytest.param(_changed(kid="memory:kek/" + "1" * 600), id="kid too long"),
        pytest.param(_with_member('"kid\\u0000": "x"'), id="a member with a NUL"),
        pytest.param(_changed(cty=""), id="cty empty"),
        pytest.param(_changed(cty="a b"), id="cty with a space"),
        pytest.param(_changed(cty="é"), id="cty outside ASCII"),
        pytest.param(_changed(cty="a" * 128), id="cty too long"),
        pytest.param(_changed(cty=1), id="cty a number"),
        pytest.param(_changed(typ=1), id="typ a number"),
        pytest.param(_changed(kth=KTH), id="kth for AES"),
        pytest.param(_changed(iv=jwe.encode(bytes(12))), id="iv for A256KW"),
        pytest.param(_changed(tag=jwe.encode(bytes(16))), id="tag for A256KW"),
        pytest.param(_changed(ctx=None), id="ctx null"),
        pytest.param(_changed(ctx=[]), id="ctx a list"),
        pytest.param(_changed(ctx="vm"), id="ctx text"),
        pytest.param(_changed(ctx={"vm": 1}), id="ctx with a number"),
        pytest.param(_changed(ctx={"vm": None}), id="ctx with null"),
        pytest.param(_changed(ctx={"vm": {"a": "b"}}), id="ctx nested"),
        pytest.param(_changed(ctx={str(n): "" for n in range(17)}), id="ctx of 17 entries"),
        pytest.param(_changed(ctx={"a": "x" * 1000}), id="header too long"),
        pytest.param(jwe.seal(json.dumps(HEADER) + " " * 720), id="header padded too long"),
        pytest.param(jwe.seal("[" * 700), id="nested too deep"),
        pytest.param(jwe.seal('{"alg":' * 100), id="objects nested too deep"),
        pytest.param(_with_member('"ctx":' + '{"a":' * 80 + "1" + "}" * 80), id="ctx nested deep"),
        pytest.param(_with_member(f'"cty": {"9" * 500}'), id="a large number"),
        pytest.param(_with_member('"cty": NaN'), id="NaN"),
        pytest.param(jwe.seal("null"), id="null"),
        pytest.param(jwe.seal("[]"), id="a list"),
        pytest.param(jwe.seal('"x"'), id="text"),
        pytest.param(jwe.seal(""), id="an empty header"),
        pytest.param(jwe.seal("{}"), id="an object without members"),
        pytest.param(jwe.seal(json.dumps(HEADER) + "{}"), id="two objects"),
        pytest.param(jwe.seal("\ufeff" + json.dumps(HEADER)), id="a byte order mark"),
        pytest.param(jwe.seal(json.dumps(HEADER).encode("utf-16")), id="UTF-16"),
        pytest.param(jwe.seal(b"\xff" + json.dumps(HEADER).encode()), id="not UTF-8"),
        pytest.param(jwe.seal(HEADER, encrypted_key=b""), id="no encrypted key"),
        pytest.param(jwe.seal(HEADER, encrypted_key=bytes(32)), id="encrypted key too short"),
        pytest.param(jwe.seal(HEADER, encrypted_key=bytes(48)), id="encrypted key too long"),
        pytest.param(jwe.seal(HEADER, content_key=bytes(16)), id="a content key of 16 bytes"),
        pytest.param(jwe.seal(HEADER, b""), id="no ciphertext"),
        pytest.param(jwe.seal(HEADER, bytes(MAX_SECRET_BYTES + 1)), id="ciphertext too long"),
        pytest.param(_changed(alg="RSA-OAEP"), id="encrypted key of no RSA size"),
        pytest.param(
            jwe.seal({**HEADER, "alg": "RSA-OAEP"}, encrypted_key=bytes(128)), id="RSA-1024"
        ),
        pytest.param(
            jwe.seal({**HEADER, "alg": "RSA-OAEP", "kth": "AA"}, encrypted_key=bytes(256)),
            id="kth too short",
        ),
        pytest.param(
            jwe.seal({**HEADER, "alg": "RSA-OAEP", "kth": KTH + "="}, encrypted_key=bytes(256)),
            id="kth padded",
        ),
        pytest.param(
            jwe.seal({**HEADER, "alg": "RSA-OAEP", "kth": 1}, encrypted_key=bytes(256)),
            id="kth a number",
        ),
        pytest.param(
            jwe.seal({**HEADER, "alg": "A256GCMKW"}, encrypted_key=bytes(32)), id="no iv and tag"
        ),
        pytest.param(
            jwe.seal(
                {**HEADER, "alg": "A256GCMKW", "iv": jwe.encode(bytes(16)), "tag": KTH[:22]},
                encrypted_key=bytes(32),
            ),
            id="iv of 16 bytes",
        ),
        pytest.param(
            jwe.seal(
                {**HEADER, "alg": "A256GCMKW", "iv": KTH[:16], "tag": jwe.encode(bytes(12))},
                encrypted_key=bytes(32),
            ),
            id="tag of 12 bytes",
        ),
        pytest.param(
            jwe.seal(
                {**HEADER, "alg": "A256GCMKW", "iv": KTH[:16], "tag": KTH[:21] + "B"},
                encrypted_key=bytes(32),
            ),
            id="tag with left-over bits",
        ),
    ],
)
def test_promise_3_what_is_malformed_by_its_public_bytes_is_invalid_input(text: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        WrappedKey.parse(text)
    message = str(caught.value)
    assert message.isprintable()
    assert len(message) < 400
    assert "4711" not in message


@pytest.mark.parametrize("text", [None, 7, b"a.b.c.d.e", ["a"], jwe.seal(HEADER).encode()])
def test_an_envelope_is_text(text: str) -> None:
    with pytest.raises(InvalidInputError, match="is text"):
        WrappedKey.parse(text)


@pytest.mark.parametrize("length", [70_000, 10_000_000])
def test_oversized_text_is_refused_before_it_is_read(length: int) -> None:
    for character in "A.":
        with pytest.raises(InvalidInputError, match="at most"):
            WrappedKey.parse(character * length)


def test_every_truncation_is_invalid_input() -> None:
    text = jwe.seal(HEADER)
    for length in range(len(text)):
        with pytest.raises(InvalidInputError):
            WrappedKey.parse(text[:length])


@pytest.mark.parametrize("segments", [1, 2, 3, 4, 6, 7])
def test_an_envelope_has_five_segments(segments: int) -> None:
    five = jwe.seal(HEADER).split(".")
    with pytest.raises(InvalidInputError, match="five segments"):
        WrappedKey.parse(".".join((five * 2)[:segments]))


def _spoilt(segment: str) -> list[str]:
    """Return every other spelling of the same bytes, and what base64url does not have."""
    decoded = jwe.decode(segment)
    spoilt = [segment + "=" * count for count in (1, 2, 3)] + [
        f" {segment}",
        f"{segment} ",
        f"{segment}\n",
        f"{segment[:3]}\r\n{segment[3:]}",
    ]
    spoilt += [segment[:3] + character + segment[3:] for character in "+/=*,\0é\u212a"]
    spoilt += [segment[:3] + character + segment[4:] for character in "+/=*,\0é\u212a"]
    spoilt += [
        segment[:-1] + last
        for last in URL_SAFE
        if last != segment[-1] and jwe.decode(segment[:-1] + last) == decoded
    ]
    return [*spoilt, segment[:-1] + "\ud800", segment + "A" * (1 + -(len(segment) + 1) % 4 + 1)]


@pytest.mark.parametrize("number", range(5))
def test_only_one_spelling_of_each_segment_is_accepted(number: int) -> None:
    # 11 bytes of secret leave two bits over, the tag's 16 leave four.
    text = jwe.seal(HEADER, b"eleven byte")
    segments = text.split(".")
    for spoilt in _spoilt(segments[number]):
        with pytest.raises(InvalidInputError):
            WrappedKey.parse(".".join([*segments[:number], spoilt, *segments[number + 1 :]]))


@pytest.mark.parametrize("around", ["{} ", " {}", "{}\n", "\n{}", '"{}"', "\ufeff{}"])
def test_nothing_stands_around_an_envelope(around: str) -> None:
    with pytest.raises(InvalidInputError):
        WrappedKey.parse(around.format(jwe.seal(HEADER)))


def test_typ_is_accepted_from_others_and_has_no_effect() -> None:
    assert WrappedKey.parse(_changed(typ="JOSE")).header == WrappedKey.parse(_changed()).header


def test_the_largest_envelope_is_read() -> None:
    members = {**HEADER, "alg": "RSA-OAEP", "kth": KTH, "ctx": {"a": ""}}
    room = 1023 * 3 // 4 - len(json.dumps(members))
    members["ctx"] = {"a": "x" * room}
    text = jwe.seal(members, bytes(MAX_SECRET_BYTES), encrypted_key=bytes(512))
    assert len(text.partition(".")[0]) == 1023
    assert str(WrappedKey.parse(text)) == text


@given(contexts, st.binary(min_size=1, max_size=64))
def test_promise_1_what_is_sealed_is_a_jwe_that_is_read_back(
    context: dict[str, str], secret: bytes
) -> None:
    import keyhier  # noqa: PLC0415  # A vault for each example is the point.

    with keyhier.open("memory:") as vault:
        _read_back(vault, context, secret)


def _read_back(vault: Vault, context: dict[str, str], secret: bytes) -> None:
    key = vault.import_key("kek", jwe.KEK)
    try:
        wrapped = key.wrap(secret, context=context)
    except CapacityError:
        assert len(json.dumps(context, ensure_ascii=False).encode()) > 500
        return
    assert WrappedKey.parse(str(wrapped)) == wrapped
    members = jwe.header_of(str(wrapped))
    assert members == {
        "alg": "A256KW",
        "enc": "A256GCM",
        "kid": str(key.id),
        "cty": "octet-stream",
        **({"ctx": context} if context else {}),
    }
