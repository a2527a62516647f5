"""KekUse: a key version as what wraps and unwraps, wherever it lives."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from keyhier.identifiers import KeyId
from keyhier.secret import Secret, SecretBytes
from keyhier.wrapped import WrappedKey

__all__ = ["KekUse"]


class KekUse(Protocol):
    """One exact version of a KEK, in a vault, in a session of one, or in memory.

    :class:`keyhier.Key` and :class:`keyhier.SessionKey` are such, and what a keyring returns is.
    """

    @property
    def id(self) -> KeyId:
        """The identity, with the exact version."""
        ...

    def wrap(
        self,
        secret: Secret,
        *,
        context: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> WrappedKey:
        """Wrap a secret; raises what :meth:`keyhier.Key.wrap` raises.

        Raises:
            IntegrityError: the KEK is kept in a record, and nothing outside of the records says
                that it is the one that was made.
        """
        ...

    def unwrap(
        self, wrapped: WrappedKey | str, *, context: Mapping[str, str] | None = None
    ) -> SecretBytes:
        """Open an envelope that names this version; raises what :meth:`keyhier.Key.unwrap` does."""
        ...
