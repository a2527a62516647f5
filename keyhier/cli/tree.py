"""`keyhier tree`: what lies under what."""

from __future__ import annotations

import json
import sys
from enum import StrEnum
from typing import Annotated, Any

import typer
from rich.text import Text
from rich.tree import Tree

from keyhier.cli.hierarchy import open_hierarchy
from keyhier.cli.session import Session, hierarchy_command
from keyhier.cli.text import printable
from keyhier.cli.tree_graphs import as_dot, as_mermaid, summary
from keyhier.hierarchy.tree import Node

__all__ = ["tree"]


class Format(StrEnum):
    """How the tree is written."""

    TEXT = "text"
    MERMAID = "mermaid"
    DOT = "dot"
    JSON = "json"


@hierarchy_command
def tree(
    session: Session,
    *,
    style: Annotated[
        Format, typer.Option("--format", help="For people, for a diagram, or for programs.")
    ] = Format.TEXT,
) -> None:
    """Show the keys of the records: which lies under which, and how much under each."""
    with open_hierarchy(session, read_only=True) as hierarchy:
        nodes = hierarchy.tree()
    document: dict[str, Any] = {"trees": [node.as_dict() for node in nodes]}
    match style:
        case Format.MERMAID:
            session.show(document, as_mermaid(nodes))
        case Format.DOT:
            session.show(document, as_dot(nodes))
        case Format.JSON:
            sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
        case Format.TEXT:
            picture = Tree("keys of the records", guide_style="dim")
            for node in nodes:
                _grow(picture, node)
            session.show(document, picture if nodes else "no records")


def _grow(branch: Tree, node: Node) -> None:
    text = Text(printable(str(node.key)), style="bold")
    text.append(f"\n{printable(summary(node))}", style="none")
    below = branch.add(text)
    for child in node.children:
        _grow(below, child)
