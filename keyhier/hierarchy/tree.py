"""Tree: what lies under what, in any form that a reader wants."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import attrs

from keyhier.errors import KeyhierError, NotFoundError
from keyhier.hierarchy.chain_keyring import MAX_DEPTH
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.identifiers import KeyId
from keyhier.records.protocol import SupportsKeyMarks, SupportsSets
from keyhier.records.record import Query, RecordKind, RecordState

__all__ = ["Node", "grow"]


@attrs.frozen
class Node:
    """A key version, and what lies under it.

    Attributes:
        key: the version.
        state: ``in use``, ``retiring``, ``disabled``, ``retired``, ``missing`` where its vault or
            the records do not have it, ``vault not open``, or what keeps it from being looked at.
        volumes: how many volume keys lie directly under it, by set; None for those in no set.
        sets: the sets that use it.
        children: KEKs in records under it.
    """

    key: KeyId
    state: str
    volumes: dict[str | None, int]
    sets: tuple[str, ...]
    children: tuple[Node, ...]

    @property
    def count(self) -> int:
        """How many volume keys lie directly under it."""
        return sum(self.volumes.values())

    def as_dict(self) -> dict[str, Any]:
        """Return it, and all that lies under it, for JSON."""
        return {
            "key": str(self.key),
            "state": self.state,
            "volumes": {name or "": count for name, count in self.volumes.items()},
            "sets": list(self.sets),
            "children": [child.as_dict() for child in self.children],
        }

    def walk(self) -> Iterator[Node]:
        """Yield it and all that lies under it."""
        yield self
        for child in self.children:
            yield from child.walk()


def grow(core: Core) -> tuple[Node, ...]:
    """Return the trees of a hierarchy, one for each key version of a vault that is needed."""
    parents: dict[KeyId, KeyId] = {}
    states: dict[KeyId, str] = {}
    keks: Counter[KeyId] = Counter()
    for record in core.records.find(Query(kind=RecordKind.KEK)):
        if record.names is not None:
            parents[record.names] = record.key
            keks[record.key] += 1
            retired = record.state is RecordState.RETIRED
            states[record.names] = "retired" if retired else "in use"
    volumes: dict[KeyId, Counter[str | None]] = defaultdict(Counter)
    for row in core.records.census(by_vm=False):
        if not row.kept:
            volumes[row.key][row.set] += row.count
    for key, count in keks.items():
        # KEKs are in no set.
        volumes[key][None] -= count
    used: dict[KeyId, list[str]] = defaultdict(list)
    if isinstance(core.records, SupportsSets):
        for name, key in _set_keys(core):
            used[key].append(name)
    if isinstance(core.records, SupportsKeyMarks):
        states.update({mark.key: str(mark.state) for mark in core.key_marks.all()})
    children: dict[KeyId, list[KeyId]] = defaultdict(list)
    for child, parent in parents.items():
        children[parent].append(child)
    roots = {*volumes, *children, *used} - set(parents)
    for root in roots - set(states):
        states[root] = _state(core, root)
    # Records that lead in a circle are under no root; they are shown as such.
    reached: set[KeyId] = set()

    def node(key: KeyId, depth: int = 0) -> Node:
        reached.add(key)
        # No KEK is used that lies deeper; what is there nevertheless is shown beside.
        next_tier = children.get(key, ()) if depth <= MAX_DEPTH else ()
        below = [each for each in sorted(next_tier) if each not in reached]
        return Node(
            key,
            states.get(key, "missing"),
            {name: count for name, count in volumes.get(key, Counter()).items() if count > 0},
            tuple(sorted(used.get(key, ()))),
            tuple(node(each, depth + 1) for each in below),
        )

    trees = [node(root) for root in sorted(roots)]
    trees += [node(each) for each in sorted(parents) if each not in reached]
    return tuple(trees)


def _set_keys(core: Core) -> Iterator[tuple[str, KeyId]]:
    for stored in core.sets.all():
        active = stored.document.get("active")
        if isinstance(active, str):
            yield stored.name, KeyId.parse(active)


def _state(core: Core, key: KeyId) -> str:
    if key.scheme == IN_RECORDS:
        return "missing"
    try:
        return "in use" if core.keyring.vaults.key(key).enabled else "disabled"
    except NotFoundError:
        return "missing" if core.keyring.vaults.is_open(key) else "vault not open"
    except KeyhierError as error:
        return error.message
