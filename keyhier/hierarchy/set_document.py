"""An encryption set as a store keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from keyhier.azure_disk.set_resource import EncryptionType
from keyhier.errors import IntegrityError, InvalidInputError
from keyhier.hierarchy.encryption_set import (
    EncryptionSet,
    RotationError,
    SetIdentity,
    Sighting,
)
from keyhier.hierarchy.reference import KeyReference
from keyhier.identifiers import KeyId
from keyhier.placement.arm_id import ArmId
from keyhier.placement.place import Placement
from keyhier.placement.unknown import Unknown
from keyhier.records.stored import StoredSet

__all__ = ["from_stored", "to_document", "to_stored"]


def to_stored(encryption_set: EncryptionSet) -> StoredSet:
    """Return what a store keeps of a set."""
    document = to_document(encryption_set)
    for name in ("name", "key", "follows"):
        del document[name]
    return StoredSet(
        name=encryption_set.name,
        key=encryption_set.reference.key,
        document=document,
        generation=encryption_set.generation,
    )


def to_document(encryption_set: EncryptionSet) -> dict[str, Any]:
    """Return a set as a JSON object; what it has not is left out."""
    error, identity = encryption_set.rotation_error, encryption_set.identity
    found: dict[str, Any] = {
        "name": encryption_set.name,
        "key": str(encryption_set.reference.key),
        "follows": encryption_set.reference.follows,
        "active": str(encryption_set.active),
        "encryption_type": str(encryption_set.encryption_type),
        "previous": [str(key) for key in encryption_set.previous],
        "sightings": [
            {"key": str(each.key), "first": each.first.isoformat(), "last": each.last.isoformat()}
            for each in encryption_set.sightings
        ],
        "last_rotation": encryption_set.last_rotation and encryption_set.last_rotation.isoformat(),
        "rotation_error": error and {"code": error.code, "message": error.message},
        "placement": _place_of(encryption_set.placement),
        "id": encryption_set.id and str(encryption_set.id),
        "vault_id": encryption_set.vault_id and str(encryption_set.vault_id),
        "identity": {
            "system": identity.system,
            "user": [str(each) for each in identity.user],
            "federated_client_id": identity.federated_client_id,
        },
        "warnings": list(encryption_set.warnings),
    }
    return {name: value for name, value in found.items() if value not in (None, [], {})}


def _place_of(placement: Placement) -> dict[str, str]:
    """Return what is known of a place."""
    parts = {
        "cloud": placement.cloud,
        "region": placement.region,
        "subscription": placement.subscription,
        "tenant": placement.tenant,
    }
    return {name: part for name, part in parts.items() if not isinstance(part, Unknown)}


def from_stored(stored: StoredSet) -> EncryptionSet:
    """Read a set that a store kept.

    Raises:
        IntegrityError: somebody wrote something else there.
    """
    try:
        return _read(stored)
    except (InvalidInputError, KeyError, TypeError, ValueError, AttributeError):
        pass
    raise IntegrityError(f"the encryption set {stored.name!r:.100} cannot be read")


def _read(stored: StoredSet) -> EncryptionSet:
    document = stored.document
    error, identity = document.get("rotation_error"), document.get("identity", {})
    last = document.get("last_rotation")
    return EncryptionSet(
        name=stored.name,
        reference=KeyReference(stored.key),
        active=KeyId.parse(document["active"]),
        encryption_type=EncryptionType(document["encryption_type"]),
        previous=tuple(map(KeyId.parse, document.get("previous", ()))),
        sightings=tuple(map(_sighting, document.get("sightings", ()))),
        last_rotation=last and datetime.fromisoformat(last),
        rotation_error=error and RotationError(error["code"], error["message"]),
        placement=Placement(**document.get("placement", {})),
        id=_arm_id(document.get("id")),
        vault_id=_arm_id(document.get("vault_id")),
        identity=SetIdentity(
            identity.get("system", True),
            tuple(map(ArmId.parse, identity.get("user", ()))),
            identity.get("federated_client_id"),
        ),
        warnings=tuple(map(str, document.get("warnings", ()))),
        generation=stored.generation,
    )


def _sighting(document: Mapping[str, str]) -> Sighting:
    first, last = (datetime.fromisoformat(document[name]) for name in ("first", "last"))
    return Sighting(KeyId.parse(document["key"]), first, last)


def _arm_id(text: str | None) -> ArmId | None:
    return None if text is None else ArmId.parse(text)
