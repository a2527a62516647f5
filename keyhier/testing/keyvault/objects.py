"""What can be done with a key and with a secret alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

import attrs

from keyhier.testing.keyvault import backup
from keyhier.testing.keyvault.attributes import Attributes
from keyhier.testing.keyvault.clock import Clock
from keyhier.testing.keyvault.messages import Answer, Document, Request, bytes_of, text_of
from keyhier.testing.keyvault.paging import page
from keyhier.testing.keyvault.store import Entry, State, Store, Version

__all__ = ["Objects"]

V = TypeVar("V", bound=Version)


class Objects(ABC, Generic[V]):
    """The keys or the secrets of a vault, and the routes that both have."""

    def __init__(self, store: Store[V], clock: Clock) -> None:
        """Serve what is in ``store``."""
        self.store = store
        self._clock = clock

    @abstractmethod
    def bundle(self, base: str, entry: Entry[V], version: V) -> Document:
        """Return a version as the answers about one version show it."""

    @abstractmethod
    def row(self, version: V) -> Document:
        """Return what a listing shows of a version besides its id, attributes and tags."""

    @abstractmethod
    def dump(self, version: V) -> Document:
        """Return all of a version, for a backup."""

    @abstractmethod
    def load(self, document: Document) -> V:
        """Return what :meth:`dump` was given."""

    def list_live(self, request: Request) -> Answer:
        """Answer ``GET /{kind}``."""
        return page(
            request,
            (
                (entry.name.lower(), self._row(request, entry))
                for entry in self.store.listed(State.LIVE)
            ),
        )

    def list_versions(self, request: Request, name: str) -> Answer:
        """Answer ``GET /{kind}/{name}/versions``, the oldest first."""
        entry = self.store.live(name)
        rows = [
            (f"{place:08}", self._row(request, entry, version))
            for place, version in enumerate(list(entry.versions.values()))
        ]
        return page(request, rows)

    def delete(self, request: Request, name: str) -> Answer:
        """Answer ``DELETE /{kind}/{name}``."""
        return self._deleted_bundle(request, self.store.delete(name))

    def list_deleted(self, request: Request) -> Answer:
        """Answer ``GET /deleted{kind}``."""
        entries = self.store.listed(State.DELETED)
        return page(
            request,
            (
                (entry.name.lower(), self._deletion(request, entry) | self._row(request, entry))
                for entry in entries
            ),
        )

    def get_deleted(self, request: Request, name: str) -> Answer:
        """Answer ``GET /deleted{kind}/{name}``."""
        return self._deleted_bundle(request, self.store.deleted(name))

    def recover(self, request: Request, name: str) -> Answer:
        """Answer ``POST /deleted{kind}/{name}/recover``."""
        entry = self.store.recover(name)
        return Answer(document=self.bundle(request.base, entry, entry.latest))

    def purge(self, request: Request, name: str) -> Answer:
        """Answer ``DELETE /deleted{kind}/{name}``."""
        self.store.purge(name)
        return Answer(204)

    def back_up(self, request: Request, name: str) -> Answer:
        """Answer ``POST /{kind}/{name}/backup``: the object with all its versions."""
        entry = self.store.live(name)
        versions = [
            self.dump(version)
            | {
                "id": version.id,
                "attributes": attrs.asdict(version.attributes),
                "tags": version.tags,
            }
            for version in list(entry.versions.values())
        ]
        blob = backup.seal({"name": entry.name, "versions": versions}, self.store.kind.path)
        return Answer(document={"value": text_of(blob)})

    def restore(self, request: Request) -> Answer:
        """Answer ``POST /{kind}/restore``: ids stay as they were, under this vault's name."""
        blob = bytes_of(request.document(), "value")
        document = backup.open_blob(blob, self.store.kind.path)
        entry: Entry[V] = Entry(document["name"])
        for each in document["versions"]:
            version = self.load(each)
            version.id, version.tags = each["id"], each["tags"]
            version.attributes = Attributes(**each["attributes"])
            entry.versions[version.id] = version
        self.store.restore(entry)
        return Answer(document=self.bundle(request.base, entry, entry.latest))

    def url(self, base: str, entry: Entry[V], version: V | None = None) -> str:
        """Return the id of an object, or of one of its versions."""
        whole = f"{base}/{self.store.kind.path}/{entry.name}"
        return whole if version is None else f"{whole}/{version.id}"

    def common(self, version: V) -> Document:
        """Return the attributes and tags, as all answers show them."""
        shown: Document = {
            "attributes": version.attributes.document() | self.store.retention.document()
        }
        if version.tags is not None:
            shown["tags"] = version.tags
        return shown

    def _row(self, request: Request, entry: Entry[V], version: V | None = None) -> Document:
        shown = version or entry.latest
        member = self.store.kind.id_member
        row = {member: self.url(request.base, entry, version)}
        return self.row(shown) | row | self.common(shown)

    def _deletion(self, request: Request, entry: Entry[V]) -> Document:
        return {
            "recoveryId": f"{request.base}/deleted{self.store.kind.path}/{entry.name}",
            "deletedDate": int(entry.deleted or 0),
            "scheduledPurgeDate": self.store.purge_date(entry),
        }

    def _deleted_bundle(self, request: Request, entry: Entry[V]) -> Answer:
        bundle = self.bundle(request.base, entry, entry.latest)
        return Answer(document=self._deletion(request, entry) | bundle)
