"""Trees of keys in the languages of diagrams: Mermaid and Graphviz's DOT."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from keyhier.hierarchy.tree import Node

__all__ = ["as_dot", "as_mermaid", "summary"]

# What means something inside of a label; a key's label is data and draws nothing.
_HTML = {ord("&"): "#amp;", ord('"'): "#quot;", ord("<"): "#lt;", ord(">"): "#gt;"}
_DOT = {ord("\\"): "\\\\", ord('"'): '\\"'}


def summary(node: Node) -> str:
    """Say in one line how a key is and what lies directly under it."""
    parts = [node.state]
    if node.count:
        named = {name: count for name, count in node.volumes.items() if name is not None}
        where = ", ".join(f"{name} {count}" for name, count in sorted(named.items()))
        keys = "1 volume key" if node.count == 1 else f"{node.count} volume keys"
        parts.append(f"{keys} ({where})" if where else keys)
    if node.sets:
        parts.append(f"used by the set {', '.join(node.sets)}")
    return "; ".join(parts)


def as_mermaid(nodes: Sequence[Node]) -> str:
    """Return a flow chart in Mermaid."""

    def node(number: int, each: Node) -> str:
        label = "<br/>".join(text.translate(_HTML) for text in (str(each.key), summary(each)))
        return f'k{number}["{label}"]'

    drawn = _lines(nodes, node, lambda upper, lower: f"k{upper} --> k{lower}")
    return "\n".join(["flowchart TD", *(f"  {line}" for line in drawn)])


def as_dot(nodes: Sequence[Node]) -> str:
    """Return a graph in DOT."""

    def node(number: int, each: Node) -> str:
        label = "\\n".join(text.translate(_DOT) for text in (str(each.key), summary(each)))
        return f'k{number} [label="{label}"];'

    drawn = _lines(nodes, node, lambda upper, lower: f"k{upper} -> k{lower};")
    return "\n".join(
        ["digraph keys {", "  node [shape=box];", *(f"  {line}" for line in drawn), "}"]
    )


def _lines(
    nodes: Sequence[Node], node: Callable[[int, Node], str], edge: Callable[[int, int], str]
) -> Iterator[str]:
    everything = [each for root in nodes for each in root.walk()]
    numbers = {each.key: number for number, each in enumerate(everything)}
    for each in everything:
        yield node(numbers[each.key], each)
        for child in each.children:
            yield edge(numbers[each.key], numbers[child.key])
