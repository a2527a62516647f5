"""KeyReference: how a set names its key."""

from __future__ import annotations

import attrs

from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId

__all__ = ["KeyReference"]


@attrs.frozen
class KeyReference:
    """A customer-managed key, pinned to one version or following the latest.

    Attributes:
        key: the key version that is meant, or the key without a version, whose latest is.
    """

    key: KeyId

    @classmethod
    def pinned(cls, key: KeyId | str) -> KeyReference:
        """Refer to one exact version.

        Raises:
            InvalidInputError: the id has no version.
        """
        found = key if isinstance(key, KeyId) else KeyId.parse(key)
        if not found.version:
            raise InvalidInputError(f"{found} names no version that could be pinned")
        return cls(found)

    @classmethod
    def following(cls, key: KeyId | str) -> KeyReference:
        """Refer to the latest version; one that the id names does not matter."""
        found = key if isinstance(key, KeyId) else KeyId.parse(key)
        return cls(found.versionless)

    @property
    def follows(self) -> bool:
        """Whether it means the latest version."""
        return not self.key.version

    def __str__(self) -> str:
        return f"{self.key} ({'following the latest' if self.follows else 'pinned'})"
