"""A machine of which everything is known, and nothing speaks against."""

from __future__ import annotations

from keyhier.azure_disk.machine import Image, Machine, Scenario
from keyhier.placement.model import System, Volumes

LINUX = Machine(
    scenario=Scenario.ENABLE_EXISTING,
    system=System.LINUX,
    release="ubuntu 16.04",
    size="Standard_D4s_v5",
    generation=1,
    memory_gb=16,
    root_usage_gb=4,
    volumes=Volumes.ALL,
    image=Image.GALLERY,
    classic=False,
    scale_set=False,
    managed_disks=True,
    ephemeral_os_disk=False,
    ultra_disk=False,
    premium_v2=False,
    nvme=False,
    write_accelerator=False,
    host_encryption=False,
    cmk=False,
    ade=False,
    ade_ever=False,
    os_encrypted=False,
    kek_bits=3072,
    enforces_tpm=False,
    allows_256_bit_recovery_key=True,
    blocks_aes_cbc=False,
    mbam=False,
    reaches_entra=True,
    reaches_vault=True,
    reaches_storage=True,
    size_supports_host_encryption=True,
    host_encryption_registered=True,
    uses=frozenset(),
)
