"""Text of others on a terminal, and contexts."""

from __future__ import annotations

import pytest

from keyhier.cli.text import parse_context, printable
from keyhier.errors import InvalidInputError


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


def test_a_context_is_read() -> None:
    assert parse_context(None) == {}
    assert parse_context(["a=", "b=c=d"]) == {"a": "", "b": "c=d"}


@pytest.mark.parametrize("pairs", [["a"], ["=a"], [""], ["a=1", "a=1"]])
def test_promise_9_a_context_that_is_not_clear_is_refused(pairs: list[str]) -> None:
    with pytest.raises(InvalidInputError):
        parse_context(pairs)
