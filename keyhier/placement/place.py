"""Placement: where a thing is."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import attrs

from keyhier.placement.arm_id import ArmId, is_deployments_own
from keyhier.placement.regions import find_region, normalise_region
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown, all_of, same

__all__ = ["AZURE", "NOWHERE", "SITE", "Placement"]

SITE: Final = "site"
"""The cloud of what is in none: a token in a rack, or the memory of a process."""

AZURE: Final = "azure"
"""The cloud of a region that is not known here: one of Azure's."""


def _folded(text: Maybe[str]) -> Maybe[str]:
    return text if isinstance(text, Unknown) else text.strip().casefold()


def _normalised(text: Maybe[str]) -> Maybe[str]:
    return text if isinstance(text, Unknown) else normalise_region(text)


def _cloud_of_region(placement: Placement) -> Maybe[str]:
    if isinstance(placement.region, Unknown):
        return UNKNOWN
    known = find_region(placement.region)
    return known.cloud if known else AZURE


@attrs.frozen(cache_hash=True)
class Placement:
    """Where a thing is; each part may be unknown. Spelling and case do not count.

    Attributes:
        region: a region's name as ARM writes it, or the name of a site.
        subscription: the id of the subscription that it is billed to.
        tenant: the id of the directory whose identities may use it.
        cloud: ``azurecloud``, ``azurechinacloud``, ``azureusgovernment``, or ``site`` for what is
            in no cloud. Where it is not given, the region tells it.
    """

    region: Maybe[str] = attrs.field(default=UNKNOWN, converter=_normalised)
    subscription: Maybe[str] = attrs.field(default=UNKNOWN, converter=_folded)
    tenant: Maybe[str] = attrs.field(default=UNKNOWN, converter=_folded)
    cloud: Maybe[str] = attrs.field(
        default=attrs.Factory(_cloud_of_region, takes_self=True), converter=_folded
    )

    @classmethod
    def site(
        cls, name: str, *, subscription: Maybe[str] = UNKNOWN, tenant: Maybe[str] = UNKNOWN
    ) -> Placement:
        """The declared place of a PKCS#11 token or of memory: a site stands for a region.

        Where rules compare subscriptions or tenants, what stands for them is declared too.
        """
        return cls(name, subscription, tenant, SITE)

    def same_region(self, other: Placement) -> Maybe[bool]:
        """Whether both are in one region; a site is in no region of a cloud."""
        return all_of(same(self.region, other.region), same(self.cloud, other.cloud))

    def filled_by(self, other: Placement) -> Placement:
        """This place, with what only the other one knows of it; a region is one of a cloud."""
        known = self
        if self.region is UNKNOWN:
            known = attrs.evolve(known, region=other.region, cloud=other.cloud)
        if self.subscription is UNKNOWN:
            known = attrs.evolve(known, subscription=other.subscription)
        return attrs.evolve(known, tenant=other.tenant) if self.tenant is UNKNOWN else known

    def of(self, identity: ArmId) -> Placement:
        """This place, with the subscription of a resource's id where none is known."""
        if self.subscription is not UNKNOWN or is_deployments_own(identity.subscription):
            return self
        return _in_subscription(self, identity.subscription)


@lru_cache(maxsize=4096)  # Many resources are in one place, and are asked for it many times.
def _in_subscription(placement: Placement, subscription: str) -> Placement:
    return attrs.evolve(placement, subscription=subscription)


NOWHERE: Final = Placement()
"""A place of which nothing is known."""
