"""Linux passphrases."""

from __future__ import annotations

import base64
import pickle
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import (
    AlreadyExistsError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
)
from keyhier.secret import SecretBytes, Wrappable
from keyhier.volume import LinuxPassphrase


class Source:
    """A random source that gives what it is told to."""

    def __init__(self, answer: bytes) -> None:
        self.given = SecretBytes(answer)

    def random_bytes(self, length: int) -> SecretBytes:
        assert length == 127
        return self.given


def test_a_generated_one_is_as_azure_disk_encryption_makes_them() -> None:
    text = LinuxPassphrase.generate().to_bytes().reveal()
    assert len(text) == 172
    assert len(base64.b64decode(text, validate=True)) == 127
    assert text != LinuxPassphrase.generate().to_bytes()


@given(st.binary(min_size=127, max_size=127).filter(any))
def test_it_is_standard_base64_of_what_the_source_gave(drawn: bytes) -> None:
    source = Source(drawn)
    passphrase = LinuxPassphrase.generate(source)
    assert passphrase.to_bytes() == base64.b64encode(drawn)
    assert source.given.wiped


@pytest.mark.parametrize("answer", [b"", b"\1" * 126, b"\1" * 128, bytes(127)])
def test_a_broken_random_source_is_found(answer: bytes) -> None:
    with pytest.raises(IntegrityError, match="random source gave"):
        LinuxPassphrase.generate(Source(answer))


@given(st.binary(min_size=1, max_size=512))
def test_a_users_own_survives_exactly_or_is_refused(text: bytes) -> None:
    if set(text) & set(b"\0\r\n"):
        with pytest.raises(InvalidInputError):
            LinuxPassphrase.from_bytes(text)
    else:
        with LinuxPassphrase.from_bytes(text).to_bytes() as kept:
            assert kept == text


def test_text_is_utf_8() -> None:
    assert LinuxPassphrase.from_text("schlüssel ☃").to_bytes() == "schlüssel ☃".encode()


@pytest.mark.parametrize("source", [b"x", bytearray(b"x"), SecretBytes(b"x")], ids=repr)
def test_what_is_given_stays_the_callers(source: bytes | bytearray | SecretBytes) -> None:
    LinuxPassphrase.from_bytes(source).wipe()
    assert source == b"x"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "not empty"),
        (b"x" * 513, "at most 512 bytes"),
        (b"secret\n", "ends with a line break.*printf"),
        (b"secret\r\n", "ends with a line break.*printf"),
        (b"\n", "ends with a line break"),
        (b"sec\nret", "one line without a NUL.*plain bytes"),
        (b"sec\rret", "one line without a NUL"),
        (b"sec\0ret", "one line without a NUL"),
        (b"secret\0", "one line without a NUL"),
    ],
)
def test_what_could_not_be_typed_is_refused_and_not_shown(text: bytes, problem: str) -> None:
    with pytest.raises(InvalidInputError, match=problem) as refused:
        LinuxPassphrase.from_bytes(text)
    assert "secret" not in str(refused.value)


def test_text_that_utf_8_cannot_hold_is_refused_without_a_trace_of_it() -> None:
    with pytest.raises(InvalidInputError, match="UTF-8") as refused:
        LinuxPassphrase.from_text("sec\ud800ret")
    assert refused.value.__context__ is None


def test_it_is_what_a_kek_can_wrap() -> None:
    passphrase = LinuxPassphrase.generate()
    wrappable: Wrappable = passphrase
    assert wrappable.content_type == "vnd.keyhier.luks"
    with wrappable.to_secret() as secret:
        assert LinuxPassphrase.from_bytes(secret) == passphrase


def test_the_file_is_the_passphrase_and_no_line_break(tmp_path: Path) -> None:
    path = tmp_path / "LinuxPassPhraseFileName"
    passphrase = LinuxPassphrase.from_text("correct horse")
    passphrase.write(path)
    assert path.read_bytes() == b"correct horse"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert LinuxPassphrase.read(path) == passphrase
    with pytest.raises(AlreadyExistsError):
        LinuxPassphrase.from_text("other").write(path)
    LinuxPassphrase.from_text("other").write(path, overwrite=True)
    assert path.read_bytes() == b"other"


def test_a_file_with_a_line_break_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "passphrase"
    path.write_bytes(b"correct horse\n")
    with pytest.raises(InvalidInputError, match="printf"):
        LinuxPassphrase.read(path)


def test_promise_6_it_shows_nothing_and_is_gone_when_wiped() -> None:
    with LinuxPassphrase.from_text("correct horse") as passphrase:
        assert repr(passphrase) == "<LinuxPassphrase>"
        with pytest.raises(TypeError):
            pickle.dumps(passphrase)
        with pytest.raises(TypeError):
            hash(passphrase)
    assert repr(passphrase) == "<LinuxPassphrase: wiped>"
    with pytest.raises(InvalidStateError):
        passphrase.to_bytes()


def test_two_are_equal_if_their_bytes_are() -> None:
    one = LinuxPassphrase.from_text("x")
    assert one == LinuxPassphrase.from_text("x")
    assert one != LinuxPassphrase.from_text("y")
    assert one != b"x"
