"""Whether a volume may have its KEK where that is, asked before the KEK is used."""

from __future__ import annotations

from collections.abc import Iterable

from keyhier.hierarchy.volume import Volume
from keyhier.identifiers import KeyId
from keyhier.placement.model import Ade, KeyUse, VaultReference, VirtualMachine
from keyhier.placement.policy import PlacementPolicy
from keyhier.placement.vocabulary import Relation

__all__ = ["judge_volume"]


def judge_volume(
    policy: PlacementPolicy, volume: Volume, roots: Iterable[KeyId]
) -> tuple[str, ...]:
    """Return what is to be noted of a volume outside of sets.

    The vault of its KEK is to be where the rules want that of a machine's KEK.

    Args:
        policy: where vaults and machines are.
        volume: the disk.
        roots: the key of a vault that the volume's key will be under, by each id that it may have.

    Raises:
        PlacementError: a rule is broken, and that is not allowed; all of them are named.
    """
    hosts = {root.vault or root.scheme: root for root in roots}
    machines = [
        VirtualMachine(name=volume.vm, placement=place, disks=(), ade=Ade(enabled=True, kek=use))
        for place in policy.places_of(volume.vm, volume.placement)
        for use in (KeyUse(str(root), VaultReference(host=host)) for host, root in hosts.items())
    ]
    return policy.judge([*machines, *map(policy.vault, hosts)], about=Relation.KEK_VAULT)
