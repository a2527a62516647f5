"""The end of Azure Disk Encryption."""

from __future__ import annotations

import datetime as dt
from typing import Final

__all__ = ["RETIREMENT"]

RETIREMENT: Final = dt.date(2028, 9, 15)
"""From this day on, disks under Azure Disk Encryption do not unlock when their machine restarts:
https://learn.microsoft.com/azure/virtual-machines/disk-encryption-overview"""
