"""Transitions: what may follow on the settings that a machine already has."""

from __future__ import annotations

from typing import Final

import attrs

from keyhier.azure_disk.settings import ExtensionSettings, Generation, Operation
from keyhier.errors import InvalidStateError
from keyhier.placement.model import System, Volumes

__all__ = ["Current", "check_transition"]

_ENABLING: Final = frozenset({Operation.ENABLE, Operation.ENABLE_FORMAT_ALL})


@attrs.frozen
class Current:
    """What Azure Disk Encryption does on a machine now.

    Attributes:
        volumes: what is encrypted; None where nothing is.
        generation: with which generation; None where it was never used.
        sequence_version: the last sequence version, or None.
        other_method: an encryption set or encryption at host is in use.
    """

    volumes: Volumes | None = None
    generation: Generation | None = None
    sequence_version: str | None = None
    other_method: bool = False


def check_transition(current: Current, wanted: ExtensionSettings) -> None:
    """Raise unless a machine may go from what it has to what is wanted.

    Raises:
        InvalidStateError: it may not; the message says why
            (https://learn.microsoft.com/azure/virtual-machines/linux/disk-encryption-linux and
            https://learn.microsoft.com/azure/virtual-machines/windows/disk-encryption-windows).
    """
    _check_generation(current, wanted)
    last, new = current.sequence_version, wanted.sequence_version
    if last and new and last.casefold() == new.casefold():
        raise InvalidStateError(
            "the sequence version is the last one's, so the extension would not run",
            remedy="give a new GUID",
        )
    if wanted.operation in _ENABLING:
        _check_enabling(current, wanted)
    elif wanted.operation is Operation.DISABLE:
        _check_disabling(current, wanted)
    elif wanted.operation is Operation.UPDATE:
        if current.volumes is None:
            raise InvalidStateError(
                "nothing is encrypted, so there are no settings to update",
                remedy="enable the encryption; if it is, give the machine's extension and disks",
            )
        _check_volumes(current, wanted)


def _check_generation(current: Current, wanted: ExtensionSettings) -> None:
    if current.generation is Generation.DUAL_PASS and wanted.generation is Generation.SINGLE_PASS:
        raise InvalidStateError(
            "a machine that was encrypted with an application stays with it",
            remedy="use the dual-pass settings with the same application",
        )
    if current.generation is Generation.SINGLE_PASS and wanted.generation is Generation.DUAL_PASS:
        raise InvalidStateError(
            "a machine that was encrypted without an application takes none",
            remedy="use the single-pass settings, without an application",
        )


def _check_enabling(current: Current, wanted: ExtensionSettings) -> None:
    if current.other_method:
        raise InvalidStateError(
            "disks under an encryption set or encryption at host take no Azure Disk Encryption",
            remedy="stay with what is in use, which is what follows on Azure Disk Encryption",
        )
    _check_volumes(current, wanted)
    windows_data = wanted.system is System.WINDOWS and wanted.volumes is Volumes.DATA
    if windows_data and current.volumes is None:
        raise InvalidStateError(
            "Windows data volumes cannot be encrypted without the OS volume",
            remedy="encrypt All",
        )


def _check_volumes(current: Current, wanted: ExtensionSettings) -> None:
    if current.volumes not in {None, wanted.volumes} and wanted.volumes is not Volumes.ALL:
        raise InvalidStateError(
            f"the volumes are {current.volumes} and can stay or widen to All,"
            f" not become {wanted.volumes}",
            remedy=f"ask for {current.volumes} or All",
        )


def _check_disabling(current: Current, wanted: ExtensionSettings) -> None:
    if current.volumes is None:
        raise InvalidStateError(
            "nothing is encrypted, so there is nothing to disable",
            remedy="leave it as it is; if it is encrypted, give the machine's extension and disks",
        )
    if wanted.system is System.LINUX and current.volumes is not Volumes.DATA:
        raise InvalidStateError(
            "encryption of Linux data volumes cannot be disabled while the OS volume is encrypted",
            remedy="make a new machine, from disks that were uploaded anew or from a backup",
        )
