"""Finding the secret of a machine's volume in a vault: the newest is the current one."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from keyhier.azure_disk import labels
from keyhier.azure_disk.disk_secret import (
    is_disk_secret,
    same_volume,
    typed_volume,
    volume_of,
)
from keyhier.errors import AmbiguousError, InvalidInputError, NotFoundError
from keyhier.stored_secret import StoredSecret

__all__ = ["Found", "find"]


@attrs.frozen
class Found:
    """The secrets that answer to a machine and a volume.

    Attributes:
        newest: the current one.
        others: the older ones, newest first.
    """

    newest: StoredSecret
    others: tuple[StoredSecret, ...]


def find(listed: Iterable[StoredSecret], machine: str, volume: str | None = None) -> Found:
    """Find the newest secret of a machine's volume.

    Args:
        listed: secrets, as a vault lists them.
        machine: the host name; case does not count.
        volume: ``C:``, or for Linux ``os`` or CONTROLLER_LUN; it may be left out where all of the
            machine's secrets are of one volume.

    Raises:
        InvalidInputError: the machine's name is empty, as it is where a secret names none.
        NotFoundError: there is none.
        AmbiguousError: they are of several volumes, or two are newest; the candidates are listed.
    """
    if not machine:
        raise InvalidInputError("a machine is found by its host name, which is not empty")
    matching = [
        stored
        for stored in listed
        if is_disk_secret(stored)
        and stored.tags.get(labels.MACHINE, "").lower() == machine.lower()
        and (volume is None or same_volume(volume_of(stored), volume))
    ]
    where = machine if volume is None else f"{machine}, volume {volume}"
    if not matching:
        raise NotFoundError(
            f"no secret is labelled for the machine {where}",
            remedy="list the vault's, and name the secret itself",
        )
    if len({volume_of(stored) for stored in matching}) > 1:
        raise AmbiguousError(
            f"the machine {where} has secrets of several volumes",
            candidates=sorted(
                {typed_volume(volume_of(stored)) or "(no volume)" for stored in matching}
            ),
            remedy="name the volume",
        )
    matching.sort(key=_age, reverse=True)
    newest = [stored for stored in matching if _age(stored) == _age(matching[0])]
    if len(newest) > 1:
        raise AmbiguousError(
            f"several secrets of {where} are newest, by the vault's clock",
            candidates=[str(stored.id) for stored in newest],
            remedy="name the secret itself",
        )
    return Found(matching[0], tuple(matching[1:]))


def _age(stored: StoredSecret) -> float:
    """Return when a secret was made, later ones greater; one of unknown age is the oldest."""
    return stored.created.timestamp() if stored.created else 0.0
