"""What the vault holds besides keys: secrets and their versions, as values that never change."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

import attrs

from keyhier.errors import CapacityError
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SecretId, SetSecret, StoredSecret
from keyhier_memory.shelf import Entry

__all__ = ["KeptSecret", "SecretVersion", "check_limits"]

# Key Vault's, so that what is kept here can be kept there:
# https://learn.microsoft.com/azure/key-vault/secrets/about-secrets
_MAX_VALUE_BYTES: Final = 25 * 1024
_MAX_CONTENT_TYPE: Final = 255
_MAX_TAGS: Final = 15
_MAX_TAG_CHARACTERS: Final = 512


def check_limits(request: SetSecret) -> None:
    """Raise unless the vault takes so much.

    Raises:
        CapacityError: something is longer, or the tags are more, than Key Vault takes.
    """
    for length, limit, what in (
        (len(request.value), _MAX_VALUE_BYTES, "bytes in a secret's value"),
        (len(request.content_type or ""), _MAX_CONTENT_TYPE, "characters in a content type"),
        (len(request.tags), _MAX_TAGS, "tags of a secret"),
        (
            max((len(text) for tag in request.tags.items() for text in tag), default=0),
            _MAX_TAG_CHARACTERS,
            "characters in a tag's name or value",
        ),
    ):
        if length > limit:
            raise CapacityError(f"{length} {what} are too many: at most {limit} are taken")


@attrs.frozen
class SecretVersion:
    """One version of a secret.

    Attributes:
        version: 32 lower-case hexadecimal digits that sort by time.
        value: the text in UTF-8.
        content_type, tags: what was set with it.
        created: when it was made, in UTC.
    """

    version: str
    value: SecretBytes = attrs.field(repr=False, eq=False)
    content_type: str | None
    tags: Mapping[str, str]
    created: datetime

    def describe(self, name: str, *, revealed: bool = False) -> StoredSecret:
        """Return what a user may know of this version; ``revealed`` adds a copy of the value."""
        return StoredSecret(
            id=SecretId("", name, self.version),
            value=SecretBytes(self.value.view()) if revealed else None,
            content_type=self.content_type,
            tags=self.tags,
            created=self.created,
            updated=self.created,
        )


@attrs.frozen
class KeptSecret(Entry[SecretVersion]):
    """A secret's name and its versions."""

    def with_version(self, request: SetSecret, version: str) -> KeptSecret:
        """Return the same secret with one version more, set now."""
        value = SecretBytes(request.value.view())
        tags = dict(request.tags)
        made = SecretVersion(version, value, request.content_type, tags, datetime.now(UTC))
        return attrs.evolve(self, versions={**self.versions, version: made})
