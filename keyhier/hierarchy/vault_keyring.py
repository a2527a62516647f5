"""VaultKeyring: the keys of open vaults by their ids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import attrs

from keyhier.algorithms import KeyType
from keyhier.errors import AmbiguousError, IntegrityError, NotFoundError
from keyhier.hierarchy.kek_use import KekUse
from keyhier.hierarchy.moved_key import MovedKey
from keyhier.hierarchy.parents import Parents
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.records.record import Record, RecordKind
from keyhier.vault import Vault

__all__ = ["AUTHENTICATE", "VaultKeyring", "untrusted"]

AUTHENTICATE: Final = (
    "pin the thumbprint that was shown when it was made, or name the AES key at the root among "
    "the policy's parents"
)
"""What to do about a KEK in a record that nothing outside of the records vouches for."""


@attrs.frozen
class _Found:
    """A key version, with the vault that has it."""

    vault: Vault
    key: Key
    use: KekUse

    @property
    def is_symmetric(self) -> bool:
        return self.key.spec.key_type is KeyType.AES


class VaultKeyring:
    """A :class:`~keyhier.hierarchy.keyring.Keyring` of one or more vaults.

    Two vaults in memory name their keys alike, so every vault is asked, in their order.
    """

    def __init__(self, *vaults: Vault, parents: tuple[str | KeyId, ...] | None = None) -> None:
        """Put open vaults together; nothing is asked of them yet.

        Args:
            vaults: in the order in which they are asked.
            parents: the keys under which KEKs in records are believed; see :class:`Parents`.
        """
        self._vaults: Sequence[Vault] = vaults
        self._named = parents
        self._parents = Parents(parents)
        self._known: dict[KeyId, _Found] = {}

    def beside(self, vault: Vault) -> VaultKeyring:
        """Return a keyring that finds the keys of one vault more, after those of its own."""
        return VaultKeyring(*self._vaults, vault, parents=self._named)

    def use(self, key: KeyId) -> KekUse:
        """Return an exact version; see :meth:`Keyring.use`."""
        return self._found(key).use

    def _found(self, key: KeyId) -> _Found:
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = self._find(key)
        return known

    def _find(self, key: KeyId) -> _Found:
        for vault in self._vaults:
            moved = vault.aliases.get(key)
            try:
                found = vault.key(moved or key)
            except NotFoundError:
                continue
            return _Found(vault, found, MovedKey(key, vault, found) if moved else found)
        raise self._missing(key)

    def _missing(self, key: KeyId) -> NotFoundError:
        if self.is_open(key):
            # Vaults in memory name their keys alike, so it may be in another one.
            return NotFoundError(
                f"there is no {key} in its vault",
                remedy="list the keys there are, or open the vault that has it",
            )
        return NotFoundError(
            f"{key} is in none of the vaults that are open",
            remedy="open its vault too, or give an alias if the key has moved",
        )

    def key(self, key: KeyId) -> Key:
        """Return the key of a vault that stands behind an id, looked up anew.

        Without a version in the id it is the latest one.

        Raises:
            NotFoundError: no vault has it.
        """
        for found in self._keys(key):
            return found
        raise self._missing(key)

    def is_open(self, key: KeyId) -> bool:
        """Whether the vault that a key's id names is open, be the key there or not."""
        return any(vault.is_home_of(vault.aliases.get(key, key)) for vault in self._vaults)

    def ids_of(self, key: KeyId) -> list[KeyId]:
        """Return the ids under which the open vaults may have a key; none of them is asked.

        It is found under an id of today where one has an alias for it.
        """
        ids = ((vault, vault.aliases.get(key, key)) for vault in self._vaults)
        return list(dict.fromkeys(each for vault, each in ids if vault.is_home_of(each))) or [key]

    def ids_of_old(self, key: KeyId) -> list[KeyId]:
        """Return the ids of old by which envelopes may know a key, or one version of it."""
        return sorted(
            {
                old
                for vault in self._vaults
                for old, new in vault.aliases.items()
                if key in (new, new.versionless) and key not in (old, old.versionless)
            }
        )

    def _keys(self, key: KeyId) -> Iterator[Key]:
        for vault in self._vaults:
            try:
                yield vault.key(vault.aliases.get(key, key))
            except NotFoundError:
                continue

    def latest(self, key: KeyId) -> Key:
        """Return the newest version of a key; see :meth:`Keyring.latest`."""
        if not key.version:
            return self.key(key)
        return self._found(key).vault.key(key.versionless)

    def home(self, key: KeyId) -> Vault:
        """Return the one vault that has an exact version.

        Raises:
            NotFoundError: no vault has it.
            AmbiguousError: several have, such as one and its copy.
        """
        homes = {each.uri: each for each in self._vaults if _has(each, key)}
        if not homes:
            raise self._missing(key)
        if len(homes) > 1:
            raise AmbiguousError(
                f"{key} is in several of the open vaults",
                candidates=sorted(homes),
                remedy="open the one in which the key is to be rotated, and not its copies",
            )
        return next(iter(homes.values()))

    def forget(self, key: KeyId) -> None:
        """Let go of what is kept of a key or a version."""
        for known in list(self._known):
            if key in (known, known.versionless):
                self._known.pop(known, None)

    def new_version(self, key: KeyId, *, tag: str) -> KeyId:
        """Make a new version of a key; see :meth:`Keyring.new_version`."""
        return self.home(key).key(key.versionless).rotate(tag=tag).id

    def require_trust(self, record: Record, target: KeyId) -> None:
        """Refuse a planted KEK; see :meth:`Keyring.require_trust`."""
        if (
            record.kind is RecordKind.KEK
            and self.gives_trust(record.key, target)
            and not self.authenticates(record.key)
        ):
            raise untrusted(record)

    def authenticates(self, key: KeyId) -> bool:
        """Whether only those who may make KEKs can wrap under a key; see :class:`Parents`."""
        found = self._found(key)
        return self._parents.include(found.vault, found.key, key)

    def gives_trust(self, key: KeyId, target: KeyId) -> bool:
        """Whether what lies under a key could be believed for the first time under another one.

        Other programs may name other parents, so every symmetric key counts.
        """
        before, after = self._found(key), self._found(target)
        same = before.vault is after.vault and before.key.name == after.key.name
        return after.is_symmetric and not (same and before.is_symmetric)


def _has(vault: Vault, key: KeyId) -> bool:
    try:
        vault.key(key)
    except NotFoundError:
        return False
    return True


def untrusted(record: Record) -> IntegrityError:
    """Return the error for a KEK that somebody may have planted."""
    return IntegrityError(
        f"nothing outside of the records says that what the record {record.id} holds is "
        f"{record.names}, and under the new key it would be trusted",
        remedy=AUTHENTICATE,
    )
