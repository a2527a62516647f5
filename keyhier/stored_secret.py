"""StoredSecret: a secret as a vault keeps it, which is not a key; and SecretId, its name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Final

import attrs

from keyhier.errors import InvalidInputError
from keyhier.identifiers import MAX_ID_CHARACTERS, read_https_object, read_memory_object
from keyhier.secret import SecretBytes

__all__ = ["SecretId", "SetSecret", "StoredSecret"]

_NO_TAGS: Final[Mapping[str, str]] = MappingProxyType({})


def _frozen_tags(tags: Mapping[str, str]) -> Mapping[str, str]:
    return MappingProxyType(dict(tags))


@attrs.frozen
class SecretId:
    """The identity of a secret, with its exact version or (``version == ""``) without one.

    ``https://contoso.vault.azure.net/secrets/NAME/VERSION`` in Azure Key Vault
    (https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates), and
    ``memory:secrets/NAME/VERSION`` in memory. Like a :class:`~keyhier.KeyId` it names and opens
    nothing. The case of a name is kept and does not count.

    Attributes:
        vault: the host with its port, unless that is 443; empty in memory.
        name: the secret's name.
        version: the vault's version.
    """

    vault: str
    name: str = attrs.field(eq=str.lower)
    version: str = ""

    @classmethod
    def parse(cls, text: str) -> SecretId:
        """Read a secret's id.

        Raises:
            InvalidInputError: it is none, or has a query or a fragment.
        """
        if not isinstance(text, str) or len(text) > MAX_ID_CHARACTERS:
            raise InvalidInputError(f"a secret's id has at most {MAX_ID_CHARACTERS} characters")
        scheme, _, rest = text.partition(":")
        if scheme.lower() == "memory" and rest.startswith("secrets/"):
            return cls("", *read_memory_object(rest.removeprefix("secrets/")))
        if scheme.lower() != "https":
            raise InvalidInputError("a secret's id has the form https://HOST/secrets/NAME/VERSION")
        return cls(*read_https_object(rest, "secrets"))

    def __str__(self) -> str:
        base = f"https://{self.vault}/secrets/" if self.vault else "memory:secrets/"
        return f"{base}{self.name}/{self.version}" if self.version else f"{base}{self.name}"

    @property
    def scheme(self) -> str:
        """The kind of vault: ``https``, or ``memory``."""
        return "https" if self.vault else "memory"

    @property
    def versionless(self) -> SecretId:
        """The same secret, without a version."""
        return attrs.evolve(self, version="")


@attrs.frozen
class StoredSecret:
    """One version of a secret, as the vault describes it at the moment of the call.

    Attributes:
        id: its identity; ``id.version`` is never empty.
        value: the text in UTF-8, for the caller to wipe; None in listings.
        content_type: what the value is, in the words of whoever set it.
        tags: what was set with it.
        enabled: whether the vault hands the value out.
        created, updated, not_before, expires: in UTC, where the vault keeps them.
    """

    id: SecretId
    value: SecretBytes | None = attrs.field(repr=False, eq=False)
    content_type: str | None = None
    tags: Mapping[str, str] = attrs.field(default=_NO_TAGS, converter=_frozen_tags)
    enabled: bool = True
    created: datetime | None = None
    updated: datetime | None = None
    not_before: datetime | None = None
    expires: datetime | None = None


@attrs.frozen
class SetSecret:
    """A request to keep a secret.

    Attributes:
        name: 1 to 127 of ``[0-9A-Za-z-]``.
        value: the text in UTF-8; the caller wipes it.
        content_type: what it is.
        tags: names and values to keep with it.
    """

    name: str
    value: SecretBytes = attrs.field(repr=False, eq=False)
    content_type: str | None = None
    tags: Mapping[str, str] = attrs.field(default=_NO_TAGS, converter=_frozen_tags)
