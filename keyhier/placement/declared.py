"""Where vaults are by declaration, beside what documents tell of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

import attrs

from keyhier.placement.inventory import Inventory
from keyhier.placement.model import Resource, VaultReference, VaultResource
from keyhier.placement.place import Placement

__all__ = ["with_declared"]


def with_declared(resources: Iterable[Resource], places: Mapping[str, Placement]) -> list[Resource]:
    """Return resources and the vaults whose places were declared.

    What a vault's document does not tell is taken from its declaration. Where the two contradict
    each other both count, so that neither hides what is wrong by the other.

    Args:
        resources: what documents tell.
        places: where each vault is, by its host. Other names are of tokens, which no document of
            Azure refers to.
    """
    found = list(resources)
    inventory = Inventory(found)
    # The case of a host does not count, and a table may have it in more than one.
    hosts = {name.casefold(): place for name, place in places.items() if "." in name}
    meant = {host: inventory.vaults_at(VaultReference(host=host)) for host in hosts}
    times = Counter(id(vault) for vaults in meant.values() for vault in vaults)
    filled: dict[int, Resource] = {}
    more: list[Resource] = []
    for host, place in hosts.items():
        # A vault that two declarations may mean is filled by neither.
        vaults = [vault for vault in meant[host] if times[id(vault)] == 1]
        for vault in vaults:
            filled[id(vault)] = attrs.evolve(vault, placement=vault.place.filled_by(place))
        if not vaults or any(_contradict(vault.place, place) for vault in vaults):
            more.append(VaultResource(name=f"{host} as declared", host=host, placement=place))
    return [*(filled.get(id(each), each) for each in found), *more]


def _contradict(known: Placement, declared: Placement) -> bool:
    return known.filled_by(declared) != declared.filled_by(known)
