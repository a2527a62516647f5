"""Eligibility: every row of the pages with its verdict; unknown is never yes."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.azure_disk.eligibility import (
    Answer,
    Method,
    Verdict,
    check_eligibility,
    retirement_finding,
)
from keyhier.azure_disk.eligibility_rules import (
    eligibility_rules,
    read_eligibility_rules,
    shipped_eligibility_rules,
)
from keyhier.azure_disk.machine import FACTS, Image, Machine, Scenario, Technology
from keyhier.azure_disk.releases import release_of_image
from keyhier.azure_disk.retirement import RETIREMENT
from keyhier.azure_disk.vm_size import VmSize
from keyhier.doctor import Severity
from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.placement import UNKNOWN
from keyhier.placement.model import AttachedDisk, System, VirtualMachine, Volumes
from tests.azure_disk import machines
from tests.placement import scenes

YES, NO = Verdict.YES, Verdict.NO
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
    return attrs.evolve(
        machines.LINUX, **{"system": system, "release": RELEASES[rules, system], **facts}
    )


def ask(rules: str, one: Machine, method: Method = Method.ADE) -> Answer:
    return check_eligibility(one, method, rules)


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


def told(answer: Answer) -> list[str]:
    assert not answer.open
    return [reason.id for reason in answer.reasons]


@pytest.mark.parametrize(("rules", "system", "facts", "obstacle"), TABLE)
def test_each_row_of_the_table_has_its_verdict(
    rules: str, system: System, facts: dict[str, Any], obstacle: str | None
) -> None:
    answer = ask(rules, machine(rules, system, **facts))
    assert told(answer) == ([] if obstacle is None else [obstacle])
    assert answer.verdict is (YES if obstacle is None else NO)


@pytest.mark.parametrize(("system", "facts"), SUPPORTED_2018)
def test_each_scenario_that_2018_supports_is_allowed(system: System, facts: dict[str, Any]) -> None:
    assert ask("2018", machine("2018", system, **facts)).verdict is YES


@pytest.mark.parametrize(("system", "facts", "obstacle"), UNSUPPORTED_2018)
def test_each_scenario_that_2018_does_not_support_is_refused(
    system: System, facts: dict[str, Any], obstacle: str
) -> None:
    assert told(ask("2018", machine("2018", system, **facts))) == [obstacle]


def test_all_obstacles_are_told_and_not_only_the_first() -> None:
    one = machine("2026", size="Basic_A1", ultra_disk=True, memory_gb=1)
    assert set(told(ask("2026", one))) == {
        "basic-tier",
        "a-series",
        "ultra-disk",
        "linux-memory-os",
    }


@pytest.mark.parametrize(
    ("method", "facts", "obstacle"),
    [
        (Method.CMK, {}, None),
        (Method.CMK, {"ade_ever": True}, "cmk-after-ade"),
        (Method.CMK, {"managed_disks": False}, "cmk-unmanaged"),
        (Method.HOST, {}, None),
        (Method.HOST, {"ade_ever": True}, "host-after-ade"),
        (Method.HOST, {"size_supports_host_encryption": False}, "host-size"),
        (Method.HOST, {"host_encryption_registered": False}, "host-feature"),
        (Method.HOST, {"size": "Standard_D4ds_v6", "generation": 2}, None),
    ],
)
def test_the_other_methods_have_obstacles_of_their_own(
    method: Method, facts: dict[str, Any], obstacle: str | None
) -> None:
    answer = ask("2026", machine("2026", **facts), method)
    assert told(answer) == ([] if obstacle is None else [obstacle])
    assert not answer.findings


@pytest.mark.parametrize("method", [Method.CMK, Method.HOST])
def test_2018_offered_one_method(method: Method) -> None:
    assert told(ask("2018", machine("2018"), method)) == ["not-offered"]


# What is not known


def test_nothing_known_is_nothing_told() -> None:
    for rules in shipped_eligibility_rules():
        answer = ask(rules, Machine())
        assert answer.verdict is Verdict.UNKNOWN
        assert {"size", "uses", "release"} - set(answer.missing) <= {"size"}
        assert not answer.reasons


def test_an_odd_size_is_unknown_and_no_error() -> None:
    answer = ask("2026", machine("2026", size="Enormous"))
    assert answer.verdict is Verdict.UNKNOWN
    assert set(answer.missing) == {"family", "tier", "version"}


@pytest.mark.parametrize(
    ("rules", "system", "facts"),
    [(rules, system, facts) for rules, system, facts, obstacle in TABLE if obstacle],
)
def test_making_a_fact_unknown_never_turns_no_into_yes(
    rules: str, system: System, facts: dict[str, Any]
) -> None:
    one = machine(rules, system, **facts)
    for field in attrs.fields(Machine):
        less = attrs.evolve(one, **{field.name: UNKNOWN})
        assert ask(rules, less).verdict is not YES


def test_volumes_that_are_unknown_leave_a_data_only_system_open() -> None:
    one = machine("2026", release="opensuse 42.3", volumes=UNKNOWN)
    assert "system-data-only" in {each.id for each in ask("2026", one).open}


def test_an_answer_is_told_as_json() -> None:
    content = ask("2026", machine("2026", size="Basic_A1", release=UNKNOWN)).as_dict()
    assert (content["verdict"], content["method"], content["rules"]) == ("no", "ade", "2026")
    assert content["reasons"][0]["source"].startswith("https://learn.microsoft.com/")
    assert content["open"][0]["missing"] == ["release"]
    assert content["findings"][0]["check"] == "ade-retirement"


# The retirement


@pytest.mark.parametrize("rules", shipped_eligibility_rules())
def test_every_plan_for_ade_carries_its_end(rules: str) -> None:
    (finding,) = ask(rules, machine(rules)).findings
    assert "2028-09-15" in finding.found
    assert finding.remedy
    assert "keep every KEK version" in finding.remedy


def test_the_end_is_a_warning_before_and_an_error_after() -> None:
    one = machine("2026")
    before = retirement_finding(one, today=RETIREMENT - dt.timedelta(days=1))
    assert before.severity is Severity.WARNING
    after = retirement_finding(one, today=RETIREMENT)
    assert after.severity is Severity.ERROR
    assert "ended" in after.found


def test_the_way_out_is_told_with_what_blocks_it() -> None:
    used = machine("2026", ade=True, ade_ever=True, os_encrypted=True)
    remedy = retirement_finding(used).remedy
    assert remedy
    assert "encryption-at-host is open to it; cmk is open to it" in remedy
    blocked = attrs.evolve(used, size_supports_host_encryption=False, managed_disks=UNKNOWN)
    remedy = retirement_finding(blocked).remedy
    assert remedy
    assert "encryption-at-host is not, because the size does not support" in remedy
    assert "cmk depends on managed_disks" in remedy


# Machines of documents


def test_a_machine_of_a_document_tells_what_it_can() -> None:
    one = Machine.of(
        attrs.evolve(
            scenes.VM,
            image=("Canonical", "0001-com-ubuntu-server-jammy", "22_04-lts-gen2"),
            disks=(
                AttachedDisk(id=None, is_os=True, set_id=None, managed=True, ephemeral=False),
                AttachedDisk(id=None, set_id=scenes.SET_ID, storage_type="UltraSSD_LRS"),
            ),
        )
    )
    assert (one.release, one.image, one.family) == ("ubuntu 22.04", Image.GALLERY, "D")
    assert (one.cmk, one.ultra_disk, one.premium_v2) == (True, True, UNKNOWN)
    assert (one.managed_disks, one.ade, one.ade_ever) == (UNKNOWN, False, False)
    assert one.scenario is UNKNOWN


def test_a_machine_of_which_nothing_is_known_is_unknown() -> None:
    one = Machine.of(VirtualMachine())
    known = {
        field.name for field in attrs.fields(Machine) if getattr(one, field.name) is not UNKNOWN
    }
    assert known == {"classic", "scale_set"}


def test_a_disk_of_its_own_may_be_under_a_set() -> None:
    assert Machine.of(scenes.VM).cmk is UNKNOWN


@pytest.mark.parametrize(
    ("image", "release"),
    [
        (("Canonical", "UbuntuServer", "18.04-LTS"), "ubuntu 18.04"),
        (("RedHat", "RHEL", "8_7"), "rhel 8.7"),
        (("RedHat", "RHEL", "87-gen2"), "rhel 8.7"),
        (("OpenLogic", "CentOS", "7.5"), "centos 7.5"),
        (("SUSE", "SLES", "12-SP4"), "sles 12-sp4"),
        (("SUSE", "openSUSE-Leap", "42.3"), "opensuse 42.3"),
        (("Oracle", "Oracle-Linux", "ol86-lvm-gen2"), "oracle-linux 8.6"),
        (("MicrosoftCBLMariner", "cbl-mariner", "cbl-mariner-2-gen2"), "cbl-mariner 2"),
        (("MicrosoftWindowsServer", "WindowsServer", "2008-R2-SP1"), "windows-server 2008-r2"),
        (("MicrosoftWindowsServer", "WindowsServer", "2022-datacenter"), "windows-server 2022"),
        (("MicrosoftWindowsDesktop", "Windows-11", "win11-22h2-pro"), "windows-client 11"),
        (("Debian", "debian-12", "12"), UNKNOWN),
    ],
)
def test_images_of_the_gallery_tell_their_release(
    image: tuple[str, str, str], release: object
) -> None:
    assert release_of_image(*image) == release


@pytest.mark.parametrize(
    ("name", "family", "features", "version"),
    [
        ("Standard_D2s_v3", "D", "s", 3),
        ("standard_a2m_v2", "A", "m", 2),
        ("Standard_E96-24ads_v5", "E", "ads", 5),
        ("Standard_NC24ads_A100_v4", "NC", "ads", 4),
        ("Standard_DS2_v2", "DS", "", 2),
        ("Standard_M128ms", "M", "ms", 1),
    ],
)
def test_sizes_are_taken_apart(name: str, family: str, features: str, version: int) -> None:
    size = VmSize.parse(name)
    assert size == VmSize("standard", family, features, version)
    assert size.local_disk == ("d" in features)


@given(st.text())
def test_any_text_is_a_size_or_none(name: str) -> None:
    VmSize.parse(name)


# The data


@pytest.mark.parametrize("name", shipped_eligibility_rules())
def test_every_obstacle_has_a_page_and_a_date(name: str) -> None:
    rules = eligibility_rules(name)
    assert rules.title
    said = [(each.source, each.date) for each in rules.obstacles]
    said += [(each.source, each.date) for each in rules.supported]
    for source, date in said:
        assert source.startswith(("https://learn.microsoft.com/", "https://github.com/"))
        assert date.year <= int(name)


def test_every_obstacle_of_ade_is_met_by_some_machine() -> None:
    """What no machine can meet is dead data."""
    met: dict[str, set[str]] = {name: set() for name in shipped_eligibility_rules()}
    variants: list[dict[str, Any]] = [
        *({"uses": frozenset({each})} for each in Technology),
        {"classic": True},
        {"image": Image.CUSTOM},
        {"scale_set": True},
        {"scenario": DISABLE},
        {"scenario": DISABLE, "volumes": Volumes.DATA, "os_encrypted": True},
        {"volumes": Volumes.DATA, "memory_gb": 1},
        {"memory_gb": 1, "root_usage_gb": 16},
        {"size": "Basic_A1"},
        {"size": "Standard_L8s_v2"},
        *({name: value} for name in BOOLEANS for value in (True, False)),
    ]
    rows = [(rules, system, facts) for rules, system, facts, _ in TABLE]
    rows += [("2018", system, facts) for system, facts, _ in UNSUPPORTED_2018]
    rows += [(rules, system, facts) for rules in met for system in System for facts in variants]
    for rules, system, facts in rows:
        met[rules] |= {each.id for each in ask(rules, machine(rules, system, **facts)).reasons}
    for name, found in met.items():
        obstacles = {
            each.id for each in eligibility_rules(name).obstacles if Method.ADE in each.methods
        }
        assert obstacles <= found


BOOLEANS = [
    *("ephemeral_os_disk", "ultra_disk", "premium_v2", "write_accelerator", "host_encryption"),
    *("cmk", "enforces_tpm", "allows_256_bit_recovery_key", "blocks_aes_cbc", "mbam"),
    *("reaches_entra", "reaches_vault", "reaches_storage", "nvme"),
]

OBSTACLE = """
title = "Ours"

[[obstacle]]
id = "small"
methods = ["ade"]
when = { memory_gb = { at_least = 1, below = 4 }, generation = [1, 2], scale_set = false }
text = "it is too small"
source = "https://intranet.example/"
date = 2026-01-02
"""


def test_a_file_of_ones_own_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(OBSTACLE)
    rules = read_eligibility_rules(path)
    assert told(check_eligibility(machine("2026", memory_gb=2), Method.ADE, rules)) == ["small"]
    for memory in (0.5, 4):
        assert not told(check_eligibility(machine("2026", memory_gb=memory), Method.ADE, rules))


@pytest.mark.parametrize(
    ("old", "new", "wanted"),
    [
        ("memory_gb =", "memory =", r"ours.toml:7: when asks the unknown fact 'memory'"),
        ("{ at_least = 1, below = 4 }", "{ above = 4 }", r"ours.toml:7: memory_gb is asked for"),
        ("{ at_least = 1, below = 4 }", "[]", r"memory_gb is asked for a value"),
        ('"ade"', '"bitlocker"', r"ours.toml:6: methods is one of ade, cmk"),
        ("https:", "http:", r"ours.toml:4: .*names no page as its source"),
        ("text =", "reason =", r"ours.toml:8: unknown field 'reason'"),
        ("when = {", "when = 3 #", r"ours.toml:7: when is a table of facts"),
        ('title = "Ours"', 'title = "Ours"\nname = "x"', r"ours.toml:3: unknown field 'name'"),
    ],
)
def test_a_mistake_is_refused_with_its_line(
    tmp_path: Path, old: str, new: str, wanted: str
) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(OBSTACLE.replace(old, new))
    with pytest.raises(InvalidInputError, match=wanted):
        read_eligibility_rules(path)


def test_an_obstacle_stands_once_and_flags_are_flags(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(OBSTACLE + OBSTACLE.partition("\n\n")[2])
    with pytest.raises(InvalidInputError, match="stands there twice"):
        read_eligibility_rules(path)
    support = '[[support]]\ndistribution = "x"\nreleases = ["1"]\ndata_only = 1\n'
    path.write_text('title = "Ours"\n' + support)
    with pytest.raises(InvalidInputError, match=r"ours.toml:5: data_only is true or false"):
        read_eligibility_rules(path)


def test_rules_that_are_not_there_are_an_error() -> None:
    with pytest.raises(NotFoundError, match="there are 2018, 2023, 2026"):
        eligibility_rules("1999")


def test_facts_are_all_there() -> None:
    one = machine("2026")
    assert all(hasattr(one, fact) for fact in FACTS)
