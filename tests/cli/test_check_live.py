"""`keyhier check --live` against a resource manager and a key vault on loopback."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from keyhier.testing.arm import ResourceManager
from keyhier.testing.keyvault import KeyVault
from keyhier_azure.transport import MAX_BYTES
from tests.azure.environment import logged_in
from tests.cli.conftest import Run

GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers"
SET = f"{GROUP}/Microsoft.Compute/diskEncryptionSets/des"
VAULT = f"{GROUP}/Microsoft.KeyVault/vaults/contoso-kv"
KEY = "https://contoso-kv.vault.azure.net/keys/cmk/0123456789abcdef0123456789abcdef"


def machine(name: str) -> dict[str, Any]:
    return {
        "id": f"{GROUP}/Microsoft.Compute/virtualMachines/{name}",
        "name": name,
        "type": "Microsoft.Compute/virtualMachines",
        "location": "westeurope",
        "properties": {
            "vmId": "55555555-5555-5555-5555-555555555555",
            "hardwareProfile": {"vmSize": "Standard_D4s_v5"},
            "storageProfile": {
                "osDisk": {
                    "name": f"{name}-os",
                    "osType": "Linux",
                    "createOption": "FromImage",
                    "managedDisk": {"id": f"{GROUP}/Microsoft.Compute/disks/{name}-os"},
                },
                "dataDisks": [],
            },
        },
    }


def disk(name: str) -> dict[str, Any]:
    return {
        "id": f"{GROUP}/Microsoft.Compute/disks/{name}",
        "name": name,
        "type": "Microsoft.Compute/disks",
        "location": "westeurope",
        "properties": {
            "creationData": {"createOption": "Empty"},
            "encryption": {
                "type": "EncryptionAtRestWithCustomerKey",
                "diskEncryptionSetId": SET,
            },
        },
    }


def encryption_set() -> dict[str, Any]:
    return {
        "id": SET,
        "name": "des",
        "type": "Microsoft.Compute/diskEncryptionSets",
        "location": "westeurope",
        "identity": {"type": "SystemAssigned"},
        "properties": {
            "encryptionType": "EncryptionAtRestWithCustomerKey",
            "activeKey": {"keyUrl": KEY, "sourceVault": {"id": VAULT}},
        },
    }


def vault(region: str = "westeurope") -> dict[str, Any]:
    return {
        "id": VAULT,
        "name": "contoso-kv",
        "type": "Microsoft.KeyVault/vaults",
        "location": region,
        "properties": {
            "tenantId": "33333333-3333-3333-3333-333333333333",
            "vaultUri": "https://contoso-kv.vault.azure.net/",
            "enablePurgeProtection": True,
        },
    }


@pytest.fixture
def manager() -> Iterator[ResourceManager]:
    with KeyVault() as key_vault, ResourceManager(key_vault, page=7) as running:
        running.put(machine("web-01"), disk("web-01-os"), encryption_set(), vault())
        with logged_in(key_vault):
            yield running


def live(run: Run, manager: ResourceManager, *ids: str) -> tuple[int, dict[str, Any]]:
    result = run("check", "--live", "--endpoint", manager.endpoint, "--json", *ids)
    return result.exit_code, json.loads(result.stdout) if result.stdout else {}


def test_what_a_machine_names_is_fetched_and_checked(run: Run, manager: ResourceManager) -> None:
    code, report = live(run, manager, machine("web-01")["id"])
    assert report["violations"] == []
    assert report["kept"]["cmk-vault-region"] == 1
    assert report["kept"]["set-disk-region"] == 1
    assert code == 20
    assert len(manager.asked) == 4


def test_a_vault_in_another_region_is_an_error(run: Run, manager: ResourceManager) -> None:
    manager.put(vault("northeurope"))
    code, report = live(run, manager, machine("web-01")["id"])
    assert [each["rule"] for each in report["violations"]] == ["cmk-vault-region"]
    assert code == 21


def test_live_resources_are_held_to_the_placement_of_the_profile(
    run: Run, manager: ResourceManager, configuration: Path
) -> None:
    changed = vault()
    changed["id"] = VAULT.replace("1111-1111", "2222-2222")
    manager.put(changed)
    found = encryption_set()
    del found["properties"]["activeKey"]["sourceVault"]
    manager.put(found)
    strict = live(run, manager, SET, changed["id"])[1]
    assert [each["rule"] for each in strict["violations"]] == ["cmk-vault-subscription"]
    configuration.write_text(
        'default = "lab"\n[profiles.lab]\nvault = "memory:"\n'
        '[profiles.lab.placement]\nrules = "today"\n'
    )
    configuration.chmod(0o600)
    assert live(run, manager, SET, changed["id"])[1]["violations"] == []
    again = live(run, manager, SET, changed["id"], "--rules", "strict")[1]
    assert [each["rule"] for each in again["violations"]] == ["cmk-vault-subscription"]
    manager.forbid(changed["id"])
    configuration.write_text(
        configuration.read_text()
        + '[profiles.lab.placement.vaults."contoso-kv.vault.azure.net"]\nregion = "northeurope"\n'
    )
    broken = {each["rule"] for each in live(run, manager, SET, changed["id"])[1]["violations"]}
    assert "cmk-vault-region" in broken


def test_what_may_not_be_read_is_told_and_the_rest_is_checked(
    run: Run, manager: ResourceManager
) -> None:
    manager.forbid(SET)
    code, report = live(run, manager, machine("web-01")["id"], disk("lost")["id"])
    found = told(report)
    assert "403 AuthorizationFailed" in found[SET]
    assert "404 ResourceNotFound" in found[disk("lost")["id"]]
    assert code == 20


def test_many_are_asked_for_in_one_query_page_by_page(run: Run, manager: ResourceManager) -> None:
    names = [f"web-{number:02}" for number in range(20)]
    manager.put(*(machine(name) for name in names), *(disk(f"{name}-os") for name in names))
    missing = machine("nowhere")["id"]
    _, report = live(run, manager, *(machine(name)["id"] for name in names), missing)
    assert report["kept"]["set-disk-region"] == 20
    assert [each["origin"]["file"] for each in report["violations"]] == [missing]
    assert sum(each.startswith("POST") for each in manager.asked) == 6


def test_a_list_that_does_not_end_is_an_error(run: Run, manager: ResourceManager) -> None:
    manager.page = 0
    names = [f"web-{number:02}" for number in range(20)]
    manager.put(*(machine(name) for name in names))
    ids = [machine(name)["id"] for name in names]
    done = run("check", "--live", "--endpoint", manager.endpoint, *ids)
    assert done.exit_code == 16, done.stderr
    assert "does not end" in done.stderr


def test_an_answer_without_an_end_is_an_error(run: Run, manager: ResourceManager) -> None:
    manager.put({**encryption_set(), "tags": {"padding": "x" * MAX_BYTES}})
    done = run("check", "--live", "--endpoint", manager.endpoint, SET)
    assert done.exit_code == 14, done.stderr
    assert f"more than {MAX_BYTES} bytes" in done.stderr


def test_a_vault_that_may_not_be_read_tells_its_region_itself(run: Run) -> None:
    with (
        KeyVault(region="northeurope") as key_vault,
        ResourceManager(key_vault) as manager,
        logged_in(key_vault),
    ):
        changed = encryption_set()
        version = "0123456789abcdef0123456789abcdef"
        changed["properties"]["activeKey"] = {"keyUrl": f"{key_vault.url}/keys/cmk/{version}"}
        manager.put(changed)
        _, report = live(run, manager, SET)
        assert "cmk-vault-region" in {each["rule"] for each in report["violations"]}


# ---------------------------------------------------------------------- scale sets

SCALE_SET = f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets/web"
INSTANCES = f"{SCALE_SET}/virtualMachines"
UNIQUE = "55555555-5555-5555-5555-555555555555"


def scale_set(mode: str = "Uniform") -> dict[str, Any]:
    os_disk = {
        "osType": "Linux",
        "createOption": "FromImage",
        "managedDisk": {"diskEncryptionSet": {"id": SET}},
    }
    return {
        "id": SCALE_SET,
        "name": "web",
        "type": "Microsoft.Compute/virtualMachineScaleSets",
        "location": "westeurope",
        "sku": {"name": "Standard_D4s_v5", "capacity": 2},
        "properties": {
            "uniqueId": UNIQUE,
            "orchestrationMode": mode,
            "virtualMachineProfile": {"storageProfile": {"osDisk": os_disk, "dataDisks": []}},
        },
    }


def instance(number: int, state: str = "notEncrypted") -> dict[str, Any]:
    """An instance, whose disk is the one of the same number."""
    name = f"web-{number:03}"
    view = {"disks": [{"name": name, "statuses": [{"code": f"EncryptionState/{state}"}]}]}
    return {
        "id": f"{INSTANCES}/{number:03}",
        "name": f"web_{number:03}",
        "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
        "location": "westeurope",
        "sku": {"name": "Standard_D4s_v5"},
        "properties": {
            "vmId": UNIQUE,
            "latestModelApplied": True,
            "instanceView": view,
            "hardwareProfile": {},
            "storageProfile": {
                "osDisk": {
                    "name": name,
                    "osType": "Linux",
                    "createOption": "FromImage",
                    "managedDisk": {"id": disk(name)["id"]},
                },
                "dataDisks": [],
            },
        },
    }


def filled(manager: ResourceManager, count: int, mode: str = "Uniform") -> None:
    """Put a scale set there, with so many instances and their disks."""
    manager.put(scale_set(mode))
    for number in range(count):
        manager.put(instance(number), disk(f"web-{number:03}"))


def told(report: dict[str, Any]) -> dict[str, str]:
    """Return what a report says first of each place where something is wrong."""
    return {each["origin"]["file"]: each["compared"][0]["value"] for each in report["violations"]}


def test_the_instances_of_a_scale_set_and_their_disks_are_fetched_page_by_page(
    run: Run, manager: ResourceManager
) -> None:
    filled(manager, 20)
    code, report = live(run, manager, SCALE_SET)
    assert (code, report["violations"]) == (20, [])
    assert sum(each == f"GET {INSTANCES}" for each in manager.asked) == 3
    # The model has a disk, too, that stands for those of its instances.
    assert report["kept"]["set-disk-region"] == 21


def test_what_is_wrong_with_one_instance_alone_is_found(run: Run, manager: ResourceManager) -> None:
    filled(manager, 9)
    other = disk("web-008")
    del other["properties"]["encryption"]
    # An instance view alone tells that Azure Disk Encryption is on.
    manager.put(instance(7, "encrypted"), other)
    _, report = live(run, manager, SCALE_SET)
    broken = {each["rule"]: each["subject"] for each in report["violations"]}
    assert broken["disk-ade-and-cmk"] == "disk web-007 of VM 007"
    assert "008" in broken["vm-unencrypted"]


def test_instances_are_fetched_of_scale_sets_that_one_query_found(
    run: Run, manager: ResourceManager
) -> None:
    names = [f"alone-{number}" for number in range(9)]
    manager.put(*(machine(name) for name in names), *(disk(f"{name}-os") for name in names))
    filled(manager, 2)
    _, report = live(run, manager, SCALE_SET, *(machine(name)["id"] for name in names))
    assert report["kept"]["set-disk-region"] == 9 + 1 + 2


@pytest.mark.parametrize("at", ["the first page", "a later page"])
def test_instances_that_may_not_be_read_are_told_and_the_rest_is_checked(
    run: Run, manager: ResourceManager, at: str
) -> None:
    filled(manager, 9)
    if at == "a later page":
        manager.next_link = f"{manager.url}{GROUP}/Microsoft.Compute/lost?api-version=1"
        what = "404 ResourceNotFound"
    else:
        manager.forbid(INSTANCES)
        what = "403 AuthorizationFailed"
    code, report = live(run, manager, SCALE_SET)
    assert code == 20
    assert what in told(report)[INSTANCES]
    assert report["kept"]["cmk-vault-region"] == 1


def test_machines_of_a_flexible_scale_set_are_told_to_be_named_themselves(
    run: Run, manager: ResourceManager
) -> None:
    filled(manager, 2, "Flexible")
    _, report = live(run, manager, SCALE_SET)
    assert "ids of their own" in told(report)[INSTANCES]
    assert f"GET {INSTANCES}" not in manager.asked


@pytest.mark.parametrize(
    "link",
    [
        "https://example.org/{path}",
        "https://example.org:{port}/{path}",
        "https://127.0.0.1:1/{path}",
        "http://{host}/{path}",
        "https://{host}@example.org/{path}",
        "https://[/{path}",
        "https://{host}:x/{path}",
        "/{path}",
    ],
)
def test_no_list_of_instances_leads_to_another_host(
    run: Run, manager: ResourceManager, link: str
) -> None:
    filled(manager, 9)
    host = manager.url.removeprefix("https://")
    port = host.rpartition(":")[2]
    manager.next_link = link.format(host=host, port=port, path=INSTANCES)
    done = run("check", "--live", "--endpoint", manager.endpoint, SCALE_SET)
    assert done.exit_code == 16, done.output
    assert "leads elsewhere" in done.stderr


@pytest.mark.parametrize("id_", [None, 7])
def test_an_instance_that_nobody_can_name_is_not_left_out_in_silence(
    run: Run, manager: ResourceManager, id_: object
) -> None:
    filled(manager, 2)
    nameless = instance(1)
    manager.put(nameless)
    nameless["id"] = id_
    done = run("check", "--live", "--endpoint", manager.endpoint, SCALE_SET)
    assert done.exit_code == 16, done.output
    assert "cannot be used" in done.stderr


def test_a_list_of_instances_that_does_not_end_is_an_error(
    run: Run, manager: ResourceManager
) -> None:
    filled(manager, 9)
    manager.next_link = f"{manager.url}{INSTANCES}?api-version=1"
    done = run("check", "--live", "--endpoint", manager.endpoint, SCALE_SET)
    assert done.exit_code == 16, done.output
    assert "does not end" in done.stderr


def test_a_list_has_no_more_pages_than_a_scale_set_has_instances(
    run: Run, manager: ResourceManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(manager, 3)
    manager.page = 1
    monkeypatch.setattr("keyhier_azure.arm._MOST_INSTANCES", 2)
    done = run("check", "--live", "--endpoint", manager.endpoint, SCALE_SET)
    assert done.exit_code == 16, done.output
    assert "does not end" in done.stderr


@pytest.mark.parametrize("status", [500, 429])
def test_a_failure_that_passes_is_waited_for(
    run: Run, manager: ResourceManager, status: int
) -> None:
    manager.failing = [status]
    code, _ = live(run, manager, SET)
    assert code == 20


def test_a_manager_that_refuses_the_token_is_an_error(run: Run, manager: ResourceManager) -> None:
    manager.failing = [401] * 9
    result = run("check", "--live", "--endpoint", manager.endpoint, SET)
    assert result.exit_code == 7
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    "text",
    [
        "web-01",
        "/subscriptions/x/resourceGroups/y/providers/Microsoft.Compute/virtualMachines",
        "/subscriptions/x/resourceGroups/y/providers/Microsoft.Web/sites/z",
        "/subscriptions/x/resourceGroups/y'/providers/Microsoft.Compute/disks/z",
    ],
)
def test_what_is_no_id_is_refused_before_anything_is_sent(
    run: Run, manager: ResourceManager, text: str
) -> None:
    result = run("check", "--live", "--endpoint", manager.endpoint, text)
    assert result.exit_code == 8
    assert not manager.asked


@pytest.mark.parametrize(
    "endpoint", ["https://example.org", "http://127.0.0.1:1", "https://127.0.0.1:1/x", "memory:"]
)
def test_no_token_goes_to_who_is_no_resource_manager(run: Run, endpoint: str) -> None:
    result = run("check", "--live", "--endpoint", endpoint, SET)
    assert result.exit_code == 8
