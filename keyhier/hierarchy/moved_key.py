"""MovedKey: a key that envelopes know by the id that it had elsewhere."""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from keyhier.errors import UnwrapError
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.secret import Secret, SecretBytes
from keyhier.vault import Vault
from keyhier.wrapped import WrappedKey

__all__ = ["MovedKey"]


@attrs.frozen
class MovedKey:
    """A :class:`~keyhier.hierarchy.kek_use.KekUse` under an id of old.

    Attributes:
        id: the id of old, which stands in envelopes.
        vault: the vault that has an alias for it.
        key: the key there; what is wrapped from now on names this one.
    """

    id: KeyId
    vault: Vault
    key: Key

    def wrap(
        self,
        secret: Secret,
        *,
        context: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> WrappedKey:
        """Wrap under the id of today; see :meth:`Key.wrap`."""
        return self.key.wrap(secret, context=context, content_type=content_type)

    def unwrap(
        self, wrapped: WrappedKey | str, *, context: Mapping[str, str] | None = None
    ) -> SecretBytes:
        """Open an envelope that names the id of old, or that of today; see :meth:`Vault.unwrap`."""
        envelope = wrapped if isinstance(wrapped, WrappedKey) else WrappedKey.parse(wrapped)
        if envelope.kid == self.key.id:
            return self.key.unwrap(envelope, context=context)
        if envelope.kid != self.id:
            raise UnwrapError
        return self.vault.unwrap(envelope, context=context)
