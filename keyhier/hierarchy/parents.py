"""Parents: the keys of vaults under which a KEK in a record is believed to be the one made.

Only symmetric keys can be such, since anybody can wrap under a public one. And not every one: who
may use *some* AES key of a vault, and may write the records, could plant a KEK under that.
"""

from __future__ import annotations

from collections.abc import Iterable

from keyhier.algorithms import KeyType
from keyhier.errors import AccessDeniedError, InvalidInputError, UnsupportedError
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.vault import Vault

__all__ = ["Parents", "parents_from"]


def parents_from(named: Iterable[str | KeyId] | None) -> tuple[str | KeyId, ...] | None:
    """Return the keys that are named, ids taken apart; None where nobody named any.

    Raises:
        InvalidInputError: one is no name and no id of a vault's key, or names a version.
    """
    if named is None:
        return None
    if isinstance(named, str) or not isinstance(named, Iterable):
        raise InvalidInputError("parents are a list of names or ids of keys")
    return tuple(map(_parent, named))


def _parent(named: str | KeyId) -> str | KeyId:
    if not isinstance(named, str | KeyId) or not named:
        raise InvalidInputError("a parent is the name or the id of a key")
    if isinstance(named, str) and ":" not in named:
        return named
    key = KeyId.parse(named) if isinstance(named, str) else named
    if key.version or key.scheme == IN_RECORDS:
        raise InvalidInputError(
            f"{key} is no parent: these are keys of vaults, in all their versions",
            remedy="name the key at the root, without a version",
        )
    return key


class Parents:
    """Says whether a KEK is believed because of the key that it lies under."""

    def __init__(self, named: tuple[str | KeyId, ...] | None) -> None:
        """Remember who was named.

        Args:
            named: as :func:`parents_from` returns it. None stands for the only AES key of a vault;
                where a vault has several, somebody has to say which.
        """
        self._named = named
        # A key that is made later, by whomever, is not asked about: it is not the only one.
        self._only: dict[Vault, KeyId | None] = {}

    def include(self, vault: Vault, key: Key, asked: KeyId) -> bool:
        """Whether a key's use proves that who made a KEK was allowed to.

        Args:
            vault: the vault that has it.
            key: the key.
            asked: the id that envelopes know it by, another one where it has moved.
        """
        if key.spec.key_type is not KeyType.AES:
            return False
        if self._named is None:
            return self._only_one(vault) == key.id.versionless
        known = (key.name, key.id.versionless, asked.versionless)
        return any(named in known for named in self._named)

    def _only_one(self, vault: Vault) -> KeyId | None:
        if vault not in self._only:
            try:
                every = list(vault.keys())
            except (AccessDeniedError, UnsupportedError):
                # Who may not look cannot know that it is the only one.
                every = []
            keys = {key.id.versionless for key in every if key.spec.key_type is KeyType.AES}
            self._only[vault] = keys.pop() if len(keys) == 1 else None
        return self._only[vault]
