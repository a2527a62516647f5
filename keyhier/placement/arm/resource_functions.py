"""The functions of ARM templates that tell where they are deployed to, and the ids of resources.

https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions-resource.
What nobody knows of the deployment is UNKNOWN; ids are made with what stands for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from keyhier.errors import InvalidInputError
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.unknown import UNKNOWN

__all__ = ["RESOURCE_FUNCTIONS", "resource_id"]


def resource_group(where: Deployment, _given: list[object]) -> object:
    """``resourceGroup``."""
    return {
        "id": f"/subscriptions/{where.subscription_id}/resourceGroups/{where.group_name}",
        "name": where.group_name,
        "location": where.location,
        "tags": UNKNOWN,
    }


def subscription(where: Deployment, _given: list[object]) -> object:
    """``subscription``."""
    return {
        "id": f"/subscriptions/{where.subscription_id}",
        "subscriptionId": where.subscription_id,
        "tenantId": where.tenant,
        "displayName": UNKNOWN,
    }


def tenant(where: Deployment, _given: list[object]) -> object:
    """``tenant``."""
    return {"tenantId": where.tenant, "displayName": UNKNOWN, "countryCode": UNKNOWN}


def resource_id(where: Deployment, given: list[object]) -> object:
    """``resourceId``: ``([subscription], [group], type, name, …)``."""
    if UNKNOWN in given:
        return UNKNOWN
    texts = [str(each) for each in given]
    first = next((n for n, text in enumerate(texts) if "/" in text), None)
    if first is None or first > 2:
        raise InvalidInputError("resourceId takes a type, and at most two values before it")
    before, after = texts[:first], texts[first:]
    group = before.pop() if before else where.group_name
    subscription = before.pop() if before else where.subscription_id
    scope = f"/subscriptions/{subscription}/resourceGroups/{group}"
    return f"{scope}/providers/{_typed(after)}"


def subscription_resource_id(where: Deployment, given: list[object]) -> object:
    """``subscriptionResourceId``: ``([subscription], type, name, …)``."""
    if UNKNOWN in given:
        return UNKNOWN
    texts = [str(each) for each in given]
    named = texts.pop(0) if texts and "/" not in texts[0] else where.subscription_id
    return f"/subscriptions/{named}/providers/{_typed(texts)}"


def extension_resource_id(_where: Deployment, given: list[object]) -> object:
    """``extensionResourceId``: ``(resource, type, name, …)``."""
    if UNKNOWN in given:
        return UNKNOWN
    texts = [str(each) for each in given]
    return f"{''.join(texts[:1])}/providers/{_typed(texts[1:])}"


def tenant_resource_id(_where: Deployment, given: list[object]) -> object:
    """``tenantResourceId``: ``(type, name, …)``."""
    return UNKNOWN if UNKNOWN in given else f"/providers/{_typed(list(map(str, given)))}"


def _typed(given: list[str]) -> str:
    """Return type and names as an id has them: a type and a name in turn."""
    if not given:
        raise InvalidInputError("a type of resources belongs here")
    kind, *names = given
    namespace, *types = kind.strip("/").split("/")
    parts = [part for name in names for part in name.split("/")]
    if not types or len(types) != len(parts):
        raise InvalidInputError(
            f"the type {kind!r:.120} asks for {len(types)} names, and {len(parts)} are given"
        )
    pairs = (f"{one}/{name}" for one, name in zip(types, parts, strict=True))
    return "/".join([namespace, *pairs])


RESOURCE_FUNCTIONS: Final[Mapping[str, Callable[[Deployment, list[object]], object]]] = (
    MappingProxyType(
        {
            "resourcegroup": resource_group,
            "subscription": subscription,
            "tenant": tenant,
            "resourceid": resource_id,
            "subscriptionresourceid": subscription_resource_id,
            "extensionresourceid": extension_resource_id,
            "tenantresourceid": tenant_resource_id,
        }
    )
)
"""The functions by their names in lower case."""
