"""How the second act of `keyhier demo` is shown."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from keyhier.cli.demo_hierarchy import ActTwo
from keyhier.cli.text import printable
from keyhier.cli.tree_graphs import summary
from keyhier.hierarchy.census import Census
from keyhier.hierarchy.tree import Node
from keyhier.identifiers import KeyId

__all__ = ["WIDTH", "second_act", "state"]

WIDTH: Final = 78
_SHOWN: Final = 8


def second_act(done: ActTwo) -> RenderableType:
    """Return what is shown of a hierarchy's rotation and migration."""
    return Group(
        Text(f"-- disks in a set: from {done.first.title} ".ljust(WIDTH, "-"), style="dim"),
        "Four disks in the set web, which follows the latest version of its key",
        _tree(done.before),
        "",
        "The census of the key before it was rotated, and after",
        _censuses(done),
        "",
        f"In the end, in {done.second.title}",
        _tree(done.after),
        "",
        _checks(done),
        "",
    )


def state(*, holds: bool) -> Text:
    """Return the word for something that came out as it must, or did not."""
    return Text("ok", style="green") if holds else Text("FAILED", style="bold red")


def _tree(nodes: Iterable[Node]) -> Tree:
    tree = Tree("keys of the records", guide_style="dim")
    for root in nodes:
        for node in root.walk():
            # A chain of one here: the disks are directly under the key of their set.
            tree.add(f"{_short(node.key)}: {printable(summary(node))}")
    return tree


def _censuses(done: ActTwo) -> Table:
    table = Table.grid(padding=(0, 2))
    for _ in range(3):
        table.add_column(no_wrap=True)
    table.add_row("", "before", "after", style="bold")
    versions = {each.key for each in (*done.census_before.versions, *done.census_after.versions)}
    for version in sorted(versions):
        counts = (_needed(each, version) for each in (done.census_before, done.census_after))
        table.add_row(_short(version), *counts)
    return table


def _needed(census: Census, version: KeyId) -> str:
    return f"needed by {census.of(version).records} records"


def _short(key: KeyId) -> str:
    """Return a key's name and the end of its version, by which people tell versions apart."""
    return printable(f"{key.name}/...{key.version[-_SHOWN:]}")


def _checks(done: ActTwo) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column()
    disks = sum(node.count for node in done.after)
    for holds, text in (
        (done.rotated == disks, f"the set took the new version up: {done.rotated} records rotated"),
        (done.retired, "the old version was disabled, as nothing needs it"),
        (done.migrated == disks, f"{done.migrated} records migrated to the second vault"),
        (done.same, "every key came back the same without the first vault"),
    ):
        table.add_row(state(holds=holds), text)
    return table
