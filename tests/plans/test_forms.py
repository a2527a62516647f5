"""A plan as a file, as text and as a picture; documents as they are read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.placement import ArmId, check_placement
from keyhier.placement.hidden import without_secrets
from keyhier.placement.model import Resource, VirtualMachine
from keyhier.placement.resources import read_resources
from keyhier.plans import (
    Documents,
    PlanFile,
    Workflow,
    as_document,
    as_mermaid,
    as_text,
    is_plan_file,
    plan_ade,
    plan_set,
)
from keyhier.plans.planned_key import host_of
from tests.azure_disk import arm_schemas
from tests.plans.scenes import (
    DISK_ID,
    GROUP,
    SET_ID,
    VM_ID,
    ade,
    disk,
    documents,
    extension,
    key_of,
    machine,
    vault,
)
from tests.plans.test_ade import REFUSED, SCENARIOS
from tests.plans.test_set import attach, create, rotate

PLANS = [
    *map(plan_ade, SCENARIOS.values()),
    *(plan_ade(request) for request, _, _ in REFUSED.values()),
    *map(plan_set, (create(), rotate(), attach())),
]


# ---------------------------------------------------------------------- the file


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.scenario)
def test_a_plan_file_says_what_is_planned(plan: Any) -> None:
    content = json.loads(json.dumps(as_document(plan)))
    assert is_plan_file(content)
    read = PlanFile.parse(content)
    assert (read.workflow, read.scenario, read.subject) == (
        plan.workflow,
        plan.scenario,
        plan.subject,
    )
    assert [each for each, _ in read.planned] == list(plan.planned)
    assert [place for _, place in read.planned] == [
        f"/planned/{number}" for number in range(len(plan.planned))
    ]
    # Whoever reads it comes to the same verdict from what is planned alone.
    again = check_placement(read_resources((each, None) for each, _ in read.planned))
    assert {each.rule.id for each in again.violations} == {
        each.rule.id for each in plan.placement.violations
    }


@pytest.mark.parametrize("secret", ["hunter2", ["hunter2"], {"a": "hunter2"}, [{"a": ["hunter2"]}]])
def test_a_plan_file_holds_no_secret_of_a_machine(secret: Any) -> None:
    holding = machine()
    vault_of_certificate = {"id": f"{GROUP}/Microsoft.KeyVault/vaults/certificates"}
    holding["properties"] |= {
        "osProfile": {
            "computerName": "web-01",
            "adminPassword": secret,
            "customData": secret,
            "linuxConfiguration": {"disablePasswordAuthentication": False},
            "secrets": [{"sourceVault": vault_of_certificate, "vaultCertificates": secret}],
        },
        "userData": secret,
    }
    other = {
        "id": f"{VM_ID}/extensions/script",
        "type": "Microsoft.Compute/virtualMachines/extensions",
        "properties": {"type": "CustomScript", "protectedSettings": {"commandToExecute": secret}},
    }
    command = {
        "id": f"{VM_ID}/runCommands/script",
        "type": "Microsoft.Compute/virtualMachines/runCommands",
        "properties": {
            "source": {"script": "true", "scriptUri": secret},
            "protectedParameters": [{"name": "key", "value": secret}],
            "runAsPassword": secret,
            "outputBlobUri": secret,
            "errorBlobUri": secret,
        },
    }
    policy = {"objectId": "1", "permissions": {"secrets": ["get"]}}
    planned = plan_ade(ade("enable-new", holding, other, command, vault(accessPolicies=[policy])))
    content = as_document(planned)
    assert "hunter2" in str(planned.planned)
    assert "hunter2" not in json.dumps(content)
    read = [each for each, _ in PlanFile.parse(content).planned]
    # What a check looks at is there still.
    (before,) = [each for each in read_all(planned.planned) if isinstance(each, VirtualMachine)]
    (after,) = [each for each in read_all(read) if isinstance(each, VirtualMachine)]
    assert (after, after.secret_vaults) == (before, before.secret_vaults)
    (kept,) = [each for each in read if each["type"].endswith("/vaults")]
    assert kept["properties"]["accessPolicies"] == [policy]


def test_a_plan_file_names_secure_parameters() -> None:
    given = {"AADClientSecret": "[parameters('secret')]"}
    running = extension()
    running["properties"]["protectedSettings"] = given
    assert without_secrets(running) == running


def read_all(documents: Iterable[Any]) -> list[Resource]:
    return read_resources((each, None) for each in documents)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"keyhier-plan": 2}, "/keyhier-plan: the version"),
        ({"keyhier-plan": True}, "/keyhier-plan: the version"),
        ({"keyhier-plan": None}, "/keyhier-plan: the version"),
        ({"workflow": "other"}, "/workflow: one of ade, set"),
        ({"workflow": 1}, "/workflow: a text"),
        ({"scenario": None}, "/scenario: a text"),
        ({"subject": []}, "/subject: a text"),
        ({"planned": {}}, "/planned"),
        ({"planned": "[parameters('x')]"}, "/planned: a list"),
        ({"planned": [1]}, "/planned/0: a resource"),
    ],
)
def test_a_malformed_plan_file_is_named_with_its_place(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        PlanFile.parse(as_document(PLANS[0]) | change)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_anything_else_is_no_plan_file(content: Any) -> None:
    assert not is_plan_file(content)
    with pytest.raises(InvalidInputError):
        PlanFile.parse(content)


def test_the_workflows_have_names() -> None:
    assert [each.value for each in Workflow] == ["ade", "set"]


# ---------------------------------------------------------------------- resources

_SCHEMAS = {
    "Microsoft.Compute/virtualMachines/extensions": (
        "2026-03-01/Microsoft.Compute.Extensions.json",
        "resourceDefinitions/virtualMachines_extensions",
    ),
    "Microsoft.Compute/disks": (
        "2026-03-02/Microsoft.Compute.json",
        "resourceDefinitions/disks",
    ),
    "Microsoft.Compute/diskEncryptionSets": (
        "2026-03-02/Microsoft.Compute.json",
        "resourceDefinitions/diskEncryptionSets",
    ),
}


def test_every_resource_of_a_step_is_valid_by_arms_schemas(material: Path) -> None:
    schemas = arm_schemas.registry(material / "azure" / "arm-schemas")
    found = [each.resource for plan in PLANS for each in plan.steps if each.resource]
    for resource in found:
        file, definition = _SCHEMAS[resource["type"]]
        arm_schemas.validate(schemas, file, definition, resource)
    assert {each["type"] for each in found} == set(_SCHEMAS)


# ---------------------------------------------------------------------- text and picture


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.scenario)
def test_text_and_picture_show_every_step_and_what_is_wrong(plan: Any) -> None:
    text, picture = as_text(plan), as_mermaid(plan)
    for number, each in enumerate(plan.steps, 1):
        assert f"{number:3}. {each.text}" in text
        assert re.search(rf'^    s{number}\["', picture, re.MULTILINE)
        assert each.command is None or f"$ {each.command}" in text
    for finding in plan.findings:
        assert f"{finding.severity.upper()} {finding.check}: " in text
    assert picture.startswith("flowchart TD\n")
    assert picture.count("subgraph") == len(re.findall("^  end$", picture, re.MULTILINE))
    refused = bool(plan.errors or plan.placement.errors)
    assert ("refused: " in picture) is refused


def test_a_name_forges_nothing_in_a_picture() -> None:
    name = 'a"] --> b\nclick x "https://x"'
    odd = machine() | {"name": name, "id": VM_ID.replace("web-01", 'w"]<b>')}
    picture = as_mermaid(plan_ade(ade("enable-existing", odd, disk(), vault())))
    assert '"] -->' not in picture
    assert "<b>" not in picture
    assert "\nclick" not in picture


def test_a_name_forges_no_line_of_text_and_no_command() -> None:
    odd = machine(managedDisk={"id": DISK_ID.replace("web-01-os", "os;reboot\n99. all is well")})
    text = as_text(plan_ade(ade("enable-existing", odd, vault())))
    assert "\n99. all is well" not in text
    assert "'os;reboot" in text
    for host in ("a;reboot", "a b", "$(reboot)", "a'b"):
        with pytest.raises(InvalidInputError, match="is no host of a vault"):
            host_of(key_of(documents(vault(vaultUri=f"https://{host}/"))).vault)


# ---------------------------------------------------------------------- documents


def test_az_prints_without_a_level_and_both_are_changed() -> None:
    whole = disk()
    flat = {**{k: v for k, v in whole.items() if k != "properties"}, **whole["properties"]}
    for one in (whole, flat):
        changed = Documents((one,)).with_properties(ArmId.parse(one["id"]), {"new": 1})
        content = changed.contents[0]
        assert content.get("properties", content)["new"] == 1
        assert "new" not in one.get("properties", one)


def test_a_machines_extension_is_found_beside_it_and_in_it() -> None:
    identity = ArmId.parse(VM_ID)
    beside = extension()
    del beside["id"]
    embedded = machine() | {"resources": [{"name": "other", "type": "x"}, extension()]}
    other = extension() | {"id": VM_ID.replace("web-01", "web-02") + "/extensions/x"}
    monitor = extension()
    monitor["properties"] = {"type": "Monitor"}
    for contents in ([extension()], [beside], [embedded], [monitor, extension()]):
        found = documents(*contents).extension(identity)
        assert found is not None
        assert found.vault is not None
    for contents in ([other], [monitor], [machine()]):
        assert documents(*contents).extension(identity) is None
    replaced = documents(other, beside, monitor).with_extension(identity, beside)
    assert len(replaced.contents) == 3


def test_what_is_no_document_is_an_error() -> None:
    with pytest.raises(InvalidInputError, match="a JSON object"):
        Documents(("text",))  # type: ignore[arg-type]  # It is what the test is about.
    with pytest.raises(NotFoundError, match="is missing"):
        documents(vault()).document(ArmId.parse(SET_ID))
    with pytest.raises(InvalidInputError, match="ARM id of VM web-01 is not known"):
        plan_ade(ade("enable-new", machine() | {"id": None}, vault()))
    with pytest.raises(InvalidInputError, match="URL of vault contoso-kv is not known"):
        host_of(key_of(documents(vault(vaultUri=None))).vault)


def test_a_fact_of_a_program_has_a_name_that_is_known() -> None:
    with pytest.raises(InvalidInputError, match="is no fact of a machine"):
        plan_ade(ade("enable-new", machine(), vault(), facts={"weather": "fine"}))
