"""What the parts of a hierarchy share."""

from __future__ import annotations

import attrs

from keyhier.errors import AmbiguousError, InvalidInputError, NotFoundError, UnsupportedError
from keyhier.hierarchy.chain_keyring import ChainKeyring
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.hierarchy.policy import Policy
from keyhier.identifiers import KeyId
from keyhier.records.protocol import (
    Journal,
    KeyMarks,
    Records,
    Sets,
    SupportsJournal,
    SupportsKeyMarks,
    SupportsSets,
)
from keyhier.records.record import Query
from keyhier.vault import Vault

__all__ = ["Core"]


@attrs.frozen
class Core:
    """The vaults, the records and the keyring of one hierarchy.

    Attributes:
        name: what the ids of its KEKs in records begin with.
        vaults: the open vaults; new KEKs are looked for in the first.
        records: where its records are.
        keyring: finds its keys.
        policy: what it insists on.
    """

    name: str
    vaults: tuple[Vault, ...]
    records: Records
    keyring: ChainKeyring
    policy: Policy

    def find_key(self, key: str | KeyId) -> KeyId:
        """Return the id that a key's name or id means, with a version only where one was given.

        Raises:
            InvalidInputError: the text is no id.
            NotFoundError: no vault and no record has a key of that name.
            AmbiguousError: several have.
        """
        if isinstance(key, KeyId):
            return key
        if ":" in key:
            return KeyId.parse(key)
        found: list[KeyId] = []
        for vault in self.vaults:
            try:
                found.append(vault.key(key).id.versionless)
            except NotFoundError:
                continue
        try:
            in_records = self.in_records(key)
        except InvalidInputError:
            in_records = None
        if in_records and self.records.count(Query(names=in_records)):
            found.append(in_records)
        if not found:
            raise NotFoundError(
                f"there is no KEK {key!r} in the vaults and the records",
                remedy="list the keys there are",
            )
        if len(found) > 1:
            raise AmbiguousError(
                f"several KEKs are called {key!r}",
                candidates=[str(each) for each in found],
                remedy="give the id of the one that is meant",
            )
        return found[0]

    def in_records(self, name: str) -> KeyId:
        """Return the id of a KEK of this hierarchy in the records, without a version.

        Raises:
            InvalidInputError: no KEK can have that name.
        """
        return KeyId.parse(f"{IN_RECORDS}:{self.name}/{name}")

    @property
    def journal(self) -> Journal:
        """The jobs.

        Raises:
            UnsupportedError: the store keeps none.
        """
        if not isinstance(self.records, SupportsJournal):
            raise UnsupportedError("this store of records keeps no jobs")
        return self.records.journal

    @property
    def key_marks(self) -> KeyMarks:
        """The states of key versions.

        Raises:
            UnsupportedError: the store keeps none.
        """
        if not isinstance(self.records, SupportsKeyMarks):
            raise UnsupportedError("this store of records keeps no states of keys")
        return self.records.key_marks

    @property
    def sets(self) -> Sets:
        """The encryption sets.

        Raises:
            UnsupportedError: the store keeps none.
        """
        if not isinstance(self.records, SupportsSets):
            raise UnsupportedError("this store of records keeps no encryption sets")
        return self.records.sets
