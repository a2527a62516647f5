"""Policy: what a hierarchy insists on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.hierarchy.census_source import CensusSource
from keyhier.hierarchy.kek_cache import CacheLimits
from keyhier.hierarchy.parents import parents_from
from keyhier.hierarchy.recovery_key import RecoveryKey
from keyhier.identifiers import KeyId
from keyhier.placement.policy import PlacementPolicy

__all__ = ["PROPAGATION", "Policy"]

PROPAGATION: Final[Mapping[str, float]] = {"https": 3600.0}
"""The seconds until all that follow a key have its new version, by the scheme of the key's id.

Azure picks a new version up within an hour, and stops disks within about an hour
(https://learn.microsoft.com/azure/virtual-machines/disk-encryption).
"""


@attrs.frozen(kw_only=True)
class Policy:
    """What a hierarchy insists on.

    Attributes:
        cache: how long an unwrapped KEK is kept.
        pins: thumbprints of KEKs in records by their ids, from the configuration and never from the
            records themselves; any mapping, which may be changed later.
        parents: names or ids of the AES keys of vaults under which KEKs in records are believed to
            be those that were made. None stands for the only AES key of each vault; where a vault
            has several, none of them is one unless it is named.
        session_keks: whether KEKs are unwrapped into the vault where it can, and never seen here.
        recovery_key: whose owner can open every new record without any vault, or None.
        require_recovery: whether nothing is protected without such a key.
        placement: where sets may have their keys, volumes outside of sets their KEKs, and machines
            the sets of their volumes, or None where nobody asks.
        propagation: as :data:`PROPAGATION`.
        sources: what else needs its keys, which every census asks, too.
    """

    cache: CacheLimits = attrs.field(factory=CacheLimits)
    pins: Mapping[KeyId, str] = attrs.field(factory=dict)
    parents: tuple[str | KeyId, ...] | None = attrs.field(default=None, converter=parents_from)
    session_keks: bool = False
    recovery_key: RecoveryKey | None = None
    require_recovery: bool = False
    placement: PlacementPolicy | None = None
    propagation: Mapping[str, float] = attrs.field(factory=lambda: PROPAGATION)
    sources: tuple[CensusSource, ...] = ()

    def __attrs_post_init__(self) -> None:
        if self.require_recovery and self.recovery_key is None:
            raise InvalidInputError(
                "an offline recovery key is required, and none is given",
                remedy="name the PEM file of its public half",
            )

    def window(self, key: KeyId) -> float:
        """Return the seconds until all that follow the key have its new version."""
        return self.propagation.get(key.scheme, 0.0)
