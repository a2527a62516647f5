"""keyhier: one key hierarchy, any HSM.

The public names, loaded when they are first used, so that importing the package is cheap and
brings in no vendor's package.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyhier.algorithms import KeySpec, WrapAlgorithm
    from keyhier.audit import AuditEvent
    from keyhier.batch import Outcome
    from keyhier.capabilities import Capabilities
    from keyhier.doctor import Diagnosis, Finding, Severity
    from keyhier.errors import (
        AccessDeniedError,
        AlreadyExistsError,
        AmbiguousError,
        AuthenticationError,
        CapacityError,
        ConflictError,
        IntegrityError,
        InvalidInputError,
        InvalidStateError,
        KeyhierError,
        NotFoundError,
        PlacementError,
        ThrottledError,
        UnavailableError,
        UnsupportedError,
        UnwrapError,
    )
    from keyhier.examination import examine
    from keyhier.hierarchy.encryption_set import EncryptionSet
    from keyhier.hierarchy.facade import Hierarchy
    from keyhier.hierarchy.reference import KeyReference
    from keyhier.identifiers import KeyId
    from keyhier.key import Key
    from keyhier.opening import open_vault as open  # noqa: A004  # `keyhier.open` is meant.
    from keyhier.placement.check import check_placement
    from keyhier.placement.place import Placement
    from keyhier.rotation_policy import RotationPolicy
    from keyhier.secret import SecretBytes
    from keyhier.secrets_store import Secrets
    from keyhier.session_key import SessionKey
    from keyhier.stored_secret import SecretId, StoredSecret
    from keyhier.vault import Vault
    from keyhier.volume.bitlocker import BitLockerKey
    from keyhier.volume.luks import LinuxPassphrase
    from keyhier.wrapped import WrappedKey

__all__ = [
    "AccessDeniedError",
    "AlreadyExistsError",
    "AmbiguousError",
    "AuditEvent",
    "AuthenticationError",
    "BitLockerKey",
    "Capabilities",
    "CapacityError",
    "ConflictError",
    "Diagnosis",
    "EncryptionSet",
    "Finding",
    "Hierarchy",
    "IntegrityError",
    "InvalidInputError",
    "InvalidStateError",
    "Key",
    "KeyId",
    "KeyReference",
    "KeySpec",
    "KeyhierError",
    "LinuxPassphrase",
    "NotFoundError",
    "Outcome",
    "Placement",
    "PlacementError",
    "RotationPolicy",
    "SecretBytes",
    "SecretId",
    "Secrets",
    "SessionKey",
    "Severity",
    "StoredSecret",
    "ThrottledError",
    "UnavailableError",
    "UnsupportedError",
    "UnwrapError",
    "Vault",
    "WrapAlgorithm",
    "WrappedKey",
    "check_placement",
    "examine",
    "open",
]

# Where each name lives, when its module is not the errors'.
_HOMES = {
    "AuditEvent": "audit",
    "BitLockerKey": "volume.bitlocker",
    "Capabilities": "capabilities",
    "Diagnosis": "doctor",
    "EncryptionSet": "hierarchy.encryption_set",
    "Finding": "doctor",
    "Hierarchy": "hierarchy.facade",
    "Key": "key",
    "KeyId": "identifiers",
    "KeyReference": "hierarchy.reference",
    "KeySpec": "algorithms",
    "LinuxPassphrase": "volume.luks",
    "Outcome": "batch",
    "Placement": "placement.place",
    "RotationPolicy": "rotation_policy",
    "SecretBytes": "secret",
    "SecretId": "stored_secret",
    "Secrets": "secrets_store",
    "Severity": "doctor",
    "SessionKey": "session_key",
    "StoredSecret": "stored_secret",
    "Vault": "vault",
    "WrapAlgorithm": "algorithms",
    "WrappedKey": "wrapped",
    "check_placement": "placement.check",
    "examine": "examination",
    "open": "opening",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"{__name__}.{_HOMES.get(name, 'errors')}")
    value: object = getattr(home, "open_vault" if name == "open" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
