"""Documents as ARM stores them, for tests to change, and how they are read."""

from __future__ import annotations

from typing import Any

from keyhier.placement.model import (
    Resource,
)
from keyhier.placement.resources import read_resources
from tests.placement.scenes import (
    DATA_DISK_ID,
    OS_DISK_ID,
    SET_ID,
    TENANT,
    VAULT_ID,
    VM_ID,
)

MACHINE: dict[str, Any] = {
    "id": str(VM_ID),
    "name": "web-01",
    "type": "Microsoft.Compute/virtualMachines",
    "location": "East US 2",
    "identity": {"tenantId": TENANT},
    "properties": {
        "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
        "storageProfile": {
            "imageReference": {"publisher": "Canonical", "offer": "ubuntu", "sku": "server"},
            "osDisk": {
                "name": "os",
                "osType": "Linux",
                "createOption": "FromImage",
                "managedDisk": {"id": str(OS_DISK_ID), "storageAccountType": "Premium_LRS"},
            },
            "dataDisks": [
                {
                    "lun": 0,
                    "name": "data",
                    "createOption": "Attach",
                    "managedDisk": {
                        "id": str(DATA_DISK_ID),
                        "diskEncryptionSet": {"id": str(SET_ID).upper()},
                    },
                }
            ],
        },
        "securityProfile": {"encryptionAtHost": True, "securityType": "TrustedLaunch"},
    },
}
EXTENSION: dict[str, Any] = {
    "type": "Microsoft.Compute/virtualMachines/extensions",
    "name": "web-01/AzureDiskEncryptionForLinux",
    "properties": {
        "publisher": "Microsoft.Azure.Security",
        "type": "AzureDiskEncryptionForLinux",
        "settings": {
            "EncryptionOperation": "EnableEncryption",
            "KeyVaultURL": "https://contoso-kv.vault.azure.net/",
            "KeyVaultResourceId": str(VAULT_ID),
            "KeyEncryptionKeyURL": "",
            "KekVaultResourceId": "",
            "VolumeType": "All",
        },
    },
}
VAULT: dict[str, Any] = {
    "id": str(VAULT_ID),
    "name": "contoso-kv",
    "type": "Microsoft.KeyVault/vaults",
    "location": "eastus2",
    "properties": {
        "tenantId": TENANT,
        "vaultUri": "https://contoso-kv.vault.azure.net/",
        "enabledForDiskEncryption": True,
    },
}


def read(*documents: Any) -> list[Resource]:
    return read_resources((each, None) for each in documents)


def flattened(document: dict[str, Any]) -> dict[str, Any]:
    rest = {name: value for name, value in document.items() if name != "properties"}
    return {**rest, **document["properties"]}
