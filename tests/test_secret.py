"""SecretBytes: promise 6, plaintext keys are short-lived."""

from __future__ import annotations

import copy
import gc
import json
import pickle
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.secret import SecretBytes

SECRET = b"correct horse battery staple"


@pytest.fixture
def secret() -> SecretBytes:
    return SecretBytes(SECRET)


def test_promise_6_the_bytes_are_zeroed_when_the_block_ends() -> None:
    buffer = bytearray(SECRET)
    with SecretBytes.adopt(buffer) as secret:
        assert secret.view() == SECRET
        assert not secret.wiped
    assert buffer == bytes(len(SECRET))
    assert secret.wiped


def test_promise_6_the_bytes_are_zeroed_when_the_block_fails() -> None:
    buffer = bytearray(SECRET)
    with pytest.raises(RuntimeError, match="on purpose"), SecretBytes.adopt(buffer):
        raise RuntimeError("on purpose")
    assert buffer == bytes(len(SECRET))


def test_promise_6_views_that_were_lent_see_zeros_after_the_wipe(secret: SecretBytes) -> None:
    view, part = secret.view(), secret.view()[3:9]
    secret.wipe()
    assert view == bytes(len(SECRET))
    assert part == bytes(6)


def test_promise_6_the_bytes_are_zeroed_when_nobody_holds_the_secret() -> None:
    buffer = bytearray(SECRET)
    secret = SecretBytes.adopt(buffer)
    del secret
    gc.collect()
    assert buffer == bytes(len(SECRET))


def test_wiping_twice_is_harmless(secret: SecretBytes) -> None:
    secret.wipe()
    secret.wipe()
    assert secret.wiped


def test_a_secret_that_was_never_made_is_deleted_without_complaint() -> None:
    with pytest.raises(InvalidInputError, match="made of bytes, not of str"):
        SecretBytes("text")  # type: ignore[arg-type]  # It is the point.
    gc.collect()


@pytest.mark.parametrize(
    "use",
    [
        SecretBytes.view,
        SecretBytes.reveal,
        len,
        bool,
        SecretBytes.__enter__,
        lambda wiped: wiped == SECRET,
        lambda wiped: wiped == SecretBytes(SECRET),
        lambda wiped: SecretBytes(SECRET) == wiped,
    ],
)
def test_promise_6_a_wiped_secret_cannot_be_used(
    use: Callable[[SecretBytes], object], secret: SecretBytes
) -> None:
    secret.wipe()
    with pytest.raises(InvalidStateError, match="wiped"):
        use(secret)


def test_promise_6_nothing_that_prints_a_secret_shows_it(secret: SecretBytes) -> None:
    for text in (
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret!r}",
        "%s" % secret,  # noqa: UP031  # Old code prints so.
        f"{[secret]}",
    ):
        assert "SecretBytes" in text
        assert "horse" not in text
    secret.wipe()
    assert repr(secret) == "<SecretBytes: wiped>"


@pytest.mark.parametrize(
    "leak",
    [
        pickle.dumps,
        copy.copy,
        copy.deepcopy,
        bytes,
        bytearray,
        memoryview,
        iter,
        list,
        tuple,
        set,
        sum,
        hash,
        json.dumps,
        vars,
        lambda secret: b"".join([secret]),
        lambda secret: b"" + secret,
        lambda secret: secret[0],
        lambda secret: secret[:],
        lambda secret: 99 in secret,
        lambda secret: f"{secret:s}",
        lambda secret: {secret: 1},
        reversed,
        lambda secret: [*secret],
    ],
)
def test_promise_6_no_protocol_of_python_copies_a_secret(
    leak: Callable[[SecretBytes], object], secret: SecretBytes
) -> None:
    with pytest.raises(TypeError) as caught:
        leak(secret)
    assert "horse" not in str(caught.value)
    assert secret == SECRET


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_promise_6_no_pickle_protocol_takes_a_secret(secret: SecretBytes, protocol: int) -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(secret, protocol)


@given(st.binary(max_size=64), st.binary(max_size=64))
def test_secrets_are_equal_when_their_bytes_are(left: bytes, right: bytes) -> None:
    secret = SecretBytes(left)
    for other in (right, bytearray(right), memoryview(right), SecretBytes(right)):
        assert (secret == other) is (left == right)
        assert (secret != other) is (left != right)
        assert (other == secret) is (left == right)


@pytest.mark.parametrize("other", [SECRET.decode(), None, 7, list(SECRET), object()])
def test_a_secret_equals_nothing_that_is_not_bytes(other: object, secret: SecretBytes) -> None:
    assert secret != other
    assert not secret == other  # noqa: SIM201  # Both operators are tried.


@given(st.binary(max_size=200))
def test_a_secret_holds_what_it_was_given(data: bytes) -> None:
    for source in (data, bytearray(data), memoryview(data)):
        with SecretBytes(source) as secret:
            assert secret.reveal() == data == bytes(secret.view())
            assert len(secret) == len(data)
            assert bool(secret) is bool(data)


def test_a_secret_is_a_copy_of_what_it_was_made_from() -> None:
    source = bytearray(SECRET)
    with SecretBytes(source) as secret:
        source[0] ^= 1
        assert secret == SECRET
    assert len(source) == len(SECRET)
    assert any(source)


def test_a_view_writes_into_the_secret() -> None:
    with SecretBytes.allocate(4) as secret:
        assert secret == bytes(4)
        secret.view()[:] = b"keys"
        assert secret.reveal() == b"keys"


def test_random_secrets_have_their_length_and_differ() -> None:
    assert len(SecretBytes.random(32)) == 32
    assert SecretBytes.random(32) != SecretBytes.random(32)


def test_a_secret_can_be_held_weakly_and_has_no_attributes(secret: SecretBytes) -> None:
    with pytest.raises(AttributeError):
        secret.label = "x"  # type: ignore[attr-defined]  # It is the point.
