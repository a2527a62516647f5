"""VaultKeyring: the keys of open vaults by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keyhier.errors import NotFoundError
from keyhier.hierarchy.kek_use import KekUse
from keyhier.hierarchy.moved_key import MovedKey
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.vault import Vault

__all__ = ["VaultKeyring"]


class VaultKeyring:
    """A :class:`~keyhier.hierarchy.keyring.Keyring` of one or more vaults.

    Two vaults in memory name their keys alike, so every vault is asked, in their order.
    """

    def __init__(self, *vaults: Vault) -> None:
        self._vaults: Sequence[Vault] = vaults
        self._known: dict[KeyId, KekUse] = {}

    def use(self, key: KeyId) -> KekUse:
        """Return an exact version; see :meth:`Keyring.use`."""
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._find(key)
        return known

    def _find(self, key: KeyId) -> KekUse:
        for vault in self._vaults:
            moved = vault.aliases.get(key)
            try:
                return MovedKey(key, vault, vault.key(moved)) if moved else vault.key(key)
            except NotFoundError:
                continue
        raise _missing(key)

    def key(self, key: KeyId) -> Key:
        """Return the key of a vault that stands behind an id, looked up anew.

        Without a version in the id it is the latest one.

        Raises:
            NotFoundError: no vault has it.
        """
        for found in self._keys(key):
            return found
        raise _missing(key)

    def _keys(self, key: KeyId) -> Iterator[Key]:
        for vault in self._vaults:
            try:
                yield vault.key(vault.aliases.get(key, key))
            except NotFoundError:
                continue

    def latest(self, key: KeyId) -> Key:
        """Return the newest version of a key; see :meth:`Keyring.latest`."""
        return self.key(key.versionless)

    def forget(self, key: KeyId) -> None:
        """Let go of what is kept of a key or a version."""
        for known in list(self._known):
            if key in (known, known.versionless):
                self._known.pop(known, None)

    def new_version(self, key: KeyId, *, tag: str) -> KeyId:  # noqa: ARG002  # No vault keeps one.
        """Make a new version of a key; see :meth:`Keyring.new_version`."""
        return self.latest(key).rotate().id


def _missing(key: KeyId) -> NotFoundError:
    return NotFoundError(
        f"{key} is in none of the vaults that are open",
        remedy="open its vault too, or give an alias if the key has moved",
    )
