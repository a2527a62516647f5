"""Plan: the planned resources, their values, and what they refer to.

https://developer.hashicorp.com/terraform/internals/json-format. An id that only the apply makes is
told by what the configuration refers to: within one plan, ``azurerm_disk_encryption_set.this.id``
is that set.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

import attrs

from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.arm_id import own_group, own_subscription
from keyhier.placement.json_text import below
from keyhier.placement.unknown import UNKNOWN, Maybe

__all__ = ["TYPES", "Plan", "Planned", "as_list", "as_mapping", "first", "member", "planned"]

TYPES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "azurerm_linux_virtual_machine": "Microsoft.Compute/virtualMachines",
        "azurerm_windows_virtual_machine": "Microsoft.Compute/virtualMachines",
        "azurerm_linux_virtual_machine_scale_set": "Microsoft.Compute/virtualMachineScaleSets",
        "azurerm_windows_virtual_machine_scale_set": "Microsoft.Compute/virtualMachineScaleSets",
        "azurerm_orchestrated_virtual_machine_scale_set": (
            "Microsoft.Compute/virtualMachineScaleSets"
        ),
        "azurerm_managed_disk": "Microsoft.Compute/disks",
        "azurerm_snapshot": "Microsoft.Compute/snapshots",
        "azurerm_disk_encryption_set": "Microsoft.Compute/diskEncryptionSets",
        "azurerm_key_vault": "Microsoft.KeyVault/vaults",
    }
)
"""The types of azurerm that are read and have ids, and what ARM calls them."""

_ATTACHMENT: Final = "azurerm_virtual_machine_data_disk_attachment"
# What is done with a resource (https://developer.hashicorp.com/terraform/internals/json-format).
_CREATE: Final = "create"
_UNCHANGED: Final = (["no-op"], ["read"])
_DEFAULT_PROVIDER: Final = "azurerm"
# A key's id has its version, unless it is asked for without.
_IDS: Final = frozenset({"id", "versionless_id"})
_MAX_DEPTH: Final = 50
_NO_NAME: Final = re.compile(r"[^A-Za-z0-9_-]")


@attrs.frozen(eq=False)
class Planned:
    """A resource as the plan has it, and what its configuration says of it.

    Attributes:
        address: what the plan calls it.
        module: the address of its module; empty for the root module.
        kind: its type.
        values: its values, as far as they are known before the apply.
        expressions: what its configuration says of each of them.
        provider: what the configuration calls the provider that makes it; empty where there is
            no configuration.
        pointer: its place in the plan (RFC 6901).
    """

    address: str
    module: str
    kind: str
    values: Mapping[str, Any]
    expressions: Mapping[str, Any]
    provider: str
    pointer: str


def planned(
    module: Mapping[str, Any], pointer: str, configuration: Mapping[str, Any], depth: int
) -> Iterator[Planned]:
    """Yield the resources of a module, and of the modules that it calls."""
    configured = {
        str(each.get("address")): each
        for each in as_list(configuration.get("resources"))
        if isinstance(each, dict)
    }
    path = str(module.get("address", ""))
    for number, each in enumerate(as_list(module.get("resources"))):
        if isinstance(each, dict) and each.get("mode") == "managed":
            own = configured.get(f"{each.get('type')}.{each.get('name')}", {})
            yield Planned(
                str(each.get("address")),
                path,
                str(each.get("type")),
                as_mapping(each.get("values")),
                as_mapping(own.get("expressions")),
                str(own.get("provider_config_key", "")),
                below(pointer, "resources", number),
            )
    if depth < _MAX_DEPTH:
        calls = as_mapping(configuration.get("module_calls"))
        for number, child in enumerate(as_list(module.get("child_modules"))):
            name = str(as_mapping(child).get("address", "")).rpartition("module.")[2]
            inner = as_mapping(as_mapping(calls.get(name.partition("[")[0])).get("module"))
            place = below(pointer, "child_modules", number)
            yield from planned(as_mapping(child), place, inner, depth + 1)


class Plan:
    """The resources of a plan by what others call them."""

    def __init__(
        self,
        found: list[Planned],
        changes: Mapping[str, Mapping[str, Any]],
        deployment: Deployment,
        providers: Mapping[str, Any],
    ) -> None:
        self._changes = changes
        self._deployment = deployment
        self._providers = providers
        self._by_plain_address: dict[tuple[str, str], list[Planned]] = defaultdict(list)
        self._attached: dict[str, list[Maybe[str | None]]] = defaultdict(list)
        self._stray = False
        for each in found:
            local = each.address.removeprefix(f"{each.module}.").partition("[")[0]
            self._by_plain_address[each.module, local].append(each)
        for each in found:
            if each.kind == _ATTACHMENT:
                machine = self.reference(each, "virtual_machine_id")
                if isinstance(machine, str):
                    self._attached[machine.casefold()].append(
                        self.reference(each, "managed_disk_id")
                    )
                else:
                    self._stray = True

    def _change(self, each: Planned) -> Mapping[str, Any]:
        return self._changes.get(each.address, {})

    def makes(self, each: Planned) -> bool:
        """Whether the plan makes a resource, for the first time or anew.

        One of which the plan does not say what is done with it may be there.
        """
        return _CREATE in as_list(self._change(each).get("actions"))

    def leaves(self, each: Planned) -> bool:
        """Whether a resource stays as it is."""
        return self._change(each).get("actions") in _UNCHANGED

    def before(self, each: Planned, name: str) -> object:
        """Return what a value is before the plan is applied; None where there is none."""
        return as_mapping(self._change(each).get("before")).get(name)

    def attached(self, each: Planned) -> Maybe[list[Maybe[str | None]]]:
        """Return the ids of the disks that attachments give to a machine."""
        # An attachment whose machine is not known may be this one's.
        return UNKNOWN if self._stray else self._attached.get(self.id_of(each).casefold(), [])

    def value(self, each: Planned, *path: str | int) -> object:
        """Return a value; UNKNOWN where only the apply tells it.

        Args:
            each: whose value it is.
            path: the names on the way to it; a number is one of several blocks.
        """
        unknown: object = as_mapping(self._change(each).get("after_unknown"))
        value: object = each.values
        for name in path:
            if unknown is True:
                return UNKNOWN
            unknown, value = member(unknown, name), member(value, name)
        return UNKNOWN if unknown is True else value

    def id_of(self, each: Planned) -> str:
        """Return a resource's id, made of what stands for what nobody knows if need be."""
        known = self.value(each, "id")
        if isinstance(known, str):
            return known
        name, group = self.value(each, "name"), self.value(each, "resource_group_name")
        if not isinstance(name, str):
            # Its address tells it from the others of the plan, in a group that nobody knows.
            name, group = _NO_NAME.sub("-", each.address)[-80:], own_group(each.address)
        group = group if isinstance(group, str) else self._deployment.group_name
        scope = f"/subscriptions/{self._subscription_of(each)}/resourceGroups/{group}"
        kind = TYPES.get(each.kind, "")
        return f"{scope}/providers/{kind}/{name}"

    def _subscription_of(self, each: Planned) -> str:
        """Return the subscription of the provider that makes a resource, or what stands for it."""
        provider = as_mapping(self._providers.get(each.provider))
        told = as_mapping(as_mapping(provider.get("expressions")).get("subscription_id"))
        constant = told.get("constant_value")
        if isinstance(constant, str):
            return constant
        if told and each.provider != _DEFAULT_PROVIDER:
            # What the caller says of where the plan is applied is about the default provider.
            return own_subscription(f"{self._deployment.name} {each.provider}")
        return self._deployment.subscription_id

    def reference(self, each: Planned, *path: str | int) -> Maybe[str | None]:
        """Return the id that a resource names, if need be by what the configuration refers to."""
        value = self.value(each, *path)
        if isinstance(value, str) or value is None:
            return value or None
        target = self.target(each, *path)
        return UNKNOWN if target is None else self.id_of(target)

    def target(self, each: Planned, *path: str | int) -> Planned | None:
        """Return the one resource of the plan whose id the configuration gives to a value."""
        expression: object = each.expressions
        for name in path:
            expression = member(expression, name)
        named = map(str, as_list(as_mapping(expression).get("references")))
        parts = [text.rpartition(".") for text in named]
        whose = {address for address, _, what in parts if what in _IDS}
        if len(whose) != 1:
            return None
        (address,) = whose
        targets = self._by_plain_address.get((each.module, address.partition("[")[0]), [])
        if "[" in address:
            targets = [target for target in targets if target.address.endswith(address)]
        # Of several, nobody can tell which one is meant.
        return targets[0] if len(targets) == 1 else None


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return an object; what is none is an empty one."""
    return value if isinstance(value, dict) else {}


def as_list(value: object) -> list[Any]:
    """Return a list; what is none is an empty one."""
    return value if isinstance(value, list) else []


def first(value: object) -> object:
    """Return the block in a list of one; Terraform writes each block as a list."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def member(value: object, name: str | int) -> object:
    """Return what a block holds under a name, or one of several blocks; None where it is none."""
    if isinstance(name, int):
        return value[name] if isinstance(value, list) and name < len(value) else None
    found = first(value)
    return found.get(name) if isinstance(found, dict) else None
