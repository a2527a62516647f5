"""The scale sets of the provider azurerm, each as ARM would store it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from keyhier.placement.terraform.azurerm import (
    extension_of,
    extension_properties,
    image,
    managed_disk,
    secrets,
    security,
)
from keyhier.placement.terraform.plan import Plan, Planned, as_list, first, member
from keyhier.placement.unknown import UNKNOWN, Maybe, Unknown

__all__ = ["asked_for", "extension", "scale_set"]

_EXTENSION: Final = "Microsoft.Compute/virtualMachineScaleSets/extensions"


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
    return [
        {"properties": extension_properties(plan, each, "extension", number)}
        for number, block in enumerate(as_list(blocks))
        if plan.makes(each) or _was_there(plan, each, block)
    ]


def _was_there(plan: Plan, each: Planned, block: object) -> bool:
    """Whether an extension in a scale set that is there is as it was.

    What only the apply tells is left out of its block, which so differs from the one before.
    """
    return plan.leaves(each) or block in as_list(plan.before(each, "extension"))


def asked_for(plan: Plan, each: Planned) -> Iterator[tuple[dict[str, object], int]]:
    """Yield the extensions that a scale set that is there is to get, and their numbers.

    They are as ones that stand apart: those in the model of what is there were deployed.
    """
    for number, block in enumerate(as_list(plan.value(each, "extension"))):
        if not _was_there(plan, each, block):
            name = plan.value(each, "extension", number, "name")
            document = {
                "type": _EXTENSION,
                "id": f"{plan.id_of(each)}/extensions/{name if isinstance(name, str) else number}",
                "name": name,
                "properties": extension_properties(plan, each, "extension", number),
            }
            yield document, number


def extension(plan: Plan, each: Planned) -> dict[str, object]:
    """An extension of a scale set that stands apart."""
    return extension_of(plan, each, _EXTENSION, "virtual_machine_scale_set_id")
