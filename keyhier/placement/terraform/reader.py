"""Reads Terraform's plans as ``terraform show -json`` prints them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from keyhier.placement.arm.deployment import Deployment, Problems
from keyhier.placement.json_text import below
from keyhier.placement.terraform import azurerm, scale_sets
from keyhier.placement.terraform.plan import TYPES, Plan, Planned, as_list, as_mapping, planned
from keyhier.placement.unknown import UNKNOWN

__all__ = ["is_plan", "read_plan"]

# Of the provider's resources, these would matter too, and have no reader here.
_NOT_READ: Final = frozenset(
    {
        "azurerm_virtual_machine",
        "azurerm_virtual_machine_scale_set",
        "azurerm_key_vault_managed_hardware_security_module",
    }
)
_SCALE_SET: Final = "Microsoft.Compute/virtualMachineScaleSets"
# What may have been encrypted before.
_WITH_A_PAST: Final = frozenset(
    {
        _SCALE_SET,
        "Microsoft.Compute/virtualMachines",
        "Microsoft.Compute/disks",
        "Microsoft.Compute/snapshots",
    }
)


def is_plan(document: Mapping[str, Any]) -> bool:
    """Whether a document is Terraform's plan or state."""
    return "format_version" in document and ("planned_values" in document or "values" in document)


def read_plan(
    document: Mapping[str, Any], deployment: Deployment, problems: Problems
) -> Iterator[tuple[dict[str, object], str]]:
    """Yield the resources of a plan, each as ARM would store it, and its place.

    Args:
        document: the plan.
        deployment: where it is applied.
        problems: where what is not read is told.
    """
    values = "planned_values" if "planned_values" in document else "values"
    root = as_mapping(as_mapping(document[values]).get("root_module"))
    configured = as_mapping(document.get("configuration"))
    configuration = as_mapping(configured.get("root_module"))
    found = list(planned(root, below("", values, "root_module"), configuration, 0))
    changes = {
        str(each.get("address")): as_mapping(each.get("change"))
        for each in as_list(document.get("resource_changes"))
        if isinstance(each, dict)
    }
    if values == "values":
        # A state has nothing that is yet to be made.
        changes = {each.address: {"actions": ["no-op"]} for each in found}
    plan = Plan(found, changes, deployment, as_mapping(configured.get("provider_config")))
    for each in found:
        if each.kind in _NOT_READ:
            problems.add(each.pointer, f"{each.kind} is not read", is_error=False)
    for each in found:
        if each.kind in _EXTENSIONS:
            # One that is changed is run anew.
            extension = _EXTENSIONS[each.kind](plan, each)
            yield _as_it_is(extension, there=plan.leaves(each)), each.pointer
        elif each.kind in _READERS:
            common: dict[str, object] = {
                "type": TYPES[each.kind],
                "id": plan.id_of(each),
                "name": plan.value(each, "name"),
                "location": plan.value(each, "location"),
            }
            read = {**common, **_READERS[each.kind](plan, each)}
            there = TYPES[each.kind] in _WITH_A_PAST and not plan.makes(each)
            yield _as_it_is(read, there=there), each.pointer
            if there and TYPES[each.kind] == _SCALE_SET:
                for extension, number in scale_sets.asked_for(plan, each):
                    yield extension, below(each.pointer, "values", "extension", number)


def _as_it_is(document: dict[str, object], *, there: bool) -> dict[str, object]:
    """Return a document; of what is there it says so, as ARM's does of what was deployed."""
    if not there:
        return document
    return {
        **document,
        "properties": {
            **as_mapping(document["properties"]),
            "provisioningState": UNKNOWN,
            "timeCreated": UNKNOWN,
        },
    }


_Reader = Callable[[Plan, Planned], dict[str, object]]

_READERS: Final[Mapping[str, _Reader]] = MappingProxyType(
    {
        "azurerm_linux_virtual_machine": azurerm.machine,
        "azurerm_windows_virtual_machine": azurerm.machine,
        "azurerm_linux_virtual_machine_scale_set": scale_sets.scale_set,
        "azurerm_windows_virtual_machine_scale_set": scale_sets.scale_set,
        "azurerm_orchestrated_virtual_machine_scale_set": scale_sets.scale_set,
        "azurerm_managed_disk": azurerm.disk,
        "azurerm_snapshot": azurerm.snapshot,
        "azurerm_disk_encryption_set": azurerm.encryption_set,
        "azurerm_key_vault": azurerm.vault,
    }
)
_EXTENSIONS: Final[Mapping[str, _Reader]] = MappingProxyType(
    {
        "azurerm_virtual_machine_extension": azurerm.extension,
        "azurerm_virtual_machine_scale_set_extension": scale_sets.extension,
    }
)
