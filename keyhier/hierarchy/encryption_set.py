"""EncryptionSet: disks that share one customer-managed key.

It is what Azure calls a Disk Encryption Set
(https://learn.microsoft.com/azure/virtual-machines/disk-encryption), for any vault.
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Any, Final

import attrs

from keyhier.azure_disk.set_resource import EncryptionType
from keyhier.errors import InvalidInputError
from keyhier.hierarchy.reference import KeyReference
from keyhier.identifiers import KeyId
from keyhier.placement.arm_id import ArmId
from keyhier.placement.place import NOWHERE, Placement

__all__ = ["EncryptionSet", "RotationError", "SetIdentity", "Sighting"]

# https://learn.microsoft.com/rest/api/compute/disk-encryption-sets/create-or-update
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,80}")


@attrs.frozen
class Sighting:
    """A version of the key that was seen.

    Attributes:
        key: the version.
        first, last: when it was seen first and last as the one to use, in UTC.
    """

    key: KeyId
    first: datetime
    last: datetime


@attrs.frozen
class RotationError:
    """Why the latest version was not taken up, as Azure's ``autoKeyRotationError``.

    Attributes:
        code: a word for programs.
        message: a sentence for people.
    """

    code: str
    message: str


@attrs.frozen
class SetIdentity:
    """As whom a set in Azure uses its key.

    Attributes:
        system: whether it has an identity of its own.
        user: user-assigned identities.
        federated_client_id: of a multi-tenant application, for a vault of another tenant, or None.
    """

    system: bool = True
    user: tuple[ArmId, ...] = ()
    federated_client_id: str | None = None


def _check_name(_: object, __: attrs.Attribute[Any], value: str) -> None:
    if not isinstance(value, str) or not _NAME.fullmatch(value):
        raise InvalidInputError(
            f"{value!r:.100} is no name of a set: 1 to 80 of A-Z, a-z, 0-9, _ and -"
        )


@attrs.frozen(kw_only=True)
class EncryptionSet:
    """A set, as it was last read; what changes it is done by the hierarchy.

    Attributes:
        name: 1 to 80 of ``[A-Za-z0-9_-]``.
        reference: how it names its key.
        active: the key version that it uses.
        encryption_type: what it encrypts with.
        previous: versions before, which a rotation has not left behind yet.
        sightings: the versions that were seen, oldest first.
        last_rotation: when it took up :attr:`active`, in UTC; None for its first key.
        rotation_error: why the latest version was not taken up, or None.
        placement: where it is.
        id: its ARM id, for one in Azure.
        vault_id: the ARM id of the key's vault, where that is in the same subscription.
        identity: as whom it uses its key.
        warnings: rules of placement that it breaks, where that is allowed.
        generation: of the store's; a change names the one that it was made from.
    """

    name: str = attrs.field(validator=_check_name)
    reference: KeyReference
    active: KeyId
    encryption_type: EncryptionType = attrs.field(
        default=EncryptionType.CUSTOMER_KEY, converter=EncryptionType
    )
    previous: tuple[KeyId, ...] = ()
    sightings: tuple[Sighting, ...] = ()
    last_rotation: datetime | None = None
    rotation_error: RotationError | None = None
    placement: Placement = NOWHERE
    id: ArmId | None = None
    vault_id: ArmId | None = None
    identity: SetIdentity = SetIdentity()
    warnings: tuple[str, ...] = ()
    generation: int = 0

    def needs(self, version: KeyId, window: float, now: datetime) -> str | None:
        """Say why the set still needs a key version, or return None if it does not.

        Args:
            version: the version that somebody wants to disable.
            window: the seconds until all that follow the key have its new version.
            now: the time, in UTC.
        """
        if version == self.active:
            return f"it is the version that the set {self.name} uses"
        if version in self.previous:
            return f"the set {self.name} is rotating away from it"
        over = self.settled_at(window)
        if self.had_key_of(version) and over is not None and now < over:
            return (
                f"the set {self.name} took up its version at {self.last_rotation:%H:%M:%S} UTC, "
                f"and disks may use another until {over:%H:%M:%S}"
            )
        return None

    def had_key_of(self, version: KeyId) -> bool:
        """Whether disks may have known a version's key, as far back as the sightings tell."""
        known = (self.active, *self.previous, *(each.key for each in self.sightings))
        return version.versionless in {each.versionless for each in known}

    def settled_at(self, window: float) -> datetime | None:
        """Return when all disks have the active version, or None if they always had it."""
        return self.last_rotation and self.last_rotation + timedelta(seconds=window)
