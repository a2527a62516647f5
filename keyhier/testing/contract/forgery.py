"""Envelopes as an attacker, or another JOSE library, could make them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import pytest

from keyhier.algorithms import CONTENT_KEY_BYTES, WrapAlgorithm, split_gcm
from keyhier.errors import InvalidInputError, UnwrapError
from keyhier.header import finish_header, start_header
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier.vault import Key
from keyhier.wrapped import WrappedKey

__all__ = [
    "SEGMENTS",
    "assemble",
    "compose",
    "flips",
    "header_of",
    "refusal",
    "rejection",
    "segments",
    "with_header",
    "with_header_text",
]

SEGMENTS: Final = ("header", "encrypted key", "IV", "ciphertext", "tag")

_SAMPLES: Final = 12


def segments(envelope: WrappedKey | str) -> list[bytes]:
    """Return the five decoded segments."""
    return [
        base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)) for part in str(envelope).split(".")
    ]


def assemble(parts: Sequence[bytes]) -> str:
    """Put decoded segments together again."""
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def header_of(envelope: WrappedKey | str) -> dict[str, Any]:
    """Return the members of the protected header."""
    members: dict[str, Any] = json.loads(segments(envelope)[0])
    return members


def with_header(envelope: WrappedKey | str, **members: object) -> str:
    """Return the envelope with some members of its header replaced, or left out where None."""
    changed = {**header_of(envelope), **members}
    kept = {name: value for name, value in changed.items() if value is not None}
    return with_header_text(envelope, json.dumps(kept, separators=(",", ":"), ensure_ascii=False))


def with_header_text(envelope: WrappedKey | str, text: str) -> str:
    """Return the envelope with another header."""
    return assemble([text.encode(), *segments(envelope)[1:]])


def compose(
    key: Key,
    secret: bytes,
    *,
    algorithm: WrapAlgorithm,
    kid: KeyId | None = None,
    context: Mapping[str, str] | None = None,
    thumbprint: str | None = None,
    wrapped_with: WrapAlgorithm | None = None,
) -> WrappedKey:
    """Seal an envelope whose every byte is right, except that its header says what it likes.

    Args:
        key: what really wraps the content key.
        secret: what is sealed.
        algorithm: the header's ``alg``.
        kid, context, thumbprint: the header's ``kid`` (by default the key's), ``ctx``, ``kth``.
        wrapped_with: how the content key is really wrapped; by default ``algorithm``.
    """
    really = wrapped_with or algorithm
    key_iv = key_tag = b""
    with SecretBytes.random(CONTENT_KEY_BYTES) as content_key, SecretBytes(secret) as plaintext:
        encrypted = key.wrap_raw(content_key, really)
        if really is WrapAlgorithm.A256GCMKW:
            key_iv, encrypted, key_tag = split_gcm(encrypted)
        start = start_header(algorithm, kid or key.id, thumbprint)
        protected = finish_header(start, "octet-stream", context, key_iv, key_tag)
        return WrappedKey.seal(protected, encrypted, content_key.view(), plaintext.view())


def flips(data: bytes, samples: int = _SAMPLES) -> Iterator[bytes]:
    """Yield ``data`` with one bit changed, at places spread evenly from the first byte to the last.

    Which bit it is changes with the place.
    """
    last = len(data) - 1
    for place in sorted({last * sample // (samples - 1) for sample in range(samples)}):
        changed = bytearray(data)
        changed[place] ^= 1 << place % 8
        yield bytes(changed)


def refusal(call: Callable[..., object], *arguments: object, **named: object) -> None:
    """Assert that the call raises an UnwrapError, and that this tells nothing (promise 3)."""
    with pytest.raises(UnwrapError) as caught:
        call(*arguments, **named)
    _tells_nothing(caught.value)


def rejection(call: Callable[..., object], *arguments: object, **named: object) -> None:
    """Assert as :func:`refusal` does, except that an InvalidInputError will do as well.

    It is for bytes that may or may not be malformed on their face.
    """
    with pytest.raises((UnwrapError, InvalidInputError)) as caught:
        call(*arguments, **named)
    if isinstance(caught.value, UnwrapError):
        _tells_nothing(caught.value)


def _tells_nothing(error: UnwrapError) -> None:
    assert str(error) == str(UnwrapError())
    assert error.native is None
    assert error.__cause__ is None, "the error tells its cause"
    assert error.__context__ is None, "the error was raised while another one was handled"
