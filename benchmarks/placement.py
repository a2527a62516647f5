"""Checks of many machines: 10,000 with their disks, sets and vaults, generated, as one file.

The file is read, its resources are checked for placement, eligibility and settings, and the
report is made, in this process and on one core. The target is five seconds.
"""

from __future__ import annotations

import gc
import json
import resource
import time
from typing import Any, Final

import attrs

from keyhier.checks.check import check_documents
from keyhier.checks.files import Files
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.report import Report

__all__ = ["MACHINES", "Measured", "fleet", "main", "measure"]

MACHINES: Final = 10_000
_GROUP: Final = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/fleet/providers"
_PER_SET: Final = 50


@attrs.frozen
class Measured:
    """What a run took.

    Attributes:
        seconds: of the processor, for everything.
        megabytes: the process's peak.
        report: what was found.
    """

    seconds: float
    megabytes: float
    report: Report


def fleet(machines: int = MACHINES) -> list[dict[str, Any]]:
    """Return machines with two disks each; every 50 have one set and one vault."""
    found: list[dict[str, Any]] = []
    for number in range(machines):
        if number % _PER_SET == 0:
            found += _set_and_vault(number // _PER_SET)
        found += _machine(f"vm-{number:05}", f"des-{number // _PER_SET:03}")
    return found


def _resource(kind: str, name: str, properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    identity = f"{_GROUP}/{kind}/{name}"
    common = {"id": identity, "name": name, "type": kind, "location": "westeurope"}
    return {**common, **more, "properties": properties}


def _machine(name: str, set_name: str) -> list[dict[str, Any]]:
    disks = [f"{name}-os", f"{name}-data"]
    managed = [{"id": f"{_GROUP}/Microsoft.Compute/disks/{each}"} for each in disks]
    storage = {
        "imageReference": {
            "publisher": "Canonical",
            "offer": "ubuntu-24_04-lts",
            "sku": "server",
        },
        "osDisk": {
            "name": disks[0],
            "osType": "Linux",
            "createOption": "FromImage",
            "managedDisk": managed[0],
        },
        "dataDisks": [{"lun": 0, "createOption": "Attach", "managedDisk": managed[1]}],
    }
    machine = _resource(
        "Microsoft.Compute/virtualMachines",
        name,
        {
            "vmId": "55555555-5555-5555-5555-555555555555",
            "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
            "storageProfile": storage,
            "securityProfile": {"encryptionAtHost": False},
        },
    )
    encryption = {
        "type": "EncryptionAtRestWithCustomerKey",
        "diskEncryptionSetId": f"{_GROUP}/Microsoft.Compute/diskEncryptionSets/{set_name}",
    }
    created = {"creationData": {"createOption": "Empty"}, "encryption": encryption}
    return [machine, *(_resource("Microsoft.Compute/disks", each, created) for each in disks)]


def _set_and_vault(number: int) -> list[dict[str, Any]]:
    vault = f"fleet-kv-{number:03}"
    key = {
        "keyUrl": f"https://{vault}.vault.azure.net/keys/cmk/0123456789abcdef0123456789abcdef",
        "sourceVault": {"id": f"{_GROUP}/Microsoft.KeyVault/vaults/{vault}"},
    }
    tenant = "33333333-3333-3333-3333-333333333333"
    return [
        _resource(
            "Microsoft.Compute/diskEncryptionSets",
            f"des-{number:03}",
            {"activeKey": key, "encryptionType": "EncryptionAtRestWithCustomerKey"},
            identity={"type": "SystemAssigned", "tenantId": tenant},
        ),
        _resource(
            "Microsoft.KeyVault/vaults",
            vault,
            {"tenantId": tenant, "enablePurgeProtection": True},
        ),
    ]


def measure(machines: int = MACHINES) -> Measured:
    """Check a fleet, from the bytes of its file to the report."""
    content = json.dumps(fleet(machines)).encode()
    # As the command does, which ends with what it has read.
    gc.disable()
    start = time.process_time()
    files = Files(Deployment(""))
    files.add("fleet.json", content)
    documents = [found for each in files.documents() for found in each.found]
    report = check_documents(documents, files.troubles, locate=files.locate)
    seconds = time.process_time() - start
    gc.enable()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(seconds, peak, report)


def main() -> None:
    """Measure, and print what it took."""
    measured = measure()
    kept = sum(measured.report.kept.values())
    print(
        f"{MACHINES:,} machines: {measured.seconds:.1f} s, {measured.megabytes:,.0f} MB at most,"
        f" {kept:,} rules kept, {len(measured.report.violations)} broken"
    )


if __name__ == "__main__":
    main()
