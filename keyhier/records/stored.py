"""What a store keeps besides records and jobs: states of key versions, and encryption sets."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import attrs

from keyhier.identifiers import KeyId
from keyhier.records.checks import check_document

__all__ = ["KeyMark", "KeyState", "StoredSet"]


class KeyState(enum.StrEnum):
    """What is noted of a key version; one that nothing is noted of is in use."""

    RETIRING = "retiring"
    DISABLED = "disabled"


@attrs.frozen
class KeyMark:
    """What is noted of a key version.

    Attributes:
        key: the version.
        state: in either state a record gets no envelope under it any more.
        since: since when, in UTC by the store's clock.
        details: a JSON object, such as what the last census said.
    """

    key: KeyId
    state: KeyState
    since: datetime
    details: Mapping[str, Any] = attrs.field(factory=dict, validator=check_document, hash=False)


@attrs.frozen(kw_only=True)
class StoredSet:
    """An encryption set as it is kept.

    Attributes:
        name: unlike any other's.
        key: what it refers to: a key version (pinned), or a key without one (following).
        document: everything else, as a JSON object: encryption type, previous keys, identity,
            placement, last rotation, auto-rotation error, versions observed and when.
        generation: 0 for one that is not kept yet; grows with every change.
        created, updated: in UTC by the store's clock.
    """

    name: str
    key: KeyId
    document: Mapping[str, Any] = attrs.field(factory=dict, validator=check_document, hash=False)
    generation: int = 0
    created: datetime | None = None
    updated: datetime | None = None
