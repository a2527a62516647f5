"""How long the soak takes: little in ``make test``, full length in ``make soak``."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs
import pytest

Figures = Callable[[str, str], None]

_FILE: Final = "KEYHIER_SOAK_FIGURES"


@attrs.frozen
class Scale:
    """How much is done.

    Attributes:
        seconds: how long threads use a vault (KEYHIER_SOAK_SECONDS).
        children: how many children a busy parent forks (KEYHIER_SOAK_FORKS).
        items: how many items are unwrapped while the HSM is lost (KEYHIER_SOAK_ITEMS).
        many: how many items memory is measured with (KEYHIER_SOAK_MANY).
        throttled: how many items are unwrapped in vaults that throttle (KEYHIER_SOAK_THROTTLED).
        kills: at how many instants a job of each kind is killed, for each pair of store and vault
            (KEYHIER_SOAK_KILLS).
        killed_records: how many records such a job has (KEYHIER_SOAK_KILLED_RECORDS).
        writes: each so many moments before and after a write of a journal somebody is killed, 1 for
            all of them (KEYHIER_SOAK_WRITES).
        listed: among how many records a set is listed (KEYHIER_SOAK_LISTED).
    """

    seconds: float
    children: int
    items: int
    many: int
    throttled: tuple[int, ...]
    kills: int
    killed_records: int
    writes: int
    listed: int


@pytest.fixture(scope="session")
def scale() -> Scale:
    """What the environment asks for."""
    asked = os.environ.get
    return Scale(
        seconds=float(asked("KEYHIER_SOAK_SECONDS", "5")),
        children=int(asked("KEYHIER_SOAK_FORKS", "20")),
        items=int(asked("KEYHIER_SOAK_ITEMS", "1000")),
        many=int(asked("KEYHIER_SOAK_MANY", "4000")),
        throttled=tuple(map(int, asked("KEYHIER_SOAK_THROTTLED", "300").split())),
        kills=int(asked("KEYHIER_SOAK_KILLS", "4")),
        killed_records=int(asked("KEYHIER_SOAK_KILLED_RECORDS", "60")),
        writes=int(asked("KEYHIER_SOAK_WRITES", "11")),
        listed=int(asked("KEYHIER_SOAK_LISTED", "20000")),
    )


@pytest.fixture
def figures(request: pytest.FixtureRequest) -> Figures:
    """Write a figure down, as a row of a table, where KEYHIER_SOAK_FIGURES names a file."""
    file = os.environ.get(_FILE)

    def write(what: str, figure: str) -> None:
        if file is not None:
            with Path(file).open("a", encoding="utf-8") as rows:
                rows.write(f"| {what} | {figure} |\n")

    return write
