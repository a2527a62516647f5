"""Applying a plan: the part that is keyhier's, through an open vault.

Nothing is asked of a vault before everything was checked. What is there already is taken as it is,
so that a plan can be applied again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import attrs

from keyhier.algorithms import KeyType
from keyhier.azure_disk.machine import Scenario
from keyhier.azure_disk.plaintext import DiskKey
from keyhier.azure_disk.protection import Placing, machine_tag
from keyhier.azure_disk.set_resource import SetResource
from keyhier.errors import InvalidInputError, InvalidStateError, NotFoundError, UnsupportedError
from keyhier.identifiers import KeyId
from keyhier.placement.model import System, VaultResource, VirtualMachine
from keyhier.placement.unknown import NOT_YET
from keyhier.plans.ade import AdeRequest, plan_ade
from keyhier.plans.disk_keeper import DiskKeeper
from keyhier.plans.encryption_set import SetRequest, plan_set
from keyhier.plans.plan import Plan
from keyhier.plans.planned_key import PlannedKey, host_of
from keyhier.stored_secret import SecretId
from keyhier.volume import BitLockerKey

if TYPE_CHECKING:
    from keyhier.key import Key
    from keyhier.vault import Vault

__all__ = ["Applied", "SetKeeper", "apply_ade", "apply_set"]


@attrs.frozen
class Applied:
    """What was done, and what is left.

    Attributes:
        plan: the plan, whose resources and commands now name what was made.
        key: the key version that is used, or None where none is.
        made: whether that was made now.
        secret: the secret that unlocks the disk of one's own, or None.
        secret_made: whether that was set now.
        rehearsed: whether it was done in another vault than the plan's, in memory or a token, so
            that the plan still names what is not made.
        kept: whether the set is kept beside Azure.
    """

    plan: Plan
    key: KeyId | None = None
    made: bool = False
    secret: SecretId | None = None
    secret_made: bool = False
    rehearsed: bool = False
    kept: bool = False


class SetKeeper(Protocol):
    """Where sets are kept beside Azure, such as a hierarchy's records.

    :class:`~keyhier.hierarchy.planned_sets.PlannedSets` is one.
    """

    def require_allowed(self, planned: SetResource, before: SetResource | None) -> None:
        """Raise what stands in the way of keeping a set, before its key is made.

        Args:
            planned: the set as it will be.
            before: the set as it is now, or None where it is made.
        """
        ...

    def keep(self, planned: SetResource, before: SetResource | None) -> None:
        """Keep a set, whose key is there now; doing so again changes nothing."""
        ...


def apply_ade(
    request: AdeRequest, vaults: Sequence[Vault], *, disk_key: DiskKey | None = None
) -> Applied:
    """Check a plan for Azure Disk Encryption, then make its KEK and set its secret.

    Args:
        request: what was planned.
        vaults: the open vaults, among them those of the secrets and of the KEK; one that is no
            key vault takes their place for a rehearsal.
        disk_key: what unlocks the OS disk of one's own, where the scenario is one; the caller
            wipes it.

    Raises:
        PlacementError, InvalidStateError: something speaks against it; no vault was asked.
        InvalidInputError: there is no key for a disk of one's own, or for another scenario.
        NotFoundError: a vault of the plan is not among those that are open.
        UnsupportedError: the vault keeps no secrets or makes no such key.
        CapacityError: the disk's key is too long for the KEK, which was not made then.
    """
    plan_ade(request).raise_for_errors()
    own = request.scenario is Scenario.ENABLE_OWN_VHD
    if own != (disk_key is not None):
        raise InvalidInputError(
            "a plan for a disk of one's own is applied with the disk's key, and no other is",
            remedy="name the key's file" if own else "leave the key's file out",
        )
    keeper = None if disk_key is None else _keeper(request, vaults, disk_key)
    key, made = None, False
    if request.kek is not None:
        home, kek = _home(vaults, request.kek.vault), request.kek
        found = _present(home, kek)
        if found is None and keeper is not None:
            keeper.require_room(kek.spec, request.algorithm)
        key, made = found or home.create_key(kek.name, kek.spec), found is None
        request = attrs.evolve(request, kek=_pinned(request.kek, key))
        # What a key that was there already is like, nobody knew before.
        plan_ade(request).raise_for_errors()
    secret, secret_made = None, False
    if keeper is not None:
        secret, secret_made = keeper.keep(key, request.algorithm)
        if not _rehearses(keeper.home):
            request = attrs.evolve(request, secret=secret)
    used = None if key is None else key.id
    rehearsed = any(map(_rehearses, vaults))
    return Applied(plan_ade(request), used, made, secret, secret_made, rehearsed=rehearsed)


def apply_set(
    request: SetRequest, vaults: Sequence[Vault], *, keeper: SetKeeper | None = None
) -> Applied:
    """Check a plan for an encryption set, then make or rotate its key, and keep the set.

    Args:
        request: what was planned.
        vaults: as for :func:`apply_ade`.
        keeper: where the set is kept, or None; a rehearsal is not kept.

    Raises:
        PlacementError, InvalidStateError: something speaks against it; no vault was asked.
        AlreadyExistsError, CapacityError: the keeper cannot keep it; no vault was asked.
        NotFoundError: the vault of the key is not among those that are open.
        UnsupportedError: the vault makes no such key, or does not rotate it.
    """
    plan = plan_set(request)
    plan.raise_for_errors()
    if request.key is None:
        return Applied(plan)
    home = _home(vaults, request.key.vault)
    before = None if request.new is not None else request.present()
    # What a rehearsal makes is no key that a set in Azure can have.
    keeper = None if _rehearses(home) else keeper
    if keeper is not None:
        keeper.require_allowed(request.wanted(request.key), before)
    if before is not None and not request.key.version:
        key, made = _newer(home, request.key, before.key)
    else:
        found = _present(home, request.key)
        key = found or home.create_key(request.key.name, request.key.spec)
        made = found is None
    pinned = _pinned(request.key, key)
    applied = plan_set(attrs.evolve(request, key=pinned))
    if keeper is not None:
        keeper.keep(request.wanted(pinned), before)
    kept = keeper is not None
    return Applied(applied, key.id, made, rehearsed=_rehearses(home), kept=kept)


def _keeper(request: AdeRequest, vaults: Sequence[Vault], disk_key: DiskKey) -> DiskKeeper:
    """Return what sets the secret; where it goes is known before a KEK is made."""
    home = _home(vaults, request.vault())
    if not home.capabilities.secrets:
        raise UnsupportedError(
            f"{home.uri} keeps no secrets", remedy="name a key vault for the secrets"
        )
    machine = request.documents.pick(VirtualMachine, request.machine)
    of_windows = isinstance(disk_key, BitLockerKey)
    if isinstance(machine.system, System) and of_windows != (machine.system is System.WINDOWS):
        raise InvalidInputError(
            f"{machine.label} is of {machine.system}, and the key is of another system's disk"
        )
    name = machine_tag(machine.name) if isinstance(machine.name, str) else ""
    return DiskKeeper(home, vaults, disk_key, Placing(name, "C:" if of_windows else "os"))


def _rehearses(vault: Vault) -> bool:
    return not vault.uri.startswith("https:")


def _home(vaults: Sequence[Vault], wanted: VaultResource) -> Vault:
    """Return the open vault that a plan means, or one that stands for it."""
    named = KeyId("https", host_of(wanted), "any", NOT_YET)
    for vault in vaults:
        if _rehearses(vault) or vault.is_home_of(named):
            return vault
    raise NotFoundError(
        f"{wanted.label} of the plan, {host_of(wanted)}, is none of the vaults that are open",
        remedy="name its URL as a vault",
    )


def _present(home: Vault, wanted: PlannedKey) -> Key | None:
    """Return the key that is planned, or None where it is to be made."""
    if wanted.version:
        return _usable(home.key(wanted.name, wanted.version))
    try:
        return _usable(home.key(wanted.name))
    except NotFoundError:
        return None


def _newer(home: Vault, wanted: PlannedKey, used: KeyId) -> tuple[Key, bool]:
    """Return a version that the set does not use yet, and whether it was made now."""
    latest = home.key(wanted.name)
    if latest.id != used and home.is_home_of(used):
        return _usable(latest), False
    return latest.rotate(), True


def _usable(key: Key) -> Key:
    if key.spec.key_type is not KeyType.RSA:
        raise InvalidInputError(
            f"{key.id} is {key.spec}, and disks are under RSA keys", remedy="name another key"
        )
    if not key.enabled:
        raise InvalidStateError(f"{key.id} is disabled", remedy="enable it, or name another key")
    return key


def _pinned(planned: PlannedKey, key: Key) -> PlannedKey:
    """Return the key with its version; what a rehearsal made is of no use to Azure."""
    if key.id.scheme != "https":
        return planned
    return attrs.evolve(planned, version=key.version, spec=key.spec)
