"""What has a name, versions and a soft delete: keys and secrets alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs

from keyhier.errors import InvalidStateError, NotFoundError

__all__ = ["Entry", "Shelf"]

Version = TypeVar("Version")


@attrs.frozen
class Entry(Generic[Version]):
    """A name and its versions.

    Attributes:
        name: the name, as it was first written.
        versions: by version, in the order they were made, at least one; nobody changes the dict.
        deleted: whether it is soft-deleted.
    """

    name: str
    versions: dict[str, Version]
    deleted: bool = False

    @property
    def latest(self) -> Version:
        """The version made last, enabled or not."""
        return next(reversed(self.versions.values()))


Kept = TypeVar("Kept", bound=Entry[Any])


@attrs.frozen
class Shelf(Generic[Kept]):
    """All entries of one kind, and the changes that can be made to them; it never changes itself.

    Attributes:
        kind: what an error calls one of them.
        recover, purge: what brings a soft-deleted one back, and what destroys it.
        entries: by name, soft-deleted ones too.
    """

    kind: str
    recover: str
    purge: str
    entries: Mapping[str, Kept]

    @property
    def remedy(self) -> str:
        """What can be done about a soft-deleted one."""
        return f"bring it back with `{self.recover}` or destroy it with `{self.purge}`"

    def find(self, name: str) -> Kept:
        """Return the entry called ``name``.

        Raises:
            NotFoundError: there is none.
            InvalidStateError: it is soft-deleted.
        """
        found = self.entries.get(name)
        if found is None:
            raise NotFoundError(f"no {self.kind} is called {name}")
        if found.deleted:
            raise InvalidStateError(f"{self.kind} {name} is soft-deleted", remedy=self.remedy)
        return found

    def find_deleted(self, name: str) -> Kept:
        """Return the soft-deleted entry called ``name``.

        Raises:
            NotFoundError: there is none.
        """
        found = self.entries.get(name)
        if found is None or not found.deleted:
            raise NotFoundError(f"no soft-deleted {self.kind} is called {name}")
        return found

    def recovering(self, name: str) -> dict[str, Kept]:
        """Return the entries with a soft-deleted one brought back.

        Raises:
            NotFoundError: no soft-deleted one has that name.
        """
        return {**self.entries, name: attrs.evolve(self.find_deleted(name), deleted=False)}

    def purging(self, name: str) -> dict[str, Kept]:
        """Return the entries without a soft-deleted one.

        Raises:
            NotFoundError: no soft-deleted one has that name.
        """
        self.find_deleted(name)
        return {other: entry for other, entry in self.entries.items() if other != name}
