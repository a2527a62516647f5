"""Inventory: the disk secrets of a vault, what opens each, and whether that still can."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING

import attrs

from keyhier.azure_disk.disk_secret import DiskSecret, is_disk_secret
from keyhier.azure_disk.recovery import find_kek
from keyhier.errors import (
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
)

if TYPE_CHECKING:
    from keyhier.azure_disk.labels import KekReference
    from keyhier.stored_secret import StoredSecret
    from keyhier.vault import Vault

__all__ = ["Item", "Opening", "take_inventory"]


class Opening(StrEnum):
    """Whether a secret can be opened."""

    OPENS = "opens"
    UNKNOWN = "unknown"
    LOST = "lost"


Verdict = tuple[Opening, str | None]
"""Whether, and why not."""


@attrs.frozen
class Item:
    """One secret of Azure Disk Encryption.

    Attributes:
        stored: the secret, without its value.
        labels: what they say, or None where they make no sense.
        opening: whether it can be opened.
        reason: why not, or why that is not known; None where it can.
    """

    stored: StoredSecret
    labels: DiskSecret | None
    opening: Opening
    reason: str | None = None


def take_inventory(listed: Iterable[StoredSecret], vaults: Sequence[Vault]) -> Iterator[Item]:
    """Yield the disk secrets among those that a vault lists.

    No value is read and nothing is unwrapped. Each KEK is looked up once, in the vaults given.
    """
    verdicts: dict[KekReference, Verdict] = {}
    for stored in filter(is_disk_secret, listed):
        try:
            described = DiskSecret.read(stored)
        except InvalidInputError as error:
            yield Item(stored, None, Opening.LOST, error.message)
            continue
        kek = described.kek
        if kek is not None and kek not in verdicts:
            verdicts[kek] = _look_up(kek, vaults)
        yield Item(stored, described, *_judge(described, None if kek is None else verdicts[kek]))


def _judge(described: DiskSecret, of_kek: Verdict | None) -> Verdict:
    if not described.enabled:
        return Opening.LOST, "the secret is disabled"
    if of_kek is not None:
        return of_kek
    if described.wrapped is False:
        return Opening.OPENS, None
    return Opening.UNKNOWN, "its labels do not say which KEK opens it, if any"


def _look_up(kek: KekReference, vaults: Sequence[Vault]) -> Verdict:
    if not any(vault.is_home_of(kek.id) for vault in vaults):
        return Opening.UNKNOWN, f"the KEK is in another vault, {kek.id.vault}"
    try:
        key = find_kek(kek.id, vaults)
    except (NotFoundError, InvalidStateError, InvalidInputError) as error:
        return Opening.LOST, error.message
    except KeyhierError as error:
        # Who may not look at the KEK, or cannot reach it now, learns nothing about it.
        return Opening.UNKNOWN, error.message
    if kek.algorithm not in key.algorithms:
        return Opening.LOST, f"the KEK cannot be used with {kek.algorithm} in its vault"
    return Opening.OPENS, None
