"""Volume keys: what a disk is unlocked with, in the forms that BitLocker and LUKS read."""

from __future__ import annotations

from keyhier.volume.bitlocker import BitLockerKey
from keyhier.volume.luks import LinuxPassphrase

__all__ = ["BitLockerKey", "LinuxPassphrase"]
