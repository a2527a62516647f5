"""Secrets."""

from __future__ import annotations

import uuid
from typing import Final

import attrs

from keyhier.testing.keyvault.attributes import Attributes, Kind, read_tags
from keyhier.testing.keyvault.messages import Answer, Document, Request
from keyhier.testing.keyvault.objects import Objects
from keyhier.testing.keyvault.service_error import bad_parameter, forbidden
from keyhier.testing.keyvault.store import Entry

__all__ = ["SECRET", "SecretVersion", "Secrets"]

SECRET: Final = Kind("Secret", "secrets", longest_tag=512)
_MOST_BYTES: Final = 25 * 1024
_LONGEST_CONTENT_TYPE: Final = 255


@attrs.define
class SecretVersion:
    """One version of a secret."""

    value: str = attrs.field(repr=False)
    content_type: str | None
    attributes: Attributes
    tags: dict[str, str] | None
    id: str = attrs.field(factory=lambda: uuid.uuid4().hex)


class Secrets(Objects[SecretVersion]):
    """The routes of secrets."""

    def set_secret(self, request: Request, name: str) -> Answer:
        """Answer ``PUT /secrets/{name}``: a new version, with a value of 25 KB at most."""
        document = request.document()
        value = document.get("value")
        if not isinstance(value, str):
            raise bad_parameter("The required parameter value is missing.")
        if len(value.encode(errors="surrogatepass")) > _MOST_BYTES:
            raise bad_parameter(f"The value of a secret may have at most {_MOST_BYTES} bytes.")
        version = SecretVersion(
            value,
            _content_type(document.get("contentType")),
            Attributes.of(document, self._clock.now()),
            read_tags(document.get("tags"), SECRET),
        )
        entry = self.store.add(name, version)
        return self._with_value(request, entry, version)

    def get(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``GET /secrets/{name}/{version}``; expired ones are given, disabled ones not."""
        entry, found = self.store.version(name, version)
        if not found.attributes.enabled:
            raise forbidden("Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return self._with_value(request, entry, found)

    def update(self, request: Request, name: str, version: str | None = None) -> Answer:
        """Answer ``PATCH /secrets/{name}/{version}``: what is given is replaced."""
        entry, found = self.store.version(name, version)
        document = request.document()
        content_type = _content_type(document.get("contentType"))
        tags = read_tags(document.get("tags"), SECRET)
        found.attributes.update(document, self._clock.now())
        found.content_type = found.content_type if content_type is None else content_type
        found.tags = found.tags if tags is None else tags
        return Answer(document=self.bundle(request.base, entry, found))

    def bundle(self, base: str, entry: Entry[SecretVersion], version: SecretVersion) -> Document:
        """Return a version without its value."""
        return self.row(version) | {"id": self.url(base, entry, version)} | self.common(version)

    def row(self, version: SecretVersion) -> Document:
        """Return the content type."""
        return {} if version.content_type is None else {"contentType": version.content_type}

    def dump(self, version: SecretVersion) -> Document:
        """Return the value and its content type."""
        return {"value": version.value, "content_type": version.content_type}

    def load(self, document: Document) -> SecretVersion:
        """Return what :meth:`dump` was given."""
        return SecretVersion(
            document["value"], document["content_type"], Attributes(0, 0), tags=None
        )

    def _with_value(
        self, request: Request, entry: Entry[SecretVersion], version: SecretVersion
    ) -> Answer:
        shown = {"value": version.value} | self.bundle(request.base, entry, version)
        return Answer(document=shown)


def _content_type(given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > _LONGEST_CONTENT_TYPE:
        raise bad_parameter(
            f"The parameter contentType is not a text of at most {_LONGEST_CONTENT_TYPE} "
            "characters."
        )
    return given
