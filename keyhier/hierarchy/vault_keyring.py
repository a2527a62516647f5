"""VaultKeyring: the keys of open vaults by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from keyhier.algorithms import KeyType
from keyhier.errors import IntegrityError, NotFoundError
from keyhier.hierarchy.kek_use import KekUse
from keyhier.hierarchy.moved_key import MovedKey
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.records.record import Record, RecordKind
from keyhier.vault import Vault

__all__ = ["VaultKeyring", "untrusted"]


class VaultKeyring:
    """A :class:`~keyhier.hierarchy.keyring.Keyring` of one or more vaults.

    Two vaults in memory name their keys alike, so every vault is asked, in their order.
    """

    def __init__(self, *vaults: Vault) -> None:
        self._vaults: Sequence[Vault] = vaults
        self._known: dict[KeyId, KekUse] = {}

    def beside(self, vault: Vault) -> VaultKeyring:
        """Return a keyring that finds the keys of one vault more, after those of its own."""
        return VaultKeyring(*self._vaults, vault)

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

    def new_version(self, key: KeyId, *, tag: str) -> KeyId:
        """Make a new version of a key; see :meth:`Keyring.new_version`."""
        return self.latest(key).rotate(tag=tag).id

    def require_trust(self, record: Record, target: KeyId) -> None:
        """Refuse a planted KEK; see :meth:`Keyring.require_trust`."""
        if (
            record.kind is RecordKind.KEK
            and not self.authenticates(record.key)
            and self.authenticates(target)
        ):
            raise untrusted(record)

    def authenticates(self, key: KeyId) -> bool:
        """Whether only those who may use a key can wrap under it: a symmetric one."""
        use = self.use(key)
        kek = use.key if isinstance(use, MovedKey) else use
        return isinstance(kek, Key) and kek.spec.key_type is KeyType.AES


def untrusted(record: Record) -> IntegrityError:
    """Return the error for a KEK that anybody may have planted."""
    return IntegrityError(
        f"anybody could have put {record.names} into record {record.id}, since it lies under a "
        "public key, and under the new one it would be trusted",
        remedy="pin the thumbprint that was shown when it was made",
    )


def _missing(key: KeyId) -> NotFoundError:
    return NotFoundError(
        f"{key} is in none of the vaults that are open",
        remedy="open its vault too, or give an alias if the key has moved",
    )
