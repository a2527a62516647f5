"""VmSize: the name of a size of virtual machines, taken apart.

``Standard_D4ads_v5``: tier, family, number of CPUs, features, version
(https://learn.microsoft.com/azure/virtual-machines/vm-naming-conventions).
"""

from __future__ import annotations

import re
from typing import Final

import attrs

__all__ = ["VmSize"]

_NAME: Final = re.compile(
    r"(?P<tier>basic|standard)_(?P<family>[a-z]+?)(?P<cpus>\d+)(?:-\d+)?(?P<features>[a-z]*)"
    r"(?:_(?!v\d+$)[a-z0-9]+)*(?:_v(?P<version>\d+))?"
)
_LOCAL_DISK: Final = "d"


@attrs.frozen
class VmSize:
    """A size, as far as its name tells.

    Attributes:
        tier: ``basic`` or ``standard``.
        family: in capitals: ``D``, ``NC``.
        features: the letters behind the number of CPUs, such as ``ads``.
        version: 1 where the name has none.
    """

    tier: str
    family: str
    features: str
    version: int

    @classmethod
    def parse(cls, name: str) -> VmSize | None:
        """Return the size of that name, or None where it is not of the usual form."""
        found = _NAME.fullmatch(name.strip().casefold())
        if found is None:
            return None
        return cls(
            found["tier"],
            found["family"].upper(),
            found["features"],
            int(found["version"] or 1),
        )

    @property
    def local_disk(self) -> bool:
        """Whether the name says that it has a local temporary disk."""
        return _LOCAL_DISK in self.features
