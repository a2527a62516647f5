"""Scenes: resources that keep every rule, for tests to spoil in one place."""

from __future__ import annotations

import attrs

from keyhier.placement import ArmId, Placement
from keyhier.placement.model import (
    NO_ADE,
    Ade,
    AttachedDisk,
    Disk,
    EncryptionSetResource,
    KeyUse,
    Resource,
    Snapshot,
    System,
    TemplateDeployment,
    VaultReference,
    VaultResource,
    VirtualMachine,
    Volumes,
)

SUBSCRIPTION = "11111111-1111-1111-1111-111111111111"
OTHER_SUBSCRIPTION = "22222222-2222-2222-2222-222222222222"
TENANT = "33333333-3333-3333-3333-333333333333"
OTHER_TENANT = "44444444-4444-4444-4444-444444444444"
HERE = Placement("East US 2", tenant=TENANT)
ELSEWHERE = attrs.evolve(HERE, region="westeurope")


def arm_id(kind: str, name: str, subscription: str = SUBSCRIPTION) -> ArmId:
    return ArmId.parse(f"/subscriptions/{subscription}/resourceGroups/rg/providers/{kind}/{name}")


VAULT_ID = arm_id("Microsoft.KeyVault/vaults", "contoso-kv")
KEK_VAULT_ID = arm_id("Microsoft.KeyVault/vaults", "contoso-kek")
SET_ID = arm_id("Microsoft.Compute/diskEncryptionSets", "des")
OTHER_SET_ID = arm_id("Microsoft.Compute/diskEncryptionSets", "des2")
VM_ID = arm_id("Microsoft.Compute/virtualMachines", "web-01")
OS_DISK_ID = arm_id("Microsoft.Compute/disks", "web-01-os")
DATA_DISK_ID = arm_id("Microsoft.Compute/disks", "web-01-data")
SNAPSHOT_ID = arm_id("Microsoft.Compute/snapshots", "web-01-monday")
COPY_ID = arm_id("Microsoft.Compute/snapshots", "web-01-copy")

VAULT = VaultResource(
    id=VAULT_ID,
    host="https://contoso-kv.vault.azure.net/",
    placement=HERE,
    for_disk_encryption=True,
    for_deployment=False,
    for_template_deployment=False,
    purge_protection=True,
    rbac=True,
)
KEK_VAULT = attrs.evolve(VAULT, id=KEK_VAULT_ID, host="contoso-kek.vault.azure.net")
KEK_URL = "https://contoso-kek.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef"
CMK_URL = "https://contoso-kv.vault.azure.net/keys/cmk/0123456789abcdef0123456789abcdef"

ADE_ON = Ade(
    enabled=True,
    ever=True,
    volumes=Volumes.ALL,
    vault=VaultReference(VAULT_ID, "contoso-kv.vault.azure.net"),
    kek=KeyUse(KEK_URL, VaultReference(KEK_VAULT_ID, "contoso-kek.vault.azure.net")),
)
ADE_OFF = attrs.evolve(ADE_ON, enabled=False, vault=None, kek=None)

OS_DISK = Disk(id=OS_DISK_ID, placement=HERE, set_id=None, storage_type="Premium_LRS", ade=NO_ADE)
DATA_DISK = attrs.evolve(OS_DISK, id=DATA_DISK_ID)
ATTACHED_OS = AttachedDisk(
    id=OS_DISK_ID,
    is_os=True,
    set_id=None,
    managed=True,
    ephemeral=False,
    storage_type="Premium_LRS",
    write_accelerator=False,
)
ATTACHED_DATA = attrs.evolve(ATTACHED_OS, id=DATA_DISK_ID, is_os=False)
VM = VirtualMachine(
    id=VM_ID,
    placement=HERE,
    system=System.LINUX,
    size="Standard_D4s_v5",
    generation=2,
    host_encryption=False,
    disks=(ATTACHED_OS, ATTACHED_DATA),
    ade=NO_ADE,
    secret_vaults=(),
)
SET = EncryptionSetResource(
    id=SET_ID,
    placement=HERE,
    key=KeyUse(CMK_URL, VaultReference(VAULT_ID, "contoso-kv.vault.azure.net")),
    user_assigned=False,
    federated_client=False,
)
SNAPSHOT = Snapshot(
    id=SNAPSHOT_ID,
    placement=HERE,
    set_id=SET_ID,
    source_id=DATA_DISK_ID,
    incremental=True,
    ade=NO_ADE,
)

ADE_SCENE: dict[str, Resource] = {
    "vm": attrs.evolve(VM, ade=ADE_ON),
    "os": OS_DISK,
    "data": DATA_DISK,
    "vault": VAULT,
    "kek_vault": KEK_VAULT,
}
"""A machine under Azure Disk Encryption, with a KEK in a vault of its own."""

CMK_SCENE: dict[str, Resource] = {
    "vm": VM,
    "os": attrs.evolve(OS_DISK, set_id=SET_ID),
    "data": attrs.evolve(DATA_DISK, set_id=SET_ID),
    "snapshot": SNAPSHOT,
    "set": SET,
    "vault": VAULT,
}
"""A machine, its disks and a snapshot under one encryption set."""

PLAIN_SCENE: dict[str, Resource] = {
    "vm": attrs.evolve(VM, host_encryption=True),
    "os": OS_DISK,
    "data": DATA_DISK,
}
"""A machine with encryption at host."""

SECRET_SCENE: dict[str, Resource] = {
    "vm": attrs.evolve(VM, host_encryption=True, secret_vaults=(VAULT.reference,)),
    "os": OS_DISK,
    "data": DATA_DISK,
    "deployment": TemplateDeployment(name="shop", secret_vaults=(VAULT.reference,)),
    "vault": attrs.evolve(VAULT, for_deployment=True, for_template_deployment=True),
}
"""A machine that is given secrets of a vault, by a template whose parameters refer to others."""

SCENES = {"ade": ADE_SCENE, "cmk": CMK_SCENE, "host": PLAIN_SCENE, "secret": SECRET_SCENE}
