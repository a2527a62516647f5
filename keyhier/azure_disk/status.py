"""What an instance view tells of Azure Disk Encryption on a machine.

https://learn.microsoft.com/azure/virtual-machines/linux/how-to-verify-encryption-status
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Final

import attrs

from keyhier.azure_disk.disk_model import VolumeSettings
from keyhier.azure_disk.reading import given_items, given_text, properties_of
from keyhier.placement.node import Node

__all__ = ["DiskStatus", "EncryptionState", "MachineStatus", "read_status"]

_TYPES: Final = (".azurediskencryption", ".azurediskencryptionforlinux")


class EncryptionState(StrEnum):
    """How far the encryption of a disk or volume is."""

    ENCRYPTED = "encrypted"
    NOT_ENCRYPTED = "not-encrypted"
    IN_PROGRESS = "in-progress"
    UNKNOWN = "unknown"


# Codes of disks, and words of the Linux extension's substatus.
_STATES: Final = {
    "encryptionstate/encrypted": EncryptionState.ENCRYPTED,
    "encryptionstate/notencrypted": EncryptionState.NOT_ENCRYPTED,
    "encrypted": EncryptionState.ENCRYPTED,
    "notencrypted": EncryptionState.NOT_ENCRYPTED,
    "notmounted": EncryptionState.UNKNOWN,
    "encryptioninprogress": EncryptionState.IN_PROGRESS,
    "decryptioninprogress": EncryptionState.IN_PROGRESS,
    "vmrestartpending": EncryptionState.IN_PROGRESS,
}


@attrs.frozen
class DiskStatus:
    """One disk.

    Attributes:
        name: the disk's name.
        state: how far its encryption is.
        settings: how its volumes are unlocked.
    """

    name: str
    state: EncryptionState
    settings: tuple[VolumeSettings, ...] = ()


@attrs.frozen
class MachineStatus:
    """One machine.

    Attributes:
        disks: its disks.
        os: how far the OS volume is, as the Linux extension tells; UNKNOWN where it does not.
        data: how far the data volumes are.
        extension_version: the version of the extension that ran, or None.
        message: what it said last, or None.
    """

    disks: tuple[DiskStatus, ...]
    os: EncryptionState = EncryptionState.UNKNOWN
    data: EncryptionState = EncryptionState.UNKNOWN
    extension_version: str | None = None
    message: str | None = None

    @property
    def finished(self) -> bool:
        """Whether every disk is encrypted and nothing is in progress.

        A disk is marked as encrypted when its secret is set, while the Linux extension may still
        be at work.
        """
        return (
            bool(self.disks)
            and all(disk.state is EncryptionState.ENCRYPTED for disk in self.disks)
            and EncryptionState.IN_PROGRESS not in {self.os, self.data}
        )


def read_status(document: object) -> MachineStatus:
    """Read a machine's document with its instance view, or the instance view alone.

    Raises:
        InvalidInputError: it is malformed; the message names the place.
    """
    properties = properties_of(document)
    view = properties.at("instanceView")
    view = properties if view.absent else view
    disks = tuple(_disk(each) for each in given_items(view.at("disks")))
    for extension in given_items(view.at("extensions")):
        kind = given_text(extension.at("type")) or ""
        if kind.casefold().endswith(_TYPES):
            return _with_extension(disks, extension)
    return MachineStatus(disks)


def _disk(node: Node) -> DiskStatus:
    codes = [given_text(each.at("code")) or "" for each in given_items(node.at("statuses"))]
    return DiskStatus(
        given_text(node.at("name")) or "",
        next(
            (_state(code) for code in codes if code.casefold() in _STATES), EncryptionState.UNKNOWN
        ),
        tuple(
            VolumeSettings.parse(each.value) for each in given_items(node.at("encryptionSettings"))
        ),
    )


def _state(word: object) -> EncryptionState:
    known = _STATES.get(word.casefold()) if isinstance(word, str) else None
    return known or EncryptionState.UNKNOWN


def _with_extension(disks: tuple[DiskStatus, ...], extension: Node) -> MachineStatus:
    statuses = given_items(extension.at("statuses"))
    progress: dict[str, object] = {}
    for each in given_items(extension.at("substatuses")):
        progress |= _progress(each.at("message").value)
    return MachineStatus(
        disks,
        _state(progress.get("os")),
        _state(progress.get("data")),
        given_text(extension.at("typeHandlerVersion")),
        next((text for each in statuses if (text := given_text(each.at("message")))), None),
    )


def _progress(message: object) -> dict[str, object]:
    """Read the JSON that the Linux extension writes into a message; other text says nothing."""
    if not isinstance(message, str):
        return {}
    try:
        content = json.loads(message)
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}
