"""A list on a terminal: columns are left out before anything is cut."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from keyhier.cli.listing import Listing

VERSION = "0123456789abcdef" * 2
COLUMNS = {"name": 0, "version": 1, "spec": 3, "state": 2}


def shown(width: int, name: str = "kek") -> str:
    out = io.StringIO()
    listing = Listing(COLUMNS, [(name, VERSION, "RSA-3072", "enabled")])
    Console(file=out, width=width).print(listing, crop=False)
    return out.getvalue()


@pytest.mark.parametrize(
    ("width", "heads"),
    [
        (100, ["name", "version", "spec", "state"]),
        (62, ["name", "version", "spec", "state"]),
        (61, ["name", "version", "state"]),
        (50, ["name", "version"]),
        (10, ["name", "version"]),
    ],
)
def test_the_least_useful_columns_go_first_and_the_rest_is_whole(
    width: int, heads: list[str]
) -> None:
    lines = shown(width).splitlines()
    assert lines[1].split() == heads
    assert lines[3].split()[:2] == ["kek", VERSION]
    assert len(lines) == 5


def test_a_name_of_any_length_is_whole() -> None:
    name = "k" * 127
    assert name in shown(80, name)
