"""What an envelope in a record is bound to."""

from __future__ import annotations

from typing import Final

from keyhier.header import CONTEXT_RECORD
from keyhier.records.record import Record

__all__ = ["CONTEXT_NAMES", "CONTEXT_VM", "CONTEXT_VOLUME", "context_for", "context_of"]

CONTEXT_NAMES: Final = "names"
"""For a KEK the id that envelopes under it name, so that its record cannot be passed off as
another KEK's."""

CONTEXT_VM: Final = "vm"
CONTEXT_VOLUME: Final = "volume"

_ALWAYS: Final = frozenset({CONTEXT_RECORD, CONTEXT_NAMES})


def context_for(
    record_id: str,
    *,
    names: object | None = None,
    vm: str | None = None,
    volume: str | None = None,
) -> dict[str, str]:
    """Return what a new envelope is bound to, of what is given; never a set, which disks leave."""
    given = {
        CONTEXT_RECORD: record_id,
        CONTEXT_NAMES: None if names is None else str(names),
        CONTEXT_VM: vm,
        CONTEXT_VOLUME: volume,
    }
    return {name: value for name, value in given.items() if value is not None}


def context_of(record: Record) -> dict[str, str]:
    """Return what the record's envelope must be bound to, to be opened and to be wrapped again.

    What the record says counts, and not what the envelope says: an envelope that is bound to
    another record, machine or volume does not open. Entries that a record has no word for are kept
    as they are.

    Raises:
        InvalidInputError, IntegrityError: as :meth:`Record.checked`.
    """
    bound = record.checked().wrapped.context
    own = context_for(record.id, names=record.names, vm=record.vm, volume=record.volume)
    kept = {name: value for name, value in bound.items() if name not in _ALWAYS}
    return kept | {name: value for name, value in own.items() if name in bound or name in _ALWAYS}
