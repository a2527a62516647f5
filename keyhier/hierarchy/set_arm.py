"""Encryption sets as ARM's JSON: ``Microsoft.Compute/diskEncryptionSets``."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import attrs

from keyhier.azure_disk.set_resource import SetResource, SetState
from keyhier.errors import InvalidInputError
from keyhier.hierarchy.encryption_set import EncryptionSet, RotationError, SetIdentity
from keyhier.hierarchy.reference import KeyReference
from keyhier.identifiers import KeyId
from keyhier.placement.place import Placement
from keyhier.placement.unknown import Unknown

__all__ = ["from_arm", "from_resource", "to_arm"]


def to_arm(encryption_set: EncryptionSet, *, state: bool = False) -> dict[str, Any]:
    """Return a set as a resource of an ARM template.

    The key's URL always has a version, also where the latest is followed, as Azure asks. The vault
    is named only where it is in the set's subscription.

    Args:
        encryption_set: one in Azure, with its id and region.
        state: whether what Azure alone writes is added, as ``az disk-encryption-set show`` does.

    Raises:
        InvalidInputError: the set is not one in Azure, or Azure would refuse it.
    """
    region = encryption_set.placement.region
    if encryption_set.id is None or isinstance(region, Unknown):
        raise InvalidInputError(f"the set {encryption_set.name} has no ARM id or no region")
    vault, identity = encryption_set.vault_id, encryption_set.identity
    if vault and vault.subscription.casefold() != encryption_set.id.subscription.casefold():
        vault = None
    document = SetResource(
        id=encryption_set.id,
        location=region,
        key=encryption_set.active,
        vault=vault,
        follow_latest=encryption_set.reference.follows,
        encryption_type=encryption_set.encryption_type,
        user_identities=identity.user,
        system_identity=identity.system,
        federated_client_id=identity.federated_client_id,
    ).as_resource()
    if state:
        document["id"] = str(encryption_set.id)
        properties = document["properties"]
        properties["previousKeys"] = [{"keyUrl": str(key)} for key in encryption_set.previous]
        if encryption_set.last_rotation is not None:
            properties["lastKeyRotationTimestamp"] = encryption_set.last_rotation.isoformat()
        if encryption_set.rotation_error is not None:
            error = encryption_set.rotation_error
            properties["autoKeyRotationError"] = {"code": error.code, "message": error.message}
    return document


def from_arm(document: object) -> EncryptionSet:
    """Read a set as ARM stores it, or as ``az disk-encryption-set show`` prints it.

    Raises:
        InvalidInputError: it is none, or contradicts itself; the message names the place.
    """
    state = SetState.parse(document)
    return attrs.evolve(
        from_resource(SetResource.parse(document)),
        previous=tuple(map(KeyId.parse, state.previous_keys)),
        last_rotation=_moment(state.last_rotation),
        rotation_error=RotationError(*state.rotation_error) if state.rotation_error else None,
    )


def from_resource(resource: SetResource) -> EncryptionSet:
    """Return the set that a resource describes, which tells nothing of how it is doing."""
    refer = KeyReference.following if resource.follow_latest else KeyReference.pinned
    return EncryptionSet(
        name=resource.id.name,
        reference=refer(resource.key),
        active=resource.key,
        encryption_type=resource.encryption_type,
        placement=Placement(resource.location, resource.id.subscription),
        id=resource.id,
        vault_id=resource.vault,
        identity=SetIdentity(
            resource.system_identity, resource.user_identities, resource.federated_client_id
        ),
    )


def _moment(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        when = None
    if when is None or when.tzinfo is None:
        raise InvalidInputError(f"{text!r:.40} is no time with its zone")
    return when
