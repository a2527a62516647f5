"""What the settings of disks may be where expressions leave some of them open.

Each value that nobody knows is replaced by one that goes with what is known beside it. What is
wrong even then is wrong whatever the unknown values are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from keyhier.azure_disk.addresses import VAULT_TYPE
from keyhier.azure_disk.disk_model import DiskCollection, VolumeSettings
from keyhier.identifiers import KeyId
from keyhier.placement.arm_id import ArmId
from keyhier.placement.node import Node
from keyhier.placement.unknown import Unknown
from keyhier.stored_secret import SecretId

__all__ = ["check_open_collection", "check_open_volume"]

# What stands for a value that nobody knows; none of it is shown.
_NAME: Final = "unknown"
_VERSION: Final = "0" * 32
_COLLECTION_VERSION: Final = "1.1"


def check_open_collection(document: object) -> None:
    """Check what is known of a disk's ``encryptionSettingsCollection``.

    Raises:
        InvalidInputError: it is wrong, whatever the unknown parts of it are.
    """
    node = Node(document)
    enabled, volumes = node.at("enabled").flag(), node.at("encryptionSettings").items()
    if isinstance(volumes, Unknown):
        found = [] if enabled in {None, False} else [_volume(node.at("encryptionSettings"))]
    else:
        found = [_volume(each) for each in volumes]
    version = node.at("encryptionSettingsVersion").text()
    DiskCollection.parse(
        {
            "enabled": bool(found) if isinstance(enabled, Unknown) else enabled,
            "encryptionSettings": found,
            "encryptionSettingsVersion": (
                _COLLECTION_VERSION if isinstance(version, Unknown) else version
            ),
        }
    )


def check_open_volume(document: object) -> None:
    """Check what is known of ``encryptionSettings`` of a machine's OS disk.

    Raises:
        InvalidInputError: they are wrong, whatever the unknown parts of them are.
    """
    node = Node(document)
    enabled = node.at("enabled").flag()
    # Of what is not enabled nothing counts.
    known = False if isinstance(enabled, Unknown) else enabled
    VolumeSettings.parse({**_volume(node), "enabled": known})


def _volume(node: Node) -> dict[str, Any]:
    secret, key = node.at("diskEncryptionKey"), node.at("keyEncryptionKey")
    return {
        "diskEncryptionKey": _address(secret, "secretUrl", "secrets", _secret_host),
        "keyEncryptionKey": _address(key, "keyUrl", "keys", _key_host),
    }


def _secret_host(url: str) -> str:
    return SecretId.parse(url).vault


def _key_host(url: str) -> str:
    return KeyId.parse(url).vault


def _address(
    node: Node, name: str, kind: str, host_of: Callable[[str], str]
) -> dict[str, Any] | None:
    """Return what names a secret or a key, with its vault; None where there is none."""
    if node.absent:
        return None
    url, identity = node.at(name).text(), node.at("sourceVault", "id").arm_id()
    if isinstance(url, Unknown):
        label = identity.name if isinstance(identity, ArmId) else _NAME
        url = f"https://{label}.{_NAME}/{kind}/{_NAME}/{_VERSION}"
    if isinstance(identity, Unknown):
        label = _NAME if url is None else host_of(url).partition(".")[0]
        identity = ArmId(_NAME, _NAME, VAULT_TYPE, (label,))
    return {name: url, "sourceVault": {"id": None if identity is None else str(identity)}}
