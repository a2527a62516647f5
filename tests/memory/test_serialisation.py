"""Keys as bytes and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.errors import IntegrityError
from keyhier_memory.content import Content
from keyhier_memory.keys import Material, StoredKey
from keyhier_memory.serialisation import decode_keys, encode_keys

KEYS = list(
    Content()
    .adding("b", Material.generate(KeySpec.RSA_2048, None))
    .adding("a", Material.generate(KeySpec.AES_256, WrapAlgorithm.A256KWP))
    .rotating("a", Material.generate(KeySpec.AES_256, WrapAlgorithm.A256KWP))
    .keys.values()
)


def encoded(keys: list[StoredKey]) -> bytes:
    with encode_keys(keys) as secret:
        return secret.reveal()


ENCODED = encoded(KEYS)
LENGTH = int.from_bytes(ENCODED[:4])
DESCRIPTION: list[dict[str, Any]] = json.loads(ENCODED[4 : 4 + LENGTH])
SECRETS = ENCODED[4 + LENGTH :]


def put_together(description: object, secrets: bytes = SECRETS) -> memoryview:
    text = json.dumps(description).encode()
    return memoryview(len(text).to_bytes(4) + text + secrets)


def check_refused(data: bytes | memoryview) -> None:
    with pytest.raises(IntegrityError, match="contradict themselves") as caught:
        decode_keys(memoryview(data))
    assert caught.value.__cause__ is None


def test_keys_come_back_with_everything() -> None:
    back = decode_keys(memoryview(ENCODED))
    assert back == KEYS
    for before, after in zip(KEYS, back, strict=True):
        assert list(before.versions) == list(after.versions)
        for version, other in zip(before.versions.values(), after.versions.values(), strict=True):
            assert version.material.secret == other.material.secret
    assert encoded(back) == ENCODED


def test_whether_a_key_may_leave_comes_back_and_is_written_only_where_it_may() -> None:
    assert b"extractable" not in ENCODED
    material = Material.generate(KeySpec.AES_256, None, extractable=True)
    content = Content().adding("kek", material)
    (back,) = decode_keys(memoryview(encoded(list(content.keys.values()))))
    assert back.latest.material.extractable


def test_what_is_only_like_a_word_that_a_key_may_leave_is_refused() -> None:
    description = json.loads(json.dumps(DESCRIPTION))
    description[0]["versions"][0]["extractable"] = 1
    check_refused(put_together(description))


def test_no_keys_are_a_vault_too() -> None:
    assert decode_keys(memoryview(encoded([]))) == []


def test_the_description_holds_nothing_secret() -> None:
    assert (
        b"".join(
            version.material.secret.reveal() for key in KEYS for version in key.versions.values()
        )
        == SECRETS
    )
    assert put_together(DESCRIPTION).nbytes >= len(ENCODED)


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ((0, "name"), ""),
        ((0, "name"), "a"),
        ((0, "name"), 1),
        ((0, "deleted"), 1),
        ((0, "versions"), []),
        ((0, "versions"), None),
        ((0, "versions", 0, "version"), "0"),
        ((0, "versions", 0, "version"), 0),
        ((0, "versions", 0, "spec"), "RSA-3072"),
        ((0, "versions", 0, "spec"), "AES-256"),
        ((0, "versions", 0, "spec"), "RSA"),
        ((0, "versions", 0, "algorithm"), "RSA-OAEP"),
        ((0, "versions", 0, "bytes"), 0),
        ((0, "versions", 0, "bytes"), -1),
        ((0, "versions", 0, "bytes"), 10**30),
        ((0, "versions", 0, "bytes"), "32"),
        ((0, "versions", 0, "created"), "yesterday"),
        ((0, "versions", 0, "created"), "2026-01-01T00:00:00"),
        ((0, "versions", 0, "created"), "2026-01-01T00:00:00+01:00"),
        ((0, "versions", 0, "enabled"), None),
        ((1, "versions", 0, "algorithm"), None),
        ((1, "versions", 0, "algorithm"), "RSA-OAEP"),
        ((1, "versions", 0, "algorithm"), "A128KW"),
        ((1, "versions", 0, "spec"), "AES-128"),
        ((1, "versions", 1), DESCRIPTION[1]["versions"][0]),
    ],
)
def test_a_description_that_contradicts_itself_is_refused(
    at: tuple[str | int, ...], value: object
) -> None:
    description = json.loads(json.dumps(DESCRIPTION))
    *way, last = at
    part = description
    for step in way:
        part = part[step]
    assert part[last] != value
    part[last] = value
    check_refused(put_together(description))


def test_secrets_left_over_or_missing_are_refused() -> None:
    check_refused(ENCODED + b"\0")
    check_refused(ENCODED[:-1])
    check_refused(put_together(DESCRIPTION[:1]))


@given(st.binary(max_size=200))
def test_any_bytes_are_keys_or_refused(data: bytes) -> None:
    check_refused(b"\0\0\0\1" + data + b"]")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "deleted", "versions", "bytes"]), inner)
    ),
    max_leaves=8,
)


@given(JSON.filter(lambda value: value not in ([], {}, "")))
def test_any_description_is_keys_or_refused(description: object) -> None:
    check_refused(put_together(description))


def test_a_description_nested_deeper_than_the_parser_goes_is_refused() -> None:
    text = b"[" * 100_000
    check_refused(len(text).to_bytes(4) + text)
