"""Where a PIN comes from, and promise 7: that it shows nowhere."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyhier
from keyhier.errors import AuthenticationError, InvalidInputError
from keyhier.pin import MAX_PIN_BYTES, Pin, PinSource
from keyhier.secret import SecretBytes

PIN = "s3cr3t-ß"
READ = """
import sys
from keyhier.pin import PinSource
from keyhier.errors import AuthenticationError
try:
    with PinSource({reference!r}).read("token 'disks'") as pin:
        print("read", pin.reveal())
except AuthenticationError as error:
    print("refused", error)
"""


@pytest.mark.parametrize("form", ["file:{}", "file://{}", "file://localhost{}"])
@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_pin_is_read_from_a_file_without_its_line_break(
    form: str, ending: str, tmp_path: Path
) -> None:
    path = tmp_path / "pin"
    path.write_bytes(f"{PIN}{ending}".encode())
    assert PinSource(form.format(path)).read("t") == PIN.encode()


@pytest.mark.parametrize("name", ["a#b", "a?b", "a%41", "a b", "a;b", "ä"])
def test_every_file_name_is_meant_as_it_is_written(name: str, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("another file's")
    (tmp_path / name).write_text(PIN)
    assert PinSource(f"file:{tmp_path / name}").read("t") == PIN.encode()


def test_only_the_last_line_break_is_no_part_of_the_pin(tmp_path: Path) -> None:
    (tmp_path / "pin").write_bytes(b" a\rb\r\n\n")
    assert PinSource(f"file:{tmp_path / 'pin'}").read("t") == b" a\rb\r\n"


def test_a_pin_is_read_from_the_environment_when_it_is_needed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    source = PinSource("env:KEYHIER_TEST_PIN")
    monkeypatch.setenv("KEYHIER_TEST_PIN", PIN)
    assert source.read("t") == PIN.encode()
    monkeypatch.setenv("KEYHIER_TEST_PIN", "changed")
    assert source.read("t") == b"changed"


def test_a_callback_comes_before_the_reference_and_is_told_what_for() -> None:
    asked: list[str] = []

    def answer(what: str) -> str:
        asked.append(what)
        return PIN

    assert PinSource("file:/nowhere", answer).read("token 'disks'") == PIN.encode()
    assert asked == ["token 'disks'"]


@pytest.mark.parametrize(
    ("source", "given_one"),
    [
        (PinSource(), False),
        (PinSource("prompt:"), True),
        (PinSource("env:A"), True),
        (PinSource(callback=str), True),
    ],
)
def test_a_source_knows_whether_the_user_named_it(source: PinSource, given_one: bool) -> None:
    assert source.given is given_one


@pytest.mark.parametrize(
    "reference",
    [
        "",
        "4711",
        "|cat /etc/passwd",
        "|cat:",
        "file",
        "file:",
        "file:relative",
        "file:./relative",
        "file://host/path",
        "file://localhostile/path",
        "file://[bad/path",
        "file:/a\0b",
        "file:/\ud800",
        "FILE:/a",
        "env:",
        "env:A=B",
        "env:A B",
        "env:1A",
        "env:\udc80",
        "prompt",
        "prompt:x",
        "http://host/pin",
        "exec:cat",
    ],
)
def test_promise_4_and_9_any_other_reference_is_refused(reference: str) -> None:
    with pytest.raises(InvalidInputError, match="commands are refused") as caught:
        PinSource(reference)
    assert "4711" not in str(caught.value)


@given(st.text() | st.builds(str.__add__, st.sampled_from(["file:", "env:", "prompt:"]), st.text()))
def test_any_text_is_a_reference_or_invalid_input(reference: str) -> None:
    try:
        source = PinSource(reference)
    except InvalidInputError:
        return
    assert source.reference == reference
    assert source == PinSource(str(source.reference))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match=r"no PIN for t: .*/missing cannot be read: No "):
        PinSource(f"file:{tmp_path}/missing").read("t")
    with pytest.raises(AuthenticationError, match="Is a directory"):
        PinSource(f"file:{tmp_path}/").read("t")


def _secret_file(folder: Path, content: bytes) -> PinSource:
    (folder / "pin").write_bytes(content)
    return PinSource(f"file:{folder / 'pin'}")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "empty"),
        (b"\n", "empty"),
        (b"s3cr3t\xff", "not UTF-8"),
        (b"s3cr3t" * 700, "too long"),
        (b"s3cr3t" * 1_000_000, "too long"),
    ],
)
def test_promise_7_a_bad_pin_shows_nowhere(content: bytes, problem: str, tmp_path: Path) -> None:
    with pytest.raises(AuthenticationError, match=f"/pin is {problem}") as caught:
        _secret_file(tmp_path, content).read("t")
    _shows_no_pin(caught.value)


def _shows_no_pin(error: BaseException) -> None:
    assert error.__context__ is None
    assert "s3cr3t" not in "".join(traceback.format_exception(error))


def test_the_longest_pin_is_read(tmp_path: Path) -> None:
    assert len(_secret_file(tmp_path, b"x" * MAX_PIN_BYTES + b"\r\n").read("t")) == MAX_PIN_BYTES


@pytest.mark.parametrize("pin", ["s3cr3t\udcff", "\ud800s3cr3t"])
def test_promise_7_a_callbacks_pin_that_is_not_utf_8_shows_nowhere(pin: str) -> None:
    with pytest.raises(AuthenticationError, match="not UTF-8") as caught:
        PinSource(callback=lambda _: pin).read("t")
    _shows_no_pin(caught.value)


def test_promise_7_an_environments_pin_that_is_not_utf_8_shows_nowhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("KEYHIER_TEST_PIN", os.fsdecode(b"s3cr3t\xff"))
    with pytest.raises(AuthenticationError, match="not UTF-8") as caught:
        PinSource("env:KEYHIER_TEST_PIN").read("t")
    _shows_no_pin(caught.value)


def test_a_variable_that_is_not_set_and_a_callback_without_answer_are_refused() -> None:
    with pytest.raises(AuthenticationError, match="the variable KEYHIER_TEST_NOT_SET is not set"):
        PinSource("env:KEYHIER_TEST_NOT_SET").read("t")
    with pytest.raises(AuthenticationError, match="what the callback returned is empty"):
        PinSource(callback=lambda _: "").read("t")


@pytest.mark.parametrize("kind", [str.encode, str, lambda pin: bytearray(pin, "utf-8")])
def test_a_callback_returns_text_or_bytes_or_a_secret(kind: Callable[[str], Pin]) -> None:
    assert PinSource(callback=lambda _: kind(PIN)).read("t") == PIN.encode()
    secret = SecretBytes(PIN.encode())
    assert PinSource(callback=lambda _: secret).read("t") is secret


@pytest.mark.parametrize("pin", [None, 1234, ["s3cr3t"]])
def test_promise_7_what_is_no_pin_is_refused_and_not_shown(pin: Any) -> None:
    with pytest.raises(AuthenticationError, match="neither text nor bytes") as caught:
        PinSource(callback=lambda _: pin).read("t")
    _shows_no_pin(caught.value)


def test_promise_7_a_pin_in_place_of_its_function_is_refused_and_not_shown() -> None:
    pin: Any = "s3cr3t"
    with pytest.raises(InvalidInputError, match="pin is a function") as caught:
        keyhier.open("memory:?file=/nowhere/vault", pin=pin)
    _shows_no_pin(caught.value)


def test_promise_7_no_frame_of_a_refused_pin_keeps_it() -> None:
    with pytest.raises(AuthenticationError) as caught:
        PinSource(callback=lambda _: "s3cr3t\udcff").read("t")
    own = [frame.f_locals for frame, _ in traceback.walk_tb(caught.tb)][1:]
    assert own
    assert not [value for values in own for value in values.values() if "s3cr3t" in repr(value)]


def test_promise_7_neither_pin_nor_callback_is_in_a_repr() -> None:
    assert repr(PinSource("env:A", lambda _: PIN)) == "PinSource(reference='env:A')"


@pytest.mark.parametrize("reference", [None, "prompt:"])
@pytest.mark.parametrize("closed", [False, True])
def test_without_a_terminal_a_prompt_is_refused(reference: str | None, closed: bool) -> None:
    # A service that was started without any standard input has none in Python either.
    code = ("import sys; sys.stdin = None\n" if closed else "") + READ.format(reference=reference)
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("refused no PIN for token 'disks': none was referred to")
    assert not done.stderr


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        (f"{PIN}\n".encode(), f"read {PIN.encode()!r}\n"),
        (b"\x04", "refused no PIN for token 'disks': the prompt was left\n"),
    ],
)
def test_promise_7_a_pin_is_asked_at_a_terminal_without_echo(typed: bytes, answer: str) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-X", "utf8", "-c", READ.format(reference="prompt:")],
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        start_new_session=True,
    ) as child:
        os.close(theirs)
        shown = b""
        while b": " not in shown:
            shown += os.read(ours, 100)
        os.write(ours, typed)
        output, _ = child.communicate(timeout=60)
        while True:
            try:
                more = os.read(ours, 100)
            except OSError:  # The terminal's other end is gone.
                break
            if not more:
                break
            shown += more
    os.close(ours)
    assert output == answer
    assert b"PIN for token 'disks': " in shown
    assert b"s3cr3t" not in shown
