"""Azure Disk Encryption's formats: what it leaves in a key vault, read, written and opened.

Nothing here reaches a network. What a vault holds is handed in, and what is to be set in one is
handed out; a KEK is used through the vaults that the caller has opened.
"""

from __future__ import annotations

from keyhier.azure_disk.backup_config import BackupConfig
from keyhier.azure_disk.disk_secret import (
    DiskSecret,
    drive_letter,
    is_disk_secret,
    typed_volume,
)
from keyhier.azure_disk.inventory import Item, Opening, take_inventory
from keyhier.azure_disk.labels import KekReference
from keyhier.azure_disk.plaintext import DiskKey
from keyhier.azure_disk.protection import Placing, protect, remarks
from keyhier.azure_disk.recovery import find_kek, recover
from keyhier.azure_disk.retirement import RETIREMENT
from keyhier.azure_disk.search import Found, find

__all__ = [
    "RETIREMENT",
    "BackupConfig",
    "DiskKey",
    "DiskSecret",
    "Found",
    "Item",
    "KekReference",
    "Opening",
    "Placing",
    "drive_letter",
    "find",
    "find_kek",
    "is_disk_secret",
    "protect",
    "recover",
    "remarks",
    "take_inventory",
    "typed_volume",
]
