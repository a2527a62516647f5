"""Secrets as bytes and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import IntegrityError
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SetSecret
from keyhier_memory.content import Content
from keyhier_memory.secret_serialisation import decode_secrets, encode_secrets
from keyhier_memory.stored_secrets import KeptSecret

SECRETS = list(
    Content()
    .setting_secret(SetSecret("B", SecretBytes(b"first"), "BEK", {"MachineName": ""}))
    .setting_secret(SetSecret("b", SecretBytes(b"second"), None))
    .setting_secret(SetSecret("a", SecretBytes(b"other")))
    .deleting_secret("a")
    .secrets.values()
)


def encoded(secrets: list[KeptSecret]) -> bytes:
    with encode_secrets(secrets) as packed:
        return packed.reveal()


ENCODED = encoded(SECRETS)
LENGTH = int.from_bytes(ENCODED[:4])
DESCRIPTION: list[dict[str, Any]] = json.loads(ENCODED[4 : 4 + LENGTH])
VALUES = ENCODED[4 + LENGTH :]


def check_refused(data: bytes) -> None:
    with pytest.raises(IntegrityError, match="contradict themselves") as caught:
        decode_secrets(memoryview(data))
    assert caught.value.__context__ is None


def test_secrets_come_back_with_everything() -> None:
    back = decode_secrets(memoryview(ENCODED))
    assert back == SECRETS
    assert [list(secret.versions) for secret in back] == [list(own.versions) for own in SECRETS]
    assert back[0].latest.value == b"second"
    assert encoded(back) == ENCODED


def test_the_description_holds_no_value() -> None:
    assert VALUES == b"firstsecondother"
    assert b"first" not in ENCODED[:LENGTH]


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ((0, "name"), "a"),
        ((0, "name"), "A"),
        ((0, "name"), "no name"),
        ((0, "deleted"), None),
        ((0, "versions"), []),
        ((0, "versions", 0, "version"), "0"),
        ((0, "versions", 0, "content_type"), 1),
        ((0, "versions", 0, "tags"), None),
        ((0, "versions", 0, "tags"), {"MachineName": None}),
        ((0, "versions", 0, "created"), "2026-01-01T00:00:00"),
        ((0, "versions", 0, "bytes"), -1),
        ((0, "versions", 0, "bytes"), 0),
        ((0, "versions", 1), DESCRIPTION[0]["versions"][0]),
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
    text = json.dumps(description).encode()
    check_refused(len(text).to_bytes(4) + text + VALUES)


@given(st.binary(max_size=100))
def test_any_bytes_are_secrets_or_refused(data: bytes) -> None:
    check_refused(b"\0\0\0\1" + data + b"]")
