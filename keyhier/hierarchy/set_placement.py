"""Whether a set may have its key where it is, asked before the key is used."""

from __future__ import annotations

from keyhier.hierarchy.encryption_set import EncryptionSet
from keyhier.identifiers import KeyId
from keyhier.placement.model import EncryptionSetResource, KeyUse, VaultReference
from keyhier.placement.policy import PlacementPolicy
from keyhier.placement.unknown import UNKNOWN

__all__ = ["judge_set"]


def judge_set(
    policy: PlacementPolicy | None, encryption_set: EncryptionSet, key: KeyId
) -> tuple[str, ...]:
    """Return what is to be noted of a set and a key that it is to use; nothing without a policy.

    Raises:
        PlacementError: a rule is broken, and that is not allowed; all of them are named.
    """
    if policy is None:
        return ()
    host = key.vault or key.scheme
    identity = encryption_set.identity
    # Where the set names no vault, only the key's URL tells which one it is.
    vault_id = UNKNOWN if encryption_set.vault_id is None else encryption_set.vault_id
    return policy.judge(
        [
            EncryptionSetResource(
                id=UNKNOWN if encryption_set.id is None else encryption_set.id,
                name=encryption_set.name,
                placement=encryption_set.placement,
                key=KeyUse(str(key), VaultReference(vault_id, host)),
                user_assigned=bool(identity.user),
                federated_client=identity.federated_client_id is not None,
            ),
            policy.vault(host, vault_id),
        ]
    )
