"""Text of others on a terminal."""

from __future__ import annotations

import pytest

from keyhier.cli.text import printable


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
