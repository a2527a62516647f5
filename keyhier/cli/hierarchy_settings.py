"""What keyhier.toml says of a hierarchy, in the table of a profile.

::

    [profiles.lab]
    hierarchy = "fleet"
    recovery-key = "/etc/keyhier/recovery.pem"
    require-recovery = true
    parents = ["root"]

    [profiles.lab.pins]
    "record:fleet/web/5edcb295262b3383e9e4666577d7c1e6" = "thumbprint that was shown"

Its table ``placement`` is read by :mod:`keyhier.cli.placement_settings`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import attrs

from keyhier.cli.own_file import require_own
from keyhier.cli.placement_settings import read_placement
from keyhier.errors import AccessDeniedError, InvalidInputError
from keyhier.hierarchy.parents import parents_from
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.recovery_key import RecoveryKey
from keyhier.identifiers import KeyId, check_key_name
from keyhier.placement.policy import PlacementPolicy

__all__ = ["HIERARCHY_KEYS", "HierarchySettings"]

HIERARCHY_KEYS: Final = (
    "hierarchy",
    "parents",
    "pins",
    "placement",
    "recovery-key",
    "require-recovery",
)
_DEFAULT_NAME: Final = "keys"
_MAX_PEM_BYTES: Final = 64 * 1024


@attrs.frozen
class HierarchySettings:
    """The part of a profile that is about its hierarchy.

    Attributes:
        name: what the ids of its KEKs in records begin with.
        pins: thumbprints of KEKs in records.
        recovery_key: the PEM file of an offline recovery key's public half, or None.
        require_recovery: whether nothing is protected without it.
        parents: names or ids of the keys under which KEKs in records are believed, or None.
        placement: where vaults are and what follows from it, or None where nobody asks.
    """

    name: str = _DEFAULT_NAME
    pins: Mapping[KeyId, str] = attrs.field(factory=dict)
    recovery_key: Path | None = None
    require_recovery: bool = False
    parents: tuple[str | KeyId, ...] | None = None
    placement: PlacementPolicy | None = None

    @classmethod
    def read(cls, profile: Mapping[str, Any], place: str) -> HierarchySettings:
        """Read them from a profile's table.

        Args:
            profile: the table.
            place: where it stands, for messages.

        Raises:
            InvalidInputError: something there is not what belongs there.
            AccessDeniedError: others can change the file of the placement rules.
        """
        name = profile.get("hierarchy", _DEFAULT_NAME)
        pins = profile.get("pins", {})
        recovery_key = profile.get("recovery-key")
        required = profile.get("require-recovery", False)
        placement = profile.get("placement")
        if not (isinstance(pins, dict) and all(isinstance(pin, str) for pin in pins.values())):
            raise InvalidInputError(f"{place}.pins is a table of ids of KEKs and thumbprints")
        if recovery_key is not None and not (
            isinstance(recovery_key, str) and Path(recovery_key).is_absolute()
        ):
            raise InvalidInputError(f"{place}.recovery-key is the absolute path of a PEM file")
        if not isinstance(required, bool):
            raise InvalidInputError(f"{place}.require-recovery is true or false")
        return cls(
            check_key_name(name),
            {KeyId.parse(key): pin for key, pin in pins.items()},
            None if recovery_key is None else Path(recovery_key),
            required,
            _parents(profile, place),
            None if placement is None else read_placement(placement, f"{place}.placement"),
        )

    def policy(self) -> Policy:
        """Return the policy that they make.

        Raises:
            AccessDeniedError: the recovery key's file cannot be read, or others can change it.
            InvalidInputError: it holds no recovery key, or none is named where one is required.
        """
        return Policy(
            pins=self.pins,
            parents=self.parents,
            recovery_key=None if self.recovery_key is None else _read_key(self.recovery_key),
            require_recovery=self.require_recovery,
            placement=self.placement,
        )


def _parents(profile: Mapping[str, Any], place: str) -> tuple[str | KeyId, ...] | None:
    try:
        return parents_from(profile.get("parents"))
    except InvalidInputError as error:
        raise InvalidInputError(f"{place}.parents: {error.message}", remedy=error.remedy) from None


def _read_key(path: Path) -> RecoveryKey:
    try:
        with path.open("rb") as file:
            require_own(path, os.fstat(file.fileno()), "who can open every new record")
            pem = file.read(_MAX_PEM_BYTES)
    except OSError as error:
        raise AccessDeniedError(f"{path} cannot be read: {error.strerror}") from None
    return RecoveryKey.from_pem(pem)
