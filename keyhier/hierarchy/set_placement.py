"""Whether a set may have its key where it is, asked before the key is used."""

from __future__ import annotations

from collections.abc import Iterable

from keyhier.hierarchy.encryption_set import EncryptionSet
from keyhier.identifiers import KeyId
from keyhier.placement.model import EncryptionSetResource, KeyUse, Resource, VaultReference
from keyhier.placement.policy import PlacementPolicy
from keyhier.placement.unknown import UNKNOWN

__all__ = ["host_of", "judge_set"]


def judge_set(
    policy: PlacementPolicy | None, encryption_set: EncryptionSet, keys: Iterable[KeyId]
) -> tuple[str, ...]:
    """Return what is to be noted of a set and a key that it is to use; nothing without a policy.

    Args:
        policy: where vaults are.
        encryption_set: the set. The vault that it names is that of the key that it refers to.
        keys: the key of a vault, by each id that it may have.

    Raises:
        PlacementError: a rule is broken, and that is not allowed; all of them are named.
    """
    if policy is None:
        return ()
    named = host_of(encryption_set.reference.key)
    identity = encryption_set.identity
    resources: list[Resource] = []
    for host, key in {host_of(key): key for key in keys}.items():
        # Where the set does not name the vault, only the key's URL tells which one it is.
        known = encryption_set.vault_id if host == named else None
        vault_id = UNKNOWN if known is None else known
        resources += (
            EncryptionSetResource(
                id=UNKNOWN if encryption_set.id is None else encryption_set.id,
                name=encryption_set.name,
                placement=encryption_set.placement,
                key=KeyUse(str(key), VaultReference(vault_id, host)),
                user_assigned=bool(identity.user),
                federated_client=identity.federated_client_id is not None,
            ),
            policy.vault(host, vault_id),
        )
    return policy.judge(resources)


def host_of(key: KeyId) -> str:
    """Return what a policy knows a key's vault by; one without a name by its scheme."""
    return key.vault or key.scheme
