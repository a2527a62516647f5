"""ChainKeyring: KEKs in vaults, and KEKs in records under these, to any depth."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import attrs

from keyhier.audit import AuditHook
from keyhier.errors import (
    AlreadyExistsError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from keyhier.hierarchy.kek_cache import KekCache, OpenKek
from keyhier.hierarchy.kek_use import KekUse
from keyhier.hierarchy.keyring import IN_RECORDS
from keyhier.hierarchy.middle_kek import MiddleKek, MiddleKeks
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.vault_keyring import AUTHENTICATE, VaultKeyring, untrusted
from keyhier.identifiers import KeyId
from keyhier.records.protocol import Records
from keyhier.records.record import Query, Record, RecordState
from keyhier.secret import Secret, SecretBytes
from keyhier.vault import Vault
from keyhier.wrapped import WrappedKey

__all__ = ["MAX_DEPTH", "ChainKeyring", "version_for"]

MAX_DEPTH: Final = 16
"""So many KEKs may lie under each other in records."""

_VERSION_CHARACTERS: Final = 32

T = TypeVar("T")


class ChainKeyring:
    """A :class:`~keyhier.hierarchy.keyring.Keyring` of vaults and of the records under them.

    A KEK in a record is unwrapped when it is first used and kept in a bounded cache.

    Attributes:
        vaults: the keys of the vaults.
    """

    def __init__(
        self,
        vaults: VaultKeyring,
        records: Records,
        policy: Policy,
        audit: AuditHook | None = None,
    ) -> None:
        self.vaults = vaults
        self._records = records
        self._policy = policy
        self._audit = audit
        self._cache = KekCache(policy.cache)
        self._middle = MiddleKeks(policy, audit)

    def close(self) -> None:
        """Wipe every KEK that is in memory."""
        self._cache.clear()

    def beside(self, vault: Vault) -> ChainKeyring:
        """Return a keyring that finds the keys of one vault more, after those of its own."""
        return ChainKeyring(self.vaults.beside(vault), self._records, self._policy, self._audit)

    # ------------------------------------------------------------------ looking keys up

    def use(self, key: KeyId) -> KekUse:
        """Return an exact version; see :meth:`Keyring.use`."""
        if key.scheme != IN_RECORDS:
            return self.vaults.use(key)
        if key not in self._cache:
            self.chain(key)
        return _InRecord(key, self)

    def latest(self, key: KeyId) -> KekUse:
        """Return the newest version of a key; see :meth:`Keyring.latest`."""
        if key.scheme != IN_RECORDS:
            return self.vaults.latest(key)
        newest = self._newest(key)
        if newest.names is None:
            raise IntegrityError(f"the record {newest.id} holds no KEK")
        return self.use(newest.names)

    def forget(self, key: KeyId) -> None:
        """Let go of what is kept of a key or a version."""
        self.vaults.forget(key)
        self._cache.forget(key)

    def chain(self, key: KeyId) -> list[KeyId]:
        """Return the key versions from this one up to the vault's, which is the last.

        Raises:
            NotFoundError: one of them is not in the records.
            IntegrityError: the records lead in a circle, or further than any that were made.
        """
        found = [key]
        while found[-1].scheme == IN_RECORDS:
            above = self.record(found[-1]).key
            if above in found or len(found) > MAX_DEPTH:
                raise IntegrityError(f"the records of {key} lead to no key of a vault")
            found.append(above)
        return found

    def record(self, key: KeyId) -> Record:
        """Return the record of a KEK's exact version.

        Raises:
            NotFoundError: there is none.
        """
        for record in self._records.find(Query(names=key)):
            if record.names == key:
                return record
        raise NotFoundError(
            f"there is no record of the KEK {key}",
            remedy="`keyhier tree` shows the KEKs that there are",
        )

    def _newest(self, key: KeyId) -> Record:
        found = [
            record
            for record in self._records.find(Query(names=key.versionless))
            if record.state is RecordState.ACTIVE
            # What a search goes by is for searching; who writes the database can change it.
            and record.names is not None
            and record.names.versionless == key.versionless
        ]
        if not found:
            raise NotFoundError(f"there is no record of a KEK {key.versionless} that is in use")
        return max(found, key=lambda record: (str(record.created), record.id))

    # ------------------------------------------------------------------ making keys

    def make(
        self, name: KeyId, parent: KekUse, *, labels: Mapping[str, str] | None = None
    ) -> MiddleKek:
        """Make a KEK in a record, the first version of its name.

        Raises:
            InvalidInputError: the id is not one of a KEK in a record, or has a version.
            AlreadyExistsError: there is a KEK of that name.
        """
        if name.scheme != IN_RECORDS or name.version:
            raise InvalidInputError("a KEK in a record is named record:HIERARCHY/NAME")
        if self._records.count(Query(names=name)):
            raise AlreadyExistsError(f"there is a KEK {name} already", remedy="rotate it")
        # Two who make the same name at one time make the same version, which only one can keep.
        made = self._middle.make(version_for(name, "first"), parent, labels)
        believed = self._is_authentic(parent.id)
        return attrs.evolve(made, record=self._records.add(made.record)[0], believed=believed)

    def new_version(self, key: KeyId, *, tag: str) -> KeyId:
        """Make a new version of a key; see :meth:`Keyring.new_version`."""
        if key.scheme != IN_RECORDS:
            return self.vaults.new_version(key, tag=tag)
        names = version_for(key, tag)
        if not self._records.count(Query(names=names)):
            before = self._newest(key)
            made = self._middle.make(names, self.latest(before.key), before.labels)
            try:
                self._records.add(made.record)
            except AlreadyExistsError:
                # Somebody else resumed the same job, and was first.
                return self.use(names).id
        return names

    def require_trust(self, record: Record, target: KeyId) -> None:
        """Refuse a planted KEK; see :meth:`Keyring.require_trust`."""
        if record.names is None or not self._gives_trust(record.key, target):
            return
        if record.key.scheme != IN_RECORDS and self._is_authentic(record.key):
            return
        opened = self._open_record(record)
        opened.kek.close()
        if not opened.authenticated:
            raise untrusted(record)

    def _is_authentic(self, parent: KeyId) -> bool:
        if parent.scheme == IN_RECORDS:
            return self.on(parent, lambda opened: opened.authenticated)
        return self.vaults.authenticates(parent)

    def _gives_trust(self, key: KeyId, target: KeyId) -> bool:
        if target.scheme == IN_RECORDS:
            # One that is not authenticated wraps nothing.
            return self._is_authentic(target)
        return key.scheme == IN_RECORDS or self.vaults.gives_trust(key, target)

    # ------------------------------------------------------------------ KEKs in records, opened

    def on(self, key: KeyId, operation: Callable[[OpenKek], T]) -> T:
        """Do something with a KEK in a record, which is opened where it is not open."""
        try:
            with self._cache.lend(key, lambda: self._open(key)) as opened:
                return operation(opened)
        except NotFoundError:
            # What was unwrapped into a vault goes with the connection to it.
            self._cache.forget(key)
        with self._cache.lend(key, lambda: self._open(key)) as opened:
            return operation(opened)

    def _open(self, key: KeyId) -> OpenKek:
        self.chain(key)
        record = self.record(key)
        if record.state is RecordState.RETIRED:
            raise InvalidStateError(f"{key} was retired")
        return self._open_record(record)

    def _open_record(self, record: Record) -> OpenKek:
        above = record.key
        if above.scheme != IN_RECORDS:
            return self._middle.open(
                record,
                self.vaults.use(above),
                is_authentic=lambda: self._is_authentic(above),
            )
        # What opens the record and what vouches for it is one and the same KEK.
        return self.on(
            above,
            lambda parent: self._middle.open(
                record, parent.kek, is_authentic=lambda: parent.authenticated
            ),
        )


def version_for(key: KeyId, tag: str) -> KeyId:
    """Return the version of a KEK in records that is made for a tag, so that it is found again."""
    digest = hashlib.sha256(f"{key.versionless}\0{tag}".encode()).hexdigest()
    return attrs.evolve(key, version=digest[:_VERSION_CHARACTERS])


@attrs.frozen
class _InRecord:
    """A :class:`~keyhier.hierarchy.kek_use.KekUse` that is opened for each operation."""

    id: KeyId
    _keyring: ChainKeyring

    def wrap(
        self,
        secret: Secret,
        *,
        context: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> WrappedKey:
        def wrap(opened: OpenKek) -> WrappedKey:
            if not opened.authenticated:
                raise IntegrityError(
                    f"nothing outside of the records says that {self.id} is the KEK that was made",
                    remedy=AUTHENTICATE,
                )
            return opened.kek.wrap(secret, context=context, content_type=content_type)

        return self._keyring.on(self.id, wrap)

    def unwrap(
        self, wrapped: WrappedKey | str, *, context: Mapping[str, str] | None = None
    ) -> SecretBytes:
        return self._keyring.on(self.id, lambda opened: opened.kek.unwrap(wrapped, context=context))
