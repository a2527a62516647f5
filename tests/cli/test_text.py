"""Text of others on a terminal."""

from __future__ import annotations

import pytest

from keyhier.cli.text import counted, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain [bold]ü ☃", "plain [bold]ü ☃"),
        ("a\nb\tc", r"a\nb\tc"),
        ("\x1b]0;x\x07", r"\x1b]0;x\x07"),
        ("\u202eevil", r"\u202eevil"),
        ("\udc80", r"\udc80"),
    ],
)
def test_what_is_not_printable_is_written_as_an_escape(text: str, shown: str) -> None:
    assert printable(text) == shown


@pytest.mark.parametrize(
    ("number", "noun", "text"),
    [
        (0, "record", "0 records"),
        (1, "record", "1 record"),
        (2, "record", "2 records"),
        (1, "entry", "1 entry"),
        (3, "entry", "3 entries"),
    ],
)
def test_one_thing_is_not_several(number: int, noun: str, text: str) -> None:
    assert counted(number, noun) == text
