"""Documents as ARM stores them: a machine, its disk, a set and a vault that keep every rule."""

from __future__ import annotations

import copy
from typing import Any, Final

from keyhier.placement.model import VaultResource
from keyhier.plans import AdeRequest, Documents, PlannedKey

SUBSCRIPTION: Final = "11111111-1111-1111-1111-111111111111"
GROUP: Final = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shop/providers"
TENANT: Final = "33333333-3333-3333-3333-333333333333"
VM_ID: Final = f"{GROUP}/Microsoft.Compute/virtualMachines/web-01"
DISK_ID: Final = f"{GROUP}/Microsoft.Compute/disks/web-01-os"
SET_ID: Final = f"{GROUP}/Microsoft.Compute/diskEncryptionSets/des"
VAULT_ID: Final = f"{GROUP}/Microsoft.KeyVault/vaults/contoso-kv"
HOST: Final = "contoso-kv.vault.azure.net"
VERSION: Final = "0123456789abcdef0123456789abcdef"
KEK_URL: Final = f"https://{HOST}/keys/disk-kek/{VERSION}"
CMK_URL: Final = f"https://{HOST}/keys/cmk/{VERSION}"

# What no document of the machine tells, so that its eligibility is no question.
FACTS: Final[dict[str, Any]] = {
    "memory_gb": 16.0,
    "root_usage_gb": 2.0,
    "uses": frozenset(),
    "nvme": False,
    "reaches_entra": True,
    "reaches_vault": True,
    "reaches_storage": True,
    "mbam": False,
    "enforces_tpm": False,
    "blocks_aes_cbc": False,
    "allows_256_bit_recovery_key": True,
    "ade_ever": False,
    "cmk": False,
    "ultra_disk": False,
    "premium_v2": False,
}

_IMAGES: Final = {
    "Linux": ("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
    "Windows": ("MicrosoftWindowsServer", "WindowsServer", "2022-datacenter-g2"),
}


def machine(system: str = "Linux", **disk: Any) -> dict[str, Any]:
    publisher, offer, sku = _IMAGES[system]
    image = {"publisher": publisher, "offer": offer, "sku": sku}
    os_disk = {
        "name": "web-01-os",
        "osType": system,
        "createOption": "FromImage",
        "managedDisk": {"id": DISK_ID, "storageAccountType": "Premium_LRS"},
    }
    return {
        "id": VM_ID,
        "name": "web-01",
        "type": "Microsoft.Compute/virtualMachines",
        "location": "eastus2",
        "properties": {
            "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
            "storageProfile": {"imageReference": image, "osDisk": os_disk | disk},
        },
    }


def disk(**properties: Any) -> dict[str, Any]:
    return {
        "id": DISK_ID,
        "name": "web-01-os",
        "type": "Microsoft.Compute/disks",
        "location": "eastus2",
        "sku": {"name": "Premium_LRS"},
        "properties": {"creationData": {"createOption": "FromImage"}, **properties},
    }


def vault(location: str = "eastus2", *, host: str = HOST, **properties: Any) -> dict[str, Any]:
    name = host.partition(".")[0]
    return {
        "id": f"{GROUP}/Microsoft.KeyVault/vaults/{name}",
        "name": name,
        "type": "Microsoft.KeyVault/vaults",
        "location": location,
        "properties": {
            "tenantId": TENANT,
            "vaultUri": f"https://{host}/",
            "enabledForDiskEncryption": True,
            "enabledForDeployment": True,
            "enablePurgeProtection": True,
            "enableRbacAuthorization": True,
            **properties,
        },
    }


def encryption_set(**properties: Any) -> dict[str, Any]:
    return {
        "id": SET_ID,
        "name": "des",
        "type": "Microsoft.Compute/diskEncryptionSets",
        "location": "eastus2",
        "identity": {"type": "SystemAssigned", "tenantId": TENANT, "principalId": "5" * 8},
        "properties": {
            "activeKey": {"keyUrl": CMK_URL, "sourceVault": {"id": VAULT_ID}},
            "encryptionType": "EncryptionAtRestWithCustomerKey",
            "rotationToLatestKeyVersionEnabled": False,
            **properties,
        },
    }


def extension(system: str = "Linux", **settings: Any) -> dict[str, Any]:
    kind = "AzureDiskEncryptionForLinux" if system == "Linux" else "AzureDiskEncryption"
    return {
        "id": f"{VM_ID}/extensions/{kind}",
        "name": f"web-01/{kind}",
        "type": "Microsoft.Compute/virtualMachines/extensions",
        "location": "eastus2",
        "properties": {
            "publisher": "Microsoft.Azure.Security",
            "type": kind,
            "typeHandlerVersion": "1.1" if system == "Linux" else "2.2",
            "settings": {
                "EncryptionOperation": "EnableEncryption",
                "KeyVaultURL": f"https://{HOST}/",
                "KeyVaultResourceId": VAULT_ID,
                "KeyEncryptionKeyURL": KEK_URL,
                "KekVaultResourceId": VAULT_ID,
                "KeyEncryptionAlgorithm": "RSA-OAEP",
                "VolumeType": "All",
                "SequenceVersion": "00000000-0000-0000-0000-000000000001",
                **settings,
            },
        },
    }


def documents(*contents: dict[str, Any]) -> Documents:
    return Documents(copy.deepcopy(contents))


def key_of(found: Documents, name: str = "disk-kek", **fields: Any) -> PlannedKey:
    return PlannedKey(name=name, vault=found.pick(VaultResource), **fields)


def ade(scenario: str, *contents: dict[str, Any], kek: bool = True, **fields: Any) -> AdeRequest:
    found = documents(*contents)
    fields.setdefault("facts", FACTS)
    return AdeRequest(
        scenario=scenario, documents=found, kek=key_of(found) if kek else None, **fields
    )
