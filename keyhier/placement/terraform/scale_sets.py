"""The scale sets of the provider azurerm, each as ARM would store it."""

from __future__ import annotations

from keyhier.placement.terraform.azurerm import (
    extension_of,
    extension_properties,
    image,
    managed_disk,
    secrets,
    security,
)
from keyhier.placement.terraform.plan import Plan, Planned, first, member
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = ["extension", "scale_set"]


def scale_set(plan: Plan, each: Planned) -> dict[str, object]:
    """A scale set; its machines are all made from one profile."""
    size = plan.value(each, "sku")
    return {
        # The orchestrated one, of machines of their own, has another name for it.
        "sku": {"name": plan.value(each, "sku_name") if size is None else size},
        "properties": {
            "virtualMachineProfile": {
                "osProfile": {"secrets": secrets(plan, each)},
                "storageProfile": {
                    "imageReference": image(plan, each),
                    "osDisk": {
                        "osType": _system(plan, each),
                        "createOption": "FromImage",
                        "managedDisk": managed_disk(plan, each, "os_disk"),
                        "diffDiskSettings": {
                            "option": plan.value(each, "os_disk", "diff_disk_settings", "option")
                        },
                    },
                    "dataDisks": _data_disks(plan, each),
                },
                "securityProfile": security(plan, each),
                "extensionProfile": {"extensions": _extensions(plan, each)},
            }
        },
    }


def _system(plan: Plan, each: Planned) -> Maybe[str | None]:
    for system in ("Windows", "Linux"):
        if f"_{system.casefold()}_" in each.kind:
            return system
    profile = plan.value(each, "os_profile")
    for system in ("Windows", "Linux"):
        if first(member(profile, f"{system.casefold()}_configuration")) is not None:
            return system
    return UNKNOWN


def _data_disks(plan: Plan, each: Planned) -> object:
    blocks = plan.value(each, "data_disk")
    if isinstance(blocks, Unknown) or blocks is None:
        return blocks
    numbers = range(len(blocks) if isinstance(blocks, list) else 0)
    return [
        {"createOption": "Empty", "managedDisk": managed_disk(plan, each, "data_disk", number)}
        for number in numbers
    ]


def _extensions(plan: Plan, each: Planned) -> object:
    blocks = plan.value(each, "extension")
    if isinstance(blocks, Unknown) or blocks is None:
        return blocks
    numbers = range(len(blocks) if isinstance(blocks, list) else 0)
    return [{"properties": extension_properties(plan, each, "extension", n)} for n in numbers]


def extension(plan: Plan, each: Planned) -> dict[str, object]:
    """An extension of a scale set that stands apart."""
    kind = "Microsoft.Compute/virtualMachineScaleSets/extensions"
    return extension_of(plan, each, kind, "virtual_machine_scale_set_id")
