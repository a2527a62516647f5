"""DiskSecret: what the labels of one secret of Azure Disk Encryption say.

==================  ==============================  ==========================================
form                content type                    tags
==================  ==============================  ==========================================
Windows             ``BEK``, or ``Wrapped BEK``     file, algorithm, machine, volume, and with
                    with a KEK                      a KEK its URL
Linux, single-pass  the same                        the same, less the volume
Linux, dual-pass    none                            file, algorithm
==================  ==============================  ==========================================

A secret's name is a GUID: on Windows that of the key, in upper case. Unknown tags are kept, and
none is required that is not needed.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Final, Self

import attrs

from keyhier.azure_disk import labels
from keyhier.azure_disk.labels import KekReference
from keyhier.errors import InvalidInputError
from keyhier.placement.model import System
from keyhier.stored_secret import SecretId, StoredSecret

__all__ = [
    "LINUX_FILE",
    "DiskSecret",
    "drive_letter",
    "is_disk_secret",
    "same_volume",
    "typed_volume",
    "volume_of",
]

LINUX_FILE: Final = "LinuxPassPhraseFileName"
"""The key file of a Linux machine; those of data disks go on with ``_CONTROLLER_LUN``."""

_GUID: Final = r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}"
_WINDOWS_FILE: Final = re.compile(rf"{_GUID}(?:\.BEK)?", re.IGNORECASE)
_LINUX_FILES: Final = re.compile(rf"{LINUX_FILE}(?:_[0-9]+_[0-9]+)?")
_LETTER: Final = re.compile(r"([A-Za-z])(?::\\?)?")


@attrs.frozen
class DiskSecret:
    """What a secret's labels say of it; none of it is proved.

    Attributes:
        id: the secret, with its exact version.
        system: which system's disk it opens, or None where its labels do not say.
        wrapped: whether a KEK wraps it, or None where its labels do not say (Linux, dual-pass).
        kek: which one, or None where none does or none is named.
        file_name: the file that the key is kept in on the machine.
        machine: the machine's host name, or None.
        volume: ``C:\\`` or the like; for Linux the file's name, which tells the disk.
        created: when this version was made, in UTC.
        enabled: whether the vault hands the value out.
    """

    id: SecretId
    system: System | None
    wrapped: bool | None
    kek: KekReference | None
    file_name: str | None
    machine: str | None
    volume: str | None
    created: datetime | None = None
    enabled: bool = True

    @classmethod
    def read(cls, stored: StoredSecret) -> Self:
        """Read the labels of a secret; its value is not looked at.

        Raises:
            InvalidInputError: they contradict each other, or a KEK is named that is none.
        """
        tags = stored.tags
        kek_url = tags.get(labels.KEK_URL)
        kek = KekReference.parse(kek_url, tags.get(labels.ALGORITHM)) if kek_url else None
        if stored.content_type == labels.PLAIN and kek is not None:
            raise InvalidInputError(
                f"the labels of {stored.id} contradict each other: content type {labels.PLAIN}, "
                f"and the tag {labels.KEK_URL}",
                remedy="if a KEK wrapped it, name that KEK and its algorithm",
            )
        file_name = tags.get(labels.FILE_NAME) or None
        system = _system(file_name)
        return cls(
            id=stored.id,
            system=system,
            wrapped=_wrapped(stored.content_type, kek),
            kek=kek,
            file_name=file_name,
            machine=tags.get(labels.MACHINE) or None,
            volume=volume_of(stored),
            created=stored.created,
            enabled=stored.enabled,
        )


def is_disk_secret(stored: StoredSecret) -> bool:
    """Whether a secret is labelled as one of Azure Disk Encryption's."""
    known = stored.content_type in (labels.PLAIN, labels.WRAPPED)
    return known or labels.FILE_NAME in stored.tags


def volume_of(stored: StoredSecret) -> str | None:
    """Return which volume a secret is labelled for: a letter, or the file of a Linux machine."""
    file_name = stored.tags.get(labels.FILE_NAME) or None
    if _system(file_name) is System.LINUX:
        return file_name
    return stored.tags.get(labels.VOLUME) or None


def same_volume(one: str | None, other: str) -> bool:
    """Whether two names mean one volume: ``C``, ``c:`` and ``C:\\``; ``1_0`` and its file."""
    return one is not None and _plain_volume(one) == _plain_volume(other)


def drive_letter(name: str) -> str | None:
    """Return the letter in ``C``, ``c:`` or ``C:\\``, in upper case, or None in anything else."""
    letter = _LETTER.fullmatch(name)
    return letter[1].upper() if letter else None


def typed_volume(volume: str | None) -> str:
    """Return a volume's label as a command takes it: ``C:``, ``os``, ``1_0``; others stay."""
    if volume is None:
        return ""
    if letter := drive_letter(volume):
        return f"{letter}:"
    return "os" if volume == LINUX_FILE else volume.removeprefix(f"{LINUX_FILE}_")


def _plain_volume(name: str) -> str:
    if letter := drive_letter(name):
        return letter
    if name.lower() == "os":
        return LINUX_FILE
    return name if name.startswith(LINUX_FILE) else f"{LINUX_FILE}_{name}"


def _wrapped(content_type: str | None, kek: KekReference | None) -> bool | None:
    if kek is not None or content_type == labels.WRAPPED:
        return True
    return False if content_type == labels.PLAIN else None


def _system(file_name: str | None) -> System | None:
    if file_name is None:
        return None
    if _LINUX_FILES.fullmatch(file_name):
        return System.LINUX
    # Instructions for restoring from a backup give the secret's name, without the ending.
    return System.WINDOWS if _WINDOWS_FILE.fullmatch(file_name) else None
