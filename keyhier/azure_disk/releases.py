"""Which release of which distribution an image of Azure's gallery holds."""

from __future__ import annotations

import re
from typing import Final

from keyhier.placement.unknown import UNKNOWN, Maybe

__all__ = ["release_of_image"]

# Publisher, what to find in offer and SKU, and what it means; names as publishers write them:
# https://learn.microsoft.com/azure/virtual-machines/linux/disk-encryption-overview
_IMAGES: Final = (
    ("canonical", r"(\d\d)[._](\d\d)", "ubuntu {}.{}"),
    ("redhat", r"\brhel\b.*?\b(\d)[._]?(\d\d?)\b", "rhel {}.{}"),
    ("openlogic", r"\bcentos\b.*?\b(\d)[._](\d\d?)\b", "centos {}.{}"),
    ("suse", r"\bsles\b.*?\b(\d\d)-sp(\d)\b", "sles {}-sp{}"),
    ("suse", r"\bopensuse\b.*?\b(\d\d)\.(\d)\b", "opensuse {}.{}"),
    ("oracle", r"\bol(\d)_?(\d\d?)\b", "oracle-linux {}.{}"),
    ("microsoftcblmariner", r"\bcbl-mariner-(\d)\b", "cbl-mariner {}"),
    ("microsoftwindowsserver", r"\b(20\d\d)-r2\b", "windows-server {}-r2"),
    ("microsoftwindowsserver", r"\b(20\d\d)\b", "windows-server {}"),
    ("microsoftwindowsdesktop", r"\bwindows-?(8\.1|8|10|11)\b", "windows-client {}"),
    ("microsoftwindowsdesktop", r"\bwin(8\.1|8|10|11)\b", "windows-client {}"),
)


def release_of_image(publisher: str, offer: str, sku: str) -> Maybe[str]:
    """Return distribution and release, such as ``ubuntu 22.04``, or UNKNOWN."""
    named = f"{offer} {sku}".casefold()
    for known, pattern, release in _IMAGES:
        found = re.search(pattern, named) if publisher.casefold() == known else None
        if found:
            return release.format(*found.groups())
    return UNKNOWN
