"""Volume: which disk a volume key is for."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from keyhier.errors import InvalidInputError
from keyhier.placement.place import NOWHERE, Placement

__all__ = ["Volume"]


@attrs.frozen
class Volume:
    """A volume of a machine.

    Attributes:
        vm: the machine's name.
        name: the volume's name, unlike any other's of the machine: ``C:``, ``/dev/sdb``.
        set: the encryption set that its disk is in, or None; not bound to its key, as disks leave.
        labels: free names and values that can be searched for.
        placement: where the machine is, as far as it is known; not kept.
    """

    vm: str
    name: str
    set: str | None = attrs.field(default=None, eq=False)
    labels: Mapping[str, str] = attrs.field(factory=dict, eq=False)
    placement: Placement = attrs.field(default=NOWHERE, eq=False)

    def __attrs_post_init__(self) -> None:
        if not (self.vm and self.name):
            raise InvalidInputError("a volume has a machine and a name")

    def __str__(self) -> str:
        return f"{self.name} of {self.vm}"
