"""A restore drill: records are opened, and nothing is changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import attrs

from keyhier.errors import IntegrityError, KeyhierError
from keyhier.hierarchy.context import context_of
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.middle_kek import KEK_CONTENT_TYPE
from keyhier.records.record import Query, Record, RecordKind
from keyhier.wrapped import WrappedKey

__all__ = ["Verification", "verify"]

Progress = Callable[[int], None]
"""Told how many records were looked at."""


@attrs.frozen
class Verification:
    """What came of opening records.

    Attributes:
        opened: how many opened.
        failed: the ids of the others, and why; they are as they were.
        of: how many records there are, of which these are all or a sample.
    """

    opened: int
    failed: tuple[tuple[str, KeyhierError], ...]
    of: int


def verify(
    core: Core,
    query: Query,
    *,
    sample: int | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Open the records that match, or so many of them at random; see :meth:`Hierarchy.verify`."""
    total = core.records.count(query)
    chosen = core.records.find(query)
    if sample is not None and sample < total:
        chosen = _sampled(chosen, sample, total)
    opened = 0
    failed: list[tuple[str, KeyhierError]] = []
    for number, record in enumerate(chosen, 1):
        try:
            _open(core, record)
        except KeyhierError as error:
            failed.append((record.id, error))
        else:
            opened += 1
        if progress is not None:
            progress(number)
    return Verification(opened, tuple(failed), total)


def _sampled(records: Iterator[Record], size: int, total: int) -> Iterator[Record]:
    """Choose so many of a stream, each as likely as any other (Knuth's algorithm S)."""
    draw = random.SystemRandom().random
    for seen, record in enumerate(records):
        if size <= 0:
            return
        if draw() * max(total - seen, size) < size:
            size -= 1
            yield record


def _open(core: Core, record: Record) -> None:
    expected = context_of(record)
    core.keyring.use(record.key).unwrap(record.wrapped, context=expected).wipe()
    if (record.kind is RecordKind.KEK) != (record.wrapped.content_type == KEK_CONTENT_TYPE):
        raise IntegrityError(f"the record {record.id} holds something else than it says")
    if record.previous is not None:
        # It may be brought back, so it is part of what can be restored.
        before = WrappedKey.parse(record.previous.envelope)
        core.keyring.use(record.previous.key).unwrap(before, context=expected).wipe()
