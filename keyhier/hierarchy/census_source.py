"""Where a census asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import attrs

from keyhier.identifiers import KeyId
from keyhier.records.record import CensusRow

__all__ = ["CensusSource", "SourceResult"]


@attrs.frozen
class SourceResult:
    """What one place was asked, and whether it could say all.

    Attributes:
        source: what was asked.
        complete: whether nothing is left that it could not tell.
        reason: why it is not complete, or None.
        rows: who needs which key version.
        ade: names of Azure Disk Encryption's secrets by the key version that their tags name.
    """

    source: str
    complete: bool = True
    reason: str | None = None
    rows: tuple[CensusRow, ...] = ()
    ade: Mapping[KeyId, tuple[str, ...]] = attrs.field(factory=dict)


CensusSource = Callable[[KeyId], SourceResult]
"""Another place where keys are needed, such as the records of another hierarchy."""
