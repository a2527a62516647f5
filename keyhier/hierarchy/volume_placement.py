"""Whether a volume may have its KEK where that is, asked before the KEK is used."""

from __future__ import annotations

from keyhier.hierarchy.volume import Volume
from keyhier.identifiers import KeyId
from keyhier.placement.model import Ade, KeyUse, VaultReference, VirtualMachine
from keyhier.placement.policy import PlacementPolicy
from keyhier.placement.vocabulary import Relation

__all__ = ["judge_volume"]


def judge_volume(policy: PlacementPolicy, volume: Volume, root: KeyId) -> tuple[str, ...]:
    """Return what is to be noted of a volume outside of sets.

    The vault of its KEK is to be where the rules want that of a machine's KEK.

    Args:
        policy: where vaults and machines are.
        volume: the disk.
        root: the key of a vault that the volume's key will be under.

    Raises:
        PlacementError: a rule is broken, and that is not allowed; all of them are named.
    """
    host = root.vault or root.scheme
    use = KeyUse(str(root), VaultReference(host=host))
    machines = [
        VirtualMachine(name=volume.vm, placement=place, disks=(), ade=Ade(enabled=True, kek=use))
        for place in policy.places_of(volume.vm, volume.placement)
    ]
    return policy.judge([*machines, policy.vault(host)], about=Relation.KEK_VAULT)
