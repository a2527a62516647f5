"""Reads Terraform's plans as ``terraform show -json`` prints them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any, Final

from keyhier.placement.arm.deployment import Deployment, Problems
from keyhier.placement.json_text import below
from keyhier.placement.terraform import azurerm, scale_sets
from keyhier.placement.terraform.plan import TYPES, Plan, Planned, as_list, as_mapping, planned

__all__ = ["is_plan", "read_plan"]

# Of the provider's resources, these would matter too, and have no reader here.
_NOT_READ: Final = frozenset(
    {
        "azurerm_virtual_machine",
        "azurerm_virtual_machine_scale_set",
        "azurerm_key_vault_managed_hardware_security_module",
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
    configuration = as_mapping(as_mapping(document.get("configuration")).get("root_module"))
    found = list(planned(root, below("", values, "root_module"), configuration, 0))
    unknown = {
        str(each.get("address")): as_mapping(as_mapping(each.get("change")).get("after_unknown"))
        for each in as_list(document.get("resource_changes"))
        if isinstance(each, dict)
    }
    plan = Plan(found, unknown, deployment)
    for each in found:
        if each.kind in _NOT_READ:
            problems.add(each.pointer, f"{each.kind} is not read", is_error=False)
    for each in found:
        if each.kind in _EXTENSIONS:
            yield _EXTENSIONS[each.kind](plan, each), each.pointer
        elif each.kind in _READERS:
            common: dict[str, object] = {
                "type": TYPES[each.kind],
                "id": plan.id_of(each),
                "name": plan.value(each, "name"),
                "location": plan.value(each, "location"),
            }
            yield {**common, **_READERS[each.kind](plan, each)}, each.pointer


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
