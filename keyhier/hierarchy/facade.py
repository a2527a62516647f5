"""Hierarchy: what a user holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

import attrs

from keyhier.audit import AuditHook
from keyhier.errors import InvalidInputError
from keyhier.hierarchy.census import Census, take_census
from keyhier.hierarchy.chain_keyring import ChainKeyring
from keyhier.hierarchy.core import Core
from keyhier.hierarchy.encryption_sets import EncryptionSets, Observation
from keyhier.hierarchy.keyring import Keyring
from keyhier.hierarchy.middle_kek import MiddleKek
from keyhier.hierarchy.migration import KeyMap, Migration
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.protection import Protection
from keyhier.hierarchy.retirement import Retirement, Retiring
from keyhier.hierarchy.rewrap_jobs import Preview, RewrapJobs
from keyhier.hierarchy.rotation import key_to_rotate, preview_rotation, rotate
from keyhier.hierarchy.tree import Node, grow
from keyhier.hierarchy.vault_keyring import VaultKeyring
from keyhier.hierarchy.verification import Progress, Verification, verify
from keyhier.hierarchy.volume import Volume
from keyhier.hierarchy.work import JobReport, Work
from keyhier.identifiers import KeyId, check_key_name
from keyhier.records.protocol import Records
from keyhier.records.record import Query, Record
from keyhier.secret import Secret, SecretBytes
from keyhier.vault import Vault

__all__ = ["Hierarchy"]

_EVERYTHING = Query()
_NO_POLICY = Policy()
_WORK = Work()


class Hierarchy:
    """Volume keys under KEKs under a vault's keys, and the records that hold them.

    A context manager that wipes the KEKs that it has in memory. The vaults and the store of records
    stay their owner's, who closes them.
    """

    def __init__(
        self,
        vault: Vault | Sequence[Vault],
        records: Records,
        *,
        name: str = "keys",
        policy: Policy = _NO_POLICY,
        audit: AuditHook | None = None,
    ) -> None:
        """Put a hierarchy together; nothing is asked of the vaults or the records yet.

        Args:
            vault: the open vault, or several whose keys the records need.
            records: the open store of records.
            name: what the ids of its KEKs in records begin with: ``record:NAME/…``.
            policy: what it insists on.
            audit: told about every operation on KEKs in memory; vaults have a hook of their own.

        Raises:
            InvalidInputError: the name is none that ids can hold, or there is no vault.
        """
        vaults = (vault,) if isinstance(vault, Vault) else tuple(vault)
        if not vaults:
            raise InvalidInputError("a hierarchy needs a vault")
        keyring = ChainKeyring(
            VaultKeyring(*vaults, parents=policy.parents), records, policy, audit
        )
        self._core = Core(check_key_name(name), vaults, records, keyring, policy)
        self._keyring = keyring

    def __repr__(self) -> str:
        return f"<Hierarchy {self._core.name} in {self._core.records.url}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Wipe the KEKs that are in memory; they are unwrapped again where they are needed."""
        self._keyring.close()

    @property
    def keyring(self) -> Keyring:
        """Finds the keys of the hierarchy by their ids."""
        return self._keyring

    @property
    def vaults(self) -> tuple[Vault, ...]:
        """The open vaults; new KEKs are looked for in the first."""
        return self._core.vaults

    @property
    def records(self) -> Records:
        """The store of records."""
        return self._core.records

    @property
    def sets(self) -> EncryptionSets:
        """The encryption sets."""
        return EncryptionSets(self._core)

    @property
    def policy(self) -> Policy:
        """What the hierarchy insists on."""
        return self._core.policy

    def find_key(self, key: str | KeyId) -> KeyId:
        """Return the id that a key's name or id means, with a version only where one was given.

        Raises:
            InvalidInputError: the text is no id.
            NotFoundError: no vault and no record has a key of that name.
            AmbiguousError: several have.
        """
        return self._core.find_key(key)

    # ------------------------------------------------------------------ KEKs in records

    def create_kek(
        self, name: str, *, under: str | KeyId, labels: Mapping[str, str] | None = None
    ) -> MiddleKek:
        """Make a KEK that is kept in a record, under another KEK.

        It wraps where it lies under one of :attr:`Policy.parents`, or once its thumbprint is pinned
        in :attr:`Policy.pins`: whoever can write the records could plant one under another key.

        Args:
            name: 1 to 127 letters, digits and hyphens.
            under: the KEK above, in a vault or in the records, by its name or id.
            labels: names and values of its record.

        Raises:
            InvalidInputError: the name is malformed.
            AlreadyExistsError: there is one of that name.
            NotFoundError, AmbiguousError: no key, or more than one, answers to ``under``.
        """
        above = self._core.find_key(under)
        parent = self._keyring.use(above) if above.version else self._keyring.latest(above)
        return self._keyring.make(self._core.in_records(name), parent, labels=labels)

    # ------------------------------------------------------------------ volumes

    def protect(
        self,
        volume: Volume,
        volume_key: Secret,
        *,
        under: str | KeyId | None = None,
        replace: bool = False,
        check: bool = True,
    ) -> Record:
        """Wrap a volume's key, look whether it opens again, and keep it in a record.

        Args:
            volume: the disk; it is bound to the key.
            volume_key: its key; the caller wipes it.
            under: the KEK, in a vault or in the records, by its name or id; without a version the
                latest one. For a volume in a set it is under the set's key, and by default it is
                the version that the set uses.
            replace: whether a key that the volume has already is put aside; it is kept, retired.
            check: whether the envelope is opened before it is kept; who may not unwrap cannot.

        Raises:
            InvalidInputError: there is neither a KEK nor a set.
            AlreadyExistsError: the volume has a key already.
            NotFoundError, AmbiguousError: no key, or more than one, answers to ``under``.
            PlacementError: the policy does not allow it where the machine is.
            InvalidStateError: the KEK is disabled, expired, retired, is to be, or is not under the
                set's key.
            IntegrityError: the KEK is kept in a record and not authenticated.
        """
        kek = self._kek_for(volume, None if under is None else self._core.find_key(under))
        return Protection(self._core).protect(volume, volume_key, kek, replace=replace, check=check)

    def _kek_for(self, volume: Volume, under: KeyId | None) -> KeyId:
        if volume.set is None:
            if under is None:
                raise InvalidInputError("a volume is protected under a KEK, or is in a set")
            return under
        joined = self.sets.judged(volume.set)
        if under is None:
            return joined.active
        exact = under if under.version else self._keyring.latest(under).id
        root = self.sets.require_under(exact, joined)
        # A version that is not the set's active one may have moved to a vault elsewhere.
        self.sets.judged(volume.set, root)
        return exact

    def recover(self, volume: Volume | str) -> SecretBytes:
        """Return a volume's key, which the caller wipes; it is a context manager.

        Args:
            volume: the disk, or the id of a record.

        Raises:
            NotFoundError: there is no key for it, or the KEK that it needs is gone.
            AmbiguousError: there are several.
            IntegrityError: the record is not what it says.
            UnwrapError: it does not open; nothing is said about why.
        """
        protection = Protection(self._core)
        return protection.open(protection.find(volume))

    def find(self, volume: Volume | str) -> Record:
        """Return the record of a volume's key; raises what :meth:`recover` raises for it."""
        return Protection(self._core).find(volume)

    # ------------------------------------------------------------------ what there is

    def tree(self) -> tuple[Node, ...]:
        """Return what lies under what: a tree for each key version of a vault that is needed."""
        return grow(self._core)

    def census(self, key: str | KeyId) -> Census:
        """Say what still needs a key, by version, set and machine.

        It names its sources, and whether each could tell all: the records, the tags of Azure Disk
        Encryption's secrets in the vaults, the sets, and :attr:`Policy.sources`.

        Args:
            key: a key or one of its versions, by name or id.
        """
        return take_census(self._core, self._core.find_key(key))

    def retire(
        self, key: str | KeyId, version: str | None = None, *, wait: bool = False
    ) -> Retirement:
        """Stop new uses of a version, and disable it if then nothing needs it.

        First the version is marked as retiring, after which no record gets an envelope under it.
        Caches and the vault's followers have until the propagation window is over. Then a census is
        taken, and the version is disabled only where that is complete and zero. Doing so again goes
        on where it stopped. That it is too early is no error: what comes back says when to go on.

        Args:
            key: the key, by name or id.
            version: the version, unless the id names it.
            wait: whether to wait for the window; else what comes back says when it is over.

        Raises:
            InvalidStateError: it is the latest version, or retired by others, or the id is one of
                old: the message says which id it has today.
            NotFoundError: there is no such version.
            UnsupportedError: the vault disables no keys, or the store keeps no states of keys.
        """
        found = self._exact(key, version)
        return Retiring(self._core).retire(found, wait=wait)

    def reinstate(self, key: str | KeyId, version: str | None = None) -> None:
        """Use a version again that is being retired, or was disabled by that.

        Raises:
            InvalidStateError: it is not being retired, or the id is one of old.
            NotFoundError: there is no such version.
        """
        Retiring(self._core).reinstate(self._exact(key, version))

    def delete_key(self, key: str | KeyId, *, confirm: str) -> Retirement:
        """Delete a key of a vault with all its versions, once each is retired and nothing needs it.

        The latest version, which nothing else can retire, is marked as retiring by this; what comes
        back says when the window is over and to call it again, or that the key is deleted.

        Args:
            key: the key, by name or id.
            confirm: its name again.

        Raises:
            InvalidInputError: ``confirm`` is not the name.
            InvalidStateError: a version is needed, was not retired, or is named by the tags of an
                Azure Disk Encryption secret; or the id is one of old.
        """
        found = self._core.find_key(key)
        return Retiring(self._core).delete(found, confirm=confirm)

    def _exact(self, key: str | KeyId, version: str | None) -> KeyId:
        found = self._core.find_key(key)
        if version is not None:
            if found.version:
                raise InvalidInputError("the id names a version already")
            found = attrs.evolve(found, version=version)
        return found

    def verify(
        self,
        query: Query = _EVERYTHING,
        *,
        sample: int | None = None,
        progress: Progress | None = None,
    ) -> Verification:
        """Open records without changing anything: a restore drill.

        Args:
            query: which records.
            sample: so many of them, chosen at random; by default all.
            progress: told how many were looked at.
        """
        if sample is not None and sample < 1:
            raise InvalidInputError("a sample has at least one record")
        return verify(self._core, query, sample=sample, progress=progress)

    # ------------------------------------------------------------------ jobs

    @property
    def jobs(self) -> RewrapJobs:
        """The rotations and migrations: their states, and what ends them.

        Raises:
            UnsupportedError: the store of records keeps no jobs.
        """
        return RewrapJobs(self._core)

    def observe(self, name: str, work: Work = _WORK) -> Observation:
        """Look at a set's key, and wrap what is under an older version anew where it has a new one.

        See :meth:`EncryptionSets.observe` for what is noted. The rotation is one as of
        :meth:`rotate`: it is gone on with the next time, and the versions before stay among the
        set's previous keys until it is finalised.

        Args:
            name: the set's name.
            work: how records are worked on.

        Raises:
            NotFoundError: there is no such set.
            InvalidStateError: a rotation to another version has not ended.
            PlacementError: the version that the set stays with is where it may not have one, and
                records are to be wrapped anew under it.
            KeyhierError: as :meth:`rotate`.
        """
        seen = self.sets.observe(name)
        active = seen.set.active
        behind = any(
            key.versionless == active.versionless and self.records.count(Query(key=key))
            for key in seen.set.previous
        )
        if not behind:
            return seen
        # Where it stayed with the version that it had, that may be elsewhere by now.
        judged = self.sets.judged(name)
        return attrs.evolve(seen, set=judged, rotation=rotate(self._core, active, work))

    def rotate(self, key: str | KeyId, work: Work = _WORK) -> JobReport:
        """Make a new version of a key and wrap everything under it that needs an older one.

        Kill it at any point and call it again, here or elsewhere: it goes on, and no second version
        is made. It goes on for as long as the job has not ended: see :attr:`jobs` for that.

        Args:
            key: the KEK, in a vault or in the records, by its name or id. With a version in the id,
                that is what everything is wrapped under, and none is made.
            work: how.

        Raises:
            NotFoundError, AmbiguousError: no key, or more than one, answers to ``key``.
            ConflictError: a job of another kind works on the key.
            UnsupportedError: its vault cannot make a version that is found again.
            KeyhierError: the vault is away, refuses, or cannot use the new version.
        """
        return rotate(self._core, key_to_rotate(self._core, key), work)

    def preview_rotation(self, key: str | KeyId) -> Preview:
        """Say what :meth:`rotate` would do, and change nothing."""
        return preview_rotation(self._core, key_to_rotate(self._core, key))

    def migrate(
        self,
        to: Vault,
        key_map: KeyMap | None = None,
        work: Work = _WORK,
        *,
        move_keys: bool = False,
    ) -> JobReport:
        """Wrap every record that needs a key of these vaults under one of another vault.

        It is as safe to kill and to run again as :meth:`rotate`. Until it is finalised the records
        hold both envelopes.

        Args:
            to: the other vault, open.
            key_map: by the name or id of a key here what it is called there; by default the same.
            work: how.
            move_keys: whether the keys themselves go there, too, under names that are free.

        Raises:
            NotFoundError: a key has no counterpart, or no record needs to be moved.
            ConflictError: another job works on one of the keys.
            IntegrityError: a migration that is gone on with would put records under another key
                than the map says; nothing was done.
            UnsupportedError: a key does not leave its vault, or the other one does not take it.
            AlreadyExistsError: a key that is to be moved has a name that is taken there.
            KeyhierError: a vault is away or refuses.
        """
        return Migration(self._core, to, key_map, move_keys=move_keys).run(work)

    def jobs_beside(
        self, vault: Vault, key_map: KeyMap | None = None, *, move_keys: bool = False
    ) -> RewrapJobs:
        """Return the jobs with one vault more, to join a migration to it or to roll one back.

        Args:
            vault: the other vault, open.
            key_map, move_keys: what the migration was begun with; what the journal says is
                compared with it.
        """
        return Migration(self._core, vault, key_map, move_keys=move_keys).jobs

    def preview_migration(
        self, to: Vault, key_map: KeyMap | None = None, *, move_keys: bool = False
    ) -> Preview:
        """Say what :meth:`migrate` would do, and change nothing."""
        return Migration(self._core, to, key_map, move_keys=move_keys).preview()
