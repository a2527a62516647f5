"""Plans for Azure Disk Encryption: every scenario, and what refuses it."""

from __future__ import annotations

import datetime as dt
import shlex
from typing import Any

import attrs
import pytest

from keyhier.algorithms import KeySpec
from keyhier.azure_disk.settings import Application, Operation
from keyhier.doctor import Severity
from keyhier.errors import (
    AmbiguousError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    PlacementError,
)
from keyhier.placement.model import Volumes
from keyhier.plans import AdeRequest, Doer, Phase, Plan, plan_ade
from keyhier.plans.plan import Step
from tests.plans.scenes import (
    DISK_ID,
    FACTS,
    HOST,
    VM_ID,
    ade,
    disk,
    documents,
    extension,
    key_of,
    machine,
    vault,
)


def step(plan: Plan, phase: Phase, name: str) -> Step:
    (found,) = (each for each in plan.steps_of(phase) if each.name == name)
    return found


def settings_of(plan: Plan) -> dict[str, str]:
    resource = step(plan, Phase.DEPLOY, "extension").resource
    assert resource is not None
    return dict(resource["properties"]["settings"])


SCENARIOS: dict[str, AdeRequest] = {
    "new": ade("enable-new", machine(), vault()),
    "existing": ade("enable-existing", machine(), disk(), vault()),
    "windows": ade("enable-existing", machine("Windows"), disk(), vault()),
    "own-vhd": ade("enable-own-vhd", machine(createOption="Attach"), disk(), vault()),
    "disable": ade(
        "disable",
        machine("Windows"),
        disk(),
        extension("Windows"),
        vault(),
        kek=False,
    ),
    "disable-linux-data": ade(
        "disable", machine(), disk(), extension(VolumeType="Data"), vault(), kek=False
    ),
    "update": ade("update", machine(), disk(), extension(), vault()),
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_has_a_plan_that_nothing_speaks_against(name: str) -> None:
    plan = plan_ade(SCENARIOS[name])
    plan.raise_for_errors()
    assert {each.phase for each in plan.steps} >= {
        Phase.CHECK,
        Phase.KEYS,
        Phase.DEPLOY,
        Phase.VERIFY,
        Phase.UNDO,
    }
    assert plan.subject == "VM web-01"
    # Steps of a phase can be told apart, and each says what it does.
    assert len({(each.phase, each.name) for each in plan.steps}) == len(plan.steps)
    assert all(each.text for each in plan.steps)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_end_of_ade_is_on_every_plan(name: str) -> None:
    (found,) = (e for e in plan_ade(SCENARIOS[name]).findings if e.check == "ade-retirement")
    assert "2028-09-15" in found.found
    assert found.severity is Severity.WARNING
    over = attrs.evolve(SCENARIOS[name], today=dt.date(2028, 9, 15))
    with pytest.raises(InvalidStateError, match="ended on 2028-09-15"):
        plan_ade(over).raise_for_errors()


def test_the_way_out_and_what_blocks_it_are_on_the_plan() -> None:
    def remedy(**known: Any) -> str:
        plan = plan_ade(attrs.evolve(SCENARIOS["existing"], facts={**FACTS, **known}))
        (found,) = (each for each in plan.findings if each.check == "ade-retirement")
        return str(found.remedy)

    free = remedy(
        size_supports_host_encryption=True, host_encryption_registered=True, managed_disks=True
    )
    assert "encryption-at-host is open to it; cmk is open to it" in free
    blocked = remedy(size_supports_host_encryption=False, managed_disks=False)
    assert "encryption-at-host is not, because the size does not support" in blocked
    assert "cmk is not, because only managed disks" in blocked
    assert "encryption-at-host depends on" in remedy()


@pytest.mark.parametrize("name", SCENARIOS)
def test_planning_again_says_the_same(name: str) -> None:
    assert plan_ade(SCENARIOS[name]) == plan_ade(SCENARIOS[name])


def test_enabling_makes_a_kek_and_deploys_the_extension() -> None:
    plan = plan_ade(SCENARIOS["existing"])
    assert step(plan, Phase.KEYS, "kek").doer is Doer.KEYHIER
    assert step(plan, Phase.KEYS, "secret").doer is Doer.AZURE
    told = step(plan, Phase.DEPLOY, "extension")
    assert told.command is not None
    assert told.command.startswith("az vm encryption enable ")
    assert f"https://{HOST}/keys/disk-kek/VERSION" in told.command
    snapshot = step(plan, Phase.DEPLOY, "snapshot-web-01-os").command or ""
    assert snapshot.endswith(" --location eastus2")
    names = [each["type"] for each in plan.planned]
    assert names[-1] == "Microsoft.Compute/virtualMachines/extensions"


def test_a_known_version_of_the_kek_is_used_as_it_is() -> None:
    found = documents(machine(), disk(), vault())
    kek = key_of(found, version="f" * 32)
    plan = plan_ade(AdeRequest(scenario="enable-existing", documents=found, kek=kek, facts=FACTS))
    assert step(plan, Phase.KEYS, "kek").command is None
    assert settings_of(plan)["KeyEncryptionKeyURL"] == f"https://{HOST}/keys/disk-kek/{'f' * 32}"
    assert "VERSION" not in (step(plan, Phase.DEPLOY, "extension").command or "")


def test_a_new_machine_needs_no_snapshot_before() -> None:
    plan = plan_ade(SCENARIOS["new"])
    assert [each.name for each in plan.steps_of(Phase.DEPLOY)] == ["extension"]


def test_without_a_kek_it_is_told() -> None:
    plan = plan_ade(ade("enable-existing", machine(), disk(), vault(), kek=False))
    assert "no-kek" in {each.check for each in plan.findings}
    assert "wrapped" not in step(plan, Phase.KEYS, "secret").text
    plan.raise_for_errors()


def test_windows_can_be_undone_and_the_os_volume_of_linux_cannot() -> None:
    windows = plan_ade(SCENARIOS["windows"])
    command = step(windows, Phase.UNDO, "disable").command
    assert command is not None
    assert command.startswith("az vm encryption disable ")
    assert step(plan_ade(SCENARIOS["existing"]), Phase.UNDO, "restore").command is None
    data = plan_ade(ade("enable-existing", machine(), disk(), vault(), volumes=Volumes.DATA))
    assert step(data, Phase.UNDO, "disable").command is not None


def test_a_disk_of_ones_own_comes_with_its_secret() -> None:
    plan = plan_ade(SCENARIOS["own-vhd"])
    assert step(plan, Phase.KEYS, "secret").doer is Doer.KEYHIER
    resource = step(plan, Phase.DEPLOY, "disk").resource
    assert resource is not None
    assert resource["properties"]["osType"] == "Linux"
    collection = resource["properties"]["encryptionSettingsCollection"]
    assert collection["enabled"] is True
    created = shlex.split(step(plan, Phase.DEPLOY, "machine").command or "")
    assert created[:3] == ["az", "vm", "create"]
    options = dict(zip(created[3::2], created[4::2], strict=True))
    assert options["--attach-os-disk"] == DISK_ID
    assert options["--os-type"] == "Linux"
    assert options["--size"] == "Standard_D4s_v5"
    (own,) = (each for each in plan.planned if each["id"] == DISK_ID)
    assert own["properties"]["encryptionSettingsCollection"] == collection
    assert "az keyvault update" not in str(step(plan, Phase.ACCESS, "vault").command)


def test_a_machine_of_a_disk_of_ones_own_is_made_of_what_is_known() -> None:
    bare = machine(createOption="Attach")
    del bare["location"], bare["properties"]["hardwareProfile"]["vmSize"]
    command = step(plan_ade(ade("enable-own-vhd", bare, disk(), vault())), Phase.DEPLOY, "machine")
    assert "--size" not in (command.command or "")
    assert "--location" not in (command.command or "")
    del bare["properties"]["storageProfile"]["osDisk"]["osType"]
    plan = plan_ade(ade("enable-own-vhd", bare, disk(), vault()))
    assert step(plan, Phase.DEPLOY, "machine").command is None
    assert "osType" not in (step(plan, Phase.DEPLOY, "disk").resource or {})["properties"]


def test_a_disk_of_ones_own_needs_an_id_and_a_vault_for_deployment() -> None:
    without = machine(createOption="Attach", managedDisk=None)
    with pytest.raises(InvalidInputError, match="OS disk of VM web-01 has no id"):
        plan_ade(ade("enable-own-vhd", without, disk(), vault()))
    closed = vault(enabledForDeployment=False)
    plan = plan_ade(ade("enable-own-vhd", machine(), disk(), closed))
    with pytest.raises(InvalidStateError, match="not enabled for deployment"):
        plan.raise_for_errors()
    assert "--enabled-for-deployment" in (step(plan, Phase.ACCESS, "vault").command or "")


def test_disabling_makes_no_key_and_keeps_all() -> None:
    plan = plan_ade(SCENARIOS["disable"])
    assert [each.name for each in plan.steps_of(Phase.KEYS)] == ["keep"]
    assert settings_of(plan)["EncryptionOperation"] == Operation.DISABLE
    # Disks that are decrypted on purpose are told of and stop nothing.
    assert "vm-unencrypted" in {each.rule.id for each in plan.placement.violations}
    linux = plan_ade(SCENARIOS["disable-linux-data"])
    assert settings_of(linux)["VolumeType"] == Volumes.DATA


def test_updating_keeps_the_volumes_and_can_go_back() -> None:
    plan = plan_ade(SCENARIOS["update"])
    assert settings_of(plan)["EncryptionOperation"] == Operation.UPDATE
    assert settings_of(plan)["VolumeType"] == Volumes.ALL
    back = step(plan, Phase.UNDO, "update").command
    assert back is not None
    assert "0123456789abcdef0123456789abcdef" in back
    (own,) = (e for e in plan.planned if e["type"].endswith("/extensions"))
    assert own["properties"]["settings"]["EncryptionOperation"] == "UpdateEncryptionSettings"


def test_updating_what_was_disabled_is_refused_and_has_nothing_to_go_back_to() -> None:
    off = extension()
    off["properties"]["settings"] = {
        "EncryptionOperation": "DisableEncryption",
        "VolumeType": "Data",
    }
    plan = plan_ade(ade("update", machine(), disk(), off, vault()))
    assert step(plan, Phase.UNDO, "update").command is None
    with pytest.raises(InvalidStateError, match="no settings to update"):
        plan.raise_for_errors()


REFUSED: dict[str, tuple[AdeRequest, type[Exception], str]] = {
    "vault in another region": (
        ade("enable-existing", machine(), disk(), vault("westus")),
        PlacementError,
        "ade-vault-region",
    ),
    "vault not enabled": (
        ade("enable-existing", machine(), disk(), vault(enabledForDiskEncryption=False)),
        PlacementError,
        "ade-vault-enabled",
    ),
    "no memory": (
        ade("enable-existing", machine(), disk(), vault(), facts={**FACTS, "memory_gb": 4}),
        InvalidStateError,
        "eligibility-linux-memory-os",
    ),
    "encrypted by a set": (
        ade("enable-existing", machine(), disk(), vault(), facts={**FACTS, "cmk": True}),
        InvalidStateError,
        "settings",
    ),
    "nothing to disable": (
        ade("disable", machine("Windows"), disk(), vault(), kek=False),
        InvalidStateError,
        "nothing to disable",
    ),
    "Linux OS volume": (
        ade("disable", machine(), extension(), vault(), kek=False, volumes=Volumes.ALL),
        InvalidStateError,
        "Linux OS volume cannot be disabled",
    ),
    "nothing to update": (
        ade("update", machine(), disk(), vault()),
        InvalidStateError,
        "no settings to update",
    ),
    "Windows data alone": (
        ade("enable-existing", machine("Windows"), disk(), vault(), volumes=Volumes.DATA),
        InvalidStateError,
        "without the OS volume",
    ),
    "small KEK on Windows Server 2022": (
        attrs.evolve(
            SCENARIOS["windows"],
            kek=attrs.evolve(key_of(documents(vault())), spec=KeySpec.RSA_2048),
        ),
        InvalidStateError,
        "2,048|2048",
    ),
    "roles and an application": (
        ade(
            "enable-existing",
            machine(),
            disk(),
            vault(),
            application=Application("client", thumbprint="AB"),
        ),
        InvalidStateError,
        "vault-access-ade-with-application",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_speaks_against_a_plan_refuses_it(name: str) -> None:
    request, error, told = REFUSED[name]
    plan = plan_ade(request)
    assert plan.worst is Severity.ERROR
    with pytest.raises(error, match=told):
        plan.raise_for_errors()


def test_promise_10_a_refusal_names_every_violation() -> None:
    far = vault("westus")
    far["id"] = far["id"].replace("1111-1111", "2222-2222")
    with pytest.raises(PlacementError) as refused:
        plan_ade(ade("enable-existing", machine(), disk(), far)).raise_for_errors()
    for rule in ("ade-vault", "kek-vault"):
        assert f"{rule}-region" in refused.value.message
        assert f"{rule}-subscription" in refused.value.message


def test_an_application_is_granted_what_it_needs() -> None:
    request = ade(
        "enable-existing",
        machine(),
        disk(),
        vault(enableRbacAuthorization=False),
        application=Application("client", thumbprint="AB"),
    )
    plan = plan_ade(request)
    plan.raise_for_errors()
    command = step(plan, Phase.ACCESS, "grant").command
    assert command is not None
    assert "--key-permissions wrapKey --secret-permissions set --object-id" in command
    assert "$(az ad sp show --id client " in command


def test_a_kek_in_a_vault_of_its_own_is_looked_at_too() -> None:
    other = vault(host="contoso-kek.vault.azure.net", enabledForDiskEncryption=None)
    found = documents(machine(), disk(), vault(), other)
    from_other = key_of(documents(other))
    request = AdeRequest(
        scenario="enable-existing",
        documents=found,
        key_vault="contoso-kv",
        kek=from_other,
        facts=FACTS,
    )
    plan = plan_ade(request)
    assert step(plan, Phase.ACCESS, "kek-vault").command
    assert "--kek-vault" in (step(plan, Phase.VERIFY, "secrets").command or "")


def test_what_nobody_tells_is_not_checked_and_told() -> None:
    plan = plan_ade(ade("enable-existing", machine(), disk(), vault(), facts={}))
    assert "eligibility-unknown" in {each.check for each in plan.findings}
    assert plan.worst is Severity.WARNING
    plan.raise_for_errors()
    # An update that names only what it changes leaves open what is encrypted now.
    part = {**machine(), "properties": {}}
    plan = plan_ade(ade("enable-existing", part, vault(), facts={**FACTS, "system": "linux"}))
    assert "transition" in {each.check for each in plan.findings}


def test_where_the_system_is_unknown_no_settings_are_made() -> None:
    unknown: dict[str, Any] = {**machine(), "properties": {}}
    plan = plan_ade(ade("enable-existing", unknown, vault()))
    with pytest.raises(InvalidStateError, match="Windows or Linux"):
        plan.raise_for_errors()
    assert "extension" not in {each.name for each in plan.steps}


def test_one_machine_and_one_vault_are_meant() -> None:
    other = {**machine(), "id": VM_ID.replace("web-01", "web-02"), "name": "web-02"}
    with pytest.raises(AmbiguousError):
        plan_ade(ade("enable-new", machine(), other, vault()))
    assert plan_ade(ade("enable-new", machine(), other, vault(), machine="WEB-02")).subject == (
        "VM web-02"
    )
    by_id = ade("enable-new", machine(), other, vault(), machine=VM_ID.upper())
    assert plan_ade(by_id).subject == "VM web-01"
    with pytest.raises(NotFoundError, match="no VM"):
        plan_ade(ade("enable-new", vault()))
    with pytest.raises(NotFoundError, match="no vault called 'mine'"):
        plan_ade(ade("enable-new", machine(), vault(), key_vault="mine"))


@pytest.mark.parametrize("instance", [False, True])
def test_there_is_no_plan_for_a_scale_set(instance: bool) -> None:
    scale_set = VM_ID.replace("virtualMachines", "virtualMachineScaleSets")
    found = machine()
    kind = "Microsoft.Compute/virtualMachineScaleSets"
    if instance:
        found |= {"id": f"{scale_set}/virtualMachines/0", "type": f"{kind}/virtualMachines"}
    else:
        profile = {"virtualMachineProfile": found["properties"]}
        found |= {"id": scale_set, "type": kind, "properties": profile}
    with pytest.raises(InvalidInputError, match="a scale set or a machine of one") as refused:
        plan_ade(ade("enable-existing", found, vault()))
    assert "az vmss encryption" in (refused.value.remedy or "")


@pytest.mark.parametrize("scenario", ["back-up", "restore"])
def test_there_is_no_plan_for_backups(scenario: str) -> None:
    with pytest.raises(InvalidInputError, match="there are plans for"):
        ade(scenario, machine(), vault())
