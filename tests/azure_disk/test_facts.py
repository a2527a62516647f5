"""Facts of machines that no document tells, as they are read and taken."""

from __future__ import annotations

import pytest

from keyhier.azure_disk.facts import filled_with, read_facts
from keyhier.azure_disk.machine import Image, Machine, Scenario, Technology
from keyhier.errors import InvalidInputError
from keyhier.placement.model import System
from keyhier.placement.unknown import UNKNOWN


def test_facts_are_read_by_their_kind() -> None:
    told = ["memory_gb=16", "uses=lvm,nfs", "mbam=No", "reaches_vault=yes", "generation=2"]
    told += ["system=linux", "image=custom", "release=ubuntu 22.04", "root_usage_gb=3.5"]
    assert read_facts(told) == {
        "memory_gb": 16.0,
        "uses": frozenset({Technology.LVM, Technology.NFS}),
        "mbam": False,
        "reaches_vault": True,
        "generation": 2,
        "system": System.LINUX,
        "image": Image.CUSTOM,
        "release": "ubuntu 22.04",
        "root_usage_gb": 3.5,
    }
    assert read_facts(["uses=nothing"]) == {"uses": frozenset()}


@pytest.mark.parametrize(
    "pair",
    [
        "memory=16",
        "kek_bits=4096",
        "scenario=update",
        "memory_gb=much",
        "memory_gb=-1",
        "memory_gb=nan",
        "memory_gb=inf",
        "generation=3",
        "mbam=perhaps",
        "system=plan9",
        "uses=lvm,",
        "uses",
        "",
    ],
)
def test_a_fact_that_is_none_is_an_error(pair: str) -> None:
    with pytest.raises(InvalidInputError):
        read_facts([pair])
    with pytest.raises(InvalidInputError, match="stands twice"):
        read_facts(["mbam=no", "mbam=no"])


def test_without_a_plan_its_part_is_told_by_facts() -> None:
    told = ["scenario=update", "dual_pass=no", "os_encrypted=yes", "kek_bits=4096"]
    facts = read_facts(told, planned=False)
    assert facts == {
        "scenario": Scenario.UPDATE,
        "dual_pass": False,
        "os_encrypted": True,
        "kek_bits": 4096,
    }
    for pair in told:
        with pytest.raises(InvalidInputError, match="is no fact of a machine"):
            read_facts([pair])
    # Whether Azure Disk Encryption is on is told by documents alone.
    with pytest.raises(InvalidInputError, match="is no fact of a machine"):
        read_facts(["ade=yes"], planned=False)


def test_facts_fill_what_is_not_known_and_change_nothing_else() -> None:
    machine = Machine(generation=2, mbam=UNKNOWN)
    filled = filled_with(machine, {"generation": 1, "mbam": False})
    assert filled == Machine(generation=2, mbam=False)
    with pytest.raises(InvalidInputError, match="is no fact of a machine"):
        filled_with(machine, {"weather": "fine"})
