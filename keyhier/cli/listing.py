"""A list of things on a terminal: what is copied from it is never cut."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import attrs
from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table

__all__ = ["Listing"]

# At least this many of the most useful columns are shown, however narrow the terminal is.
_ALWAYS: Final = 2


@attrs.frozen
class Listing:
    """A table that leaves columns out where it would be wider than the terminal.

    Attributes:
        columns: their heads, from left to right, and how soon each is left out: greater is sooner.
        rows: the cells of each row.
    """

    columns: Mapping[str, int]
    rows: Sequence[Sequence[str]]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Yield the table, for Rich."""
        useful = sorted(self.columns, key=self.columns.__getitem__)
        table = self._table(useful)
        while len(useful) > _ALWAYS and _width(console, table) > options.max_width:
            useful.pop()
            table = self._table(useful)
        # Where even the rest is too wide, the terminal breaks its lines, and copies them whole.
        yield from console.render(table, options.update(width=_width(console, table)))

    def _table(self, shown: Sequence[str]) -> Table:
        table = Table(box=SIMPLE_HEAD, pad_edge=False)
        places = [place for place, name in enumerate(self.columns) if name in shown]
        for name in self.columns:
            if name in shown:
                table.add_column(name, no_wrap=True)
        for row in self.rows:
            table.add_row(*(row[place] for place in places))
        return table


def _width(console: Console, table: Table) -> int:
    unbounded = console.options.update(width=100_000)
    return Measurement.get(console, unbounded, table).maximum
