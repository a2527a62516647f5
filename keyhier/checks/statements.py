"""What findings rest on that no placement rule speaks of: data, in ``statements.toml``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final

from keyhier.doctor import Severity
from keyhier.placement.rules import Statement
from keyhier.placement.table_file import Reader, TableFile, read_date, read_text, read_word

__all__ = [
    "ELIGIBLE",
    "NOT_READ",
    "READABLE",
    "SETTINGS",
    "SET_SETTINGS",
    "STATEMENTS",
    "TRANSITION",
]

_READERS: Final[Mapping[str, Reader]] = {
    "id": read_text,
    "severity": read_word(Severity),
    "text": read_text,
    "remedy": read_text,
    "source": read_text,
    "date": read_date,
}


def _read(path: Path) -> Mapping[str, Statement]:
    tables = TableFile.read(path, {"statement"}).tables("statement", _READERS, tuple(_READERS))
    return MappingProxyType({fields["id"]: Statement(**fields) for _, fields in tables})


STATEMENTS: Final = _read(Path(__file__).with_suffix(".toml"))
"""All of them, by their ids."""

READABLE: Final = STATEMENTS["document"]
NOT_READ: Final = STATEMENTS["document-part"]
SETTINGS: Final = STATEMENTS["settings"]
SET_SETTINGS: Final = STATEMENTS["set-settings"]
TRANSITION: Final = STATEMENTS["transition"]
ELIGIBLE: Final = STATEMENTS["eligibility"]
