"""The rows of the pages of 2018, 2023 and 2026, each with its verdict."""

from __future__ import annotations

from typing import Any

from keyhier.azure_disk.machine import Image, Scenario, Technology
from keyhier.placement.model import System, Volumes

W, L = System.WINDOWS, System.LINUX
DISABLE = Scenario.DISABLE
# The rows of the eligibility table: rules, system, what is said of the machine, the obstacle.
TABLE: list[tuple[str, System, dict[str, Any], str | None]] = [
    # The older page: sizes, generation, memory
    ("2023", W, {"size": "Basic_D1"}, "basic-tier"),
    ("2023", W, {"size": "Standard_A2_v2"}, "a-series"),
    ("2023", W, {"size": "Standard_L8s_v2"}, "lsv2"),
    ("2023", W, {"generation": 2}, "generation-2"),
    ("2023", W, {"generation": 1}, None),
    ("2023", W, {"memory_gb": 1.75}, "windows-memory"),
    ("2023", W, {"memory_gb": 2}, None),
    # The older page: networking
    ("2023", W, {"reaches_entra": False}, "endpoint-entra"),
    ("2023", W, {"reaches_vault": False}, "endpoint-vault"),
    ("2023", W, {"reaches_storage": False}, "endpoint-storage"),
    # The older page: group policy
    ("2023", W, {"enforces_tpm": True}, "policy-tpm"),
    ("2023", W, {"allows_256_bit_recovery_key": False}, "policy-recovery-key"),
    ("2023", W, {"blocks_aes_cbc": True}, "policy-aes-cbc"),
    ("2023", W, {"mbam": True}, "policy-mbam"),
    ("2023", L, {"enforces_tpm": True}, None),
    ("2023", W, {"release": "windows-server 2022", "kek_bits": 2048}, "windows-small-kek"),
    # 2018: the A-series and 7 GB on Linux
    ("2018", L, {"size": "Standard_A4"}, None),
    ("2018", L, {"memory_gb": 6.9}, "linux-memory"),
    ("2018", L, {"memory_gb": 7}, None),
    ("2018", W, {"memory_gb": 3.5}, None),
    # Today: sizes, disks, generation
    ("2026", L, {"size": "Basic_D1"}, "basic-tier"),
    ("2026", L, {"size": "Standard_A2m_v2"}, "a-series"),
    ("2026", L, {"size": "Standard_D2ds_v6"}, "new-sizes"),
    ("2026", W, {"size": "Standard_D4as_v7"}, "new-sizes"),
    ("2026", W, {"size": "Standard_E8s_v8"}, "new-sizes"),
    ("2026", L, {"size": "Standard_D2s_v5"}, None),
    ("2026", L, {"ultra_disk": True}, "ultra-disk"),
    ("2026", L, {"premium_v2": True}, "premium-v2"),
    ("2026", L, {"ephemeral_os_disk": True}, "ephemeral-os-disk"),
    ("2026", L, {"nvme": True}, "linux-nvme"),
    ("2026", W, {"nvme": True}, None),
    ("2026", L, {"size": "Standard_L8s_v3"}, "linux-l-series"),
    ("2026", W, {"size": "Standard_L8s_v2"}, None),
    ("2026", L, {"generation": 1}, None),
    ("2026", L, {"generation": 2}, None),
    ("2026", W, {"generation": 2}, None),
    # How much memory today
    ("2026", W, {"memory_gb": 1}, "windows-memory"),
    ("2026", W, {"memory_gb": 2}, None),
    ("2026", L, {"volumes": Volumes.DATA, "memory_gb": 1.5}, "linux-memory-data"),
    ("2026", L, {"volumes": Volumes.DATA, "memory_gb": 2}, None),
    ("2026", L, {"memory_gb": 7.9}, "linux-memory-os"),
    ("2026", L, {"memory_gb": 8}, None),
    ("2026", L, {"root_usage_gb": 16, "memory_gb": 31}, "linux-memory-root"),
    ("2026", L, {"root_usage_gb": 16, "memory_gb": 32}, None),
    # Today: other methods, keys, policies
    ("2026", L, {"cmk": True}, "ade-on-cmk"),
    ("2026", L, {"host_encryption": True}, "ade-on-host-encryption"),
    ("2026", W, {"release": "windows-server 2022", "kek_bits": 2048}, "windows-small-kek"),
    ("2026", W, {"release": "windows-client 11", "kek_bits": 2048}, "windows-small-kek"),
    ("2026", W, {"release": "windows-client 11", "kek_bits": 0}, None),
    ("2026", W, {"release": "windows-server 2022", "kek_bits": 3072}, None),
    ("2026", W, {"kek_bits": 2048}, None),
    ("2026", W, {"write_accelerator": True}, "write-accelerator"),
    ("2026", W, {"volumes": Volumes.DATA}, "windows-data-without-os"),
    ("2026", W, {"volumes": Volumes.DATA, "os_encrypted": True}, None),
    ("2026", W, {"reaches_storage": False}, "endpoint-storage"),
    ("2026", W, {"reaches_entra": False, "reaches_vault": False}, None),
    ("2026", W, {"reaches_entra": False, "dual_pass": True}, "endpoint-entra"),
    ("2026", L, {"reaches_vault": False, "dual_pass": True}, "endpoint-vault"),
    # The systems
    ("2026", L, {"release": "debian 12"}, "system-not-supported"),
    ("2026", L, {"release": "sles 12-sp4"}, "system-data-only"),
    ("2026", L, {"release": "sles 12-sp4", "volumes": Volumes.DATA}, None),
    ("2018", L, {"release": "ubuntu 22.04"}, "system-not-supported"),
    # Key storage is a matter of placement: see the rules ade-vault-region and -subscription.
]
# What the page of 2018 supports, row by row.
SUPPORTED_2018: list[tuple[System, dict[str, Any]]] = [
    (W, {"scenario": Scenario.ENABLE_OWN_VHD, "image": Image.ENCRYPTED_VHD}),
    (W, {"scenario": Scenario.ENABLE_NEW}),
    (L, {"scenario": Scenario.ENABLE_NEW}),
    (W, {"scenario": Scenario.ENABLE_EXISTING}),
    (L, {"scenario": Scenario.ENABLE_EXISTING}),
    (W, {"scale_set": True}),
    (L, {"scale_set": True, "volumes": Volumes.DATA}),
    (W, {"scenario": DISABLE}),
    (W, {"scenario": DISABLE, "volumes": Volumes.OS}),
    (L, {"scenario": DISABLE, "volumes": Volumes.DATA}),
    (W, {"scenario": DISABLE, "scale_set": True}),
    (L, {"scenario": DISABLE, "volumes": Volumes.DATA, "scale_set": True}),
    (L, {"managed_disks": True}),
    (L, {"managed_disks": False}),
    (L, {"scenario": Scenario.UPDATE}),
    (W, {"scenario": Scenario.UPDATE}),
    (L, {"scenario": Scenario.BACK_UP, "kek_bits": 0}),
    (L, {"scenario": Scenario.RESTORE, "kek_bits": 0}),
    (W, {"scenario": Scenario.BACK_UP, "kek_bits": 2048}),
    (W, {"scenario": Scenario.RESTORE, "kek_bits": 2048}),
    *((L, {"size": f"Standard_{size}"}) for size in ("A3", "D3", "DS3", "G2", "GS2", "F4")),
    (W, {"release": "windows-client 10"}),
    (W, {"uses": frozenset({Technology.MOUNT_PATHS})}),
    (L, {"uses": frozenset({Technology.MDADM})}),
    (L, {"uses": frozenset({Technology.LVM})}),
    (L, {"volumes": Volumes.ALL}),
    (W, {"uses": frozenset({Technology.STORAGE_SPACES})}),
]
# What it does not support, row by row.
UNSUPPORTED_2018: list[tuple[System, dict[str, Any], str]] = [
    (W, {"size": "Basic_A2"}, "basic-tier"),
    (L, {"scenario": DISABLE, "volumes": Volumes.OS}, "disable-linux-os"),
    (L, {"scenario": DISABLE, "volumes": Volumes.ALL}, "disable-linux-os"),
    (
        L,
        {"scenario": DISABLE, "volumes": Volumes.DATA, "os_encrypted": True},
        "disable-linux-data-under-os",
    ),
    (W, {"classic": True}, "classic"),
    (L, {"image": Image.CUSTOM}, "linux-custom-image"),
    (L, {"uses": frozenset({Technology.ON_PREMISES_KMS})}, "on-premises-kms"),
    (W, {"uses": frozenset({Technology.AZURE_FILES})}, "azure-files"),
    (L, {"uses": frozenset({Technology.NFS})}, "nfs"),
    (W, {"uses": frozenset({Technology.DYNAMIC_VOLUMES})}, "dynamic-volumes"),
    (W, {"uses": frozenset({Technology.SOFTWARE_RAID})}, "windows-software-raid"),
    (L, {"scale_set": True}, "scale-set-linux-os"),
    (L, {"scenario": Scenario.ENABLE_OWN_VHD, "image": Image.ENCRYPTED_VHD}, "own-vhd-linux"),
]


# What the pages of 2023 and 2026 list as unsupported of what a machine may use, row by row.
UNSUPPORTED: list[tuple[System, Technology, str]] = [
    (L, Technology.ON_PREMISES_KMS, "on-premises-kms"),
    (W, Technology.AZURE_FILES, "azure-files"),
    (L, Technology.NFS, "nfs"),
    (W, Technology.DYNAMIC_VOLUMES, "dynamic-volumes"),
    (L, Technology.SHARED_FILE_SYSTEM, "shared-file-systems"),
    (W, Technology.MOVE_OF_ENCRYPTED_VM, "move"),
    (W, Technology.IMAGE_OF_ENCRYPTED_VM, "image"),
    (L, Technology.KDUMP, "kdump"),
    (L, Technology.ACFS, "acfs"),
    (L, Technology.NESTED_MOUNTS, "nested-mounts"),
    (L, Technology.DATA_OVER_OS_FOLDER, "data-over-os"),
    (W, Technology.SOFTWARE_RAID, "windows-software-raid"),
    (W, Technology.STORAGE_SPACES_DIRECT, "windows-storage-spaces-direct"),
    (W, Technology.WINDOWS_CONTAINERS, "windows-containers"),
    (W, Technology.FAILOVER_CLUSTER, "failover-cluster"),
]
# What only today's pages list.
UNSUPPORTED_2026: list[tuple[System, Technology, str]] = [
    *UNSUPPORTED,
    (L, Technology.OS_VOLUME_ON_DATA_DISK, "os-on-data-disk"),
    (L, Technology.OS_DISK_RESIZE, "os-disk-resize"),
    (W, Technology.SECRET_LIFETIME_POLICY, "secret-lifetime-policy"),
    (W, Technology.ISCSI, "windows-iscsi"),
]
