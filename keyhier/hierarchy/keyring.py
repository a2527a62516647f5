"""Keyring: where the KEKs of a hierarchy are found by their ids."""

from __future__ import annotations

from typing import Final, Protocol

from keyhier.hierarchy.kek_use import KekUse
from keyhier.identifiers import KeyId
from keyhier.records.record import Record

__all__ = ["IN_RECORDS", "Keyring"]

IN_RECORDS: Final = "record"
"""The scheme of the ids of KEKs that are kept in records."""


class Keyring(Protocol):
    """Finds key versions, in vaults and in records. Safe to use from several threads."""

    def use(self, key: KeyId) -> KekUse:
        """Return an exact version, to wrap and to unwrap with.

        Raises:
            NotFoundError: there is none in any of the vaults or in the records.
            InvalidStateError: it is kept in a record and was retired.
            IntegrityError: the records that lead to it contradict each other.
        """
        ...

    def latest(self, key: KeyId) -> KekUse:
        """Return the newest version of a key.

        Args:
            key: the key. With a version it is the newest in that version's own vault: two vaults in
                memory name their keys alike.

        Raises:
            NotFoundError, IntegrityError: as :meth:`use`.
        """
        ...

    def forget(self, key: KeyId) -> None:
        """Let go of what is kept of a key or a version; it is looked for anew the next time."""
        ...

    def new_version(self, key: KeyId, *, tag: str) -> KeyId:
        """Make a new version and return its id; a version that was made for the tag is adopted.

        Args:
            key: a version of the key. The new one is made in its vault.
            tag: what was written down before, such as a job's id.

        Raises:
            NotFoundError, IntegrityError: as :meth:`use`.
            AmbiguousError: several vaults have that version, such as one and its copy.
            UnsupportedError: the vault cannot rotate keys.
        """
        ...

    def require_trust(self, record: Record, target: KeyId) -> None:
        """Refuse to lend a KEK in a record more trust than it has.

        Whoever can write the records can plant a KEK under a public key, or under another key that
        they may use. Were it wrapped anew under a symmetric key, it would look like one that was
        made by those who may use that key. Nothing that is kept of KEKs is asked: it is this very
        record whose KEK must be the one that was made.

        Args:
            record: what is to be wrapped anew; of volume keys nothing is asked.
            target: the key version that it is to lie under.

        Raises:
            IntegrityError: nothing outside of the records says that it is the KEK that was made.
        """
        ...
