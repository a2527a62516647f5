"""Machines of which everything is known, and what the rules say of them."""

from __future__ import annotations

from typing import Any

import attrs

from keyhier.azure_disk.eligibility import Answer, Method, check_eligibility
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
    dual_pass=False,
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

RELEASES = {
    ("2018", System.LINUX): "ubuntu 16.04",
    ("2018", System.WINDOWS): "windows-server 2016",
    ("2023", System.LINUX): "ubuntu 20.04",
    ("2023", System.WINDOWS): "windows-server 2019",
    ("2026", System.LINUX): "ubuntu 22.04",
    ("2026", System.WINDOWS): "windows-server 2019",
}


def machine(rules: str, system: System = System.LINUX, **facts: Any) -> Machine:
    """Return a machine that the rules let through, but for what is said of it."""
    return attrs.evolve(LINUX, **{"system": system, "release": RELEASES[rules, system], **facts})


def ask(rules: str, one: Machine, method: Method = Method.ADE) -> Answer:
    """Return what the shipped rules of that name say of a machine."""
    return check_eligibility(one, method, rules)


def told(answer: Answer) -> list[str]:
    """Return the ids of what speaks against a machine of which everything is known."""
    assert not answer.open
    return [reason.id for reason in answer.reasons]
