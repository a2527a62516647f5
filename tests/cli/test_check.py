"""`keyhier check` on files: what it reads, how it reports, how it ends."""

from __future__ import annotations

import json
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import Result

from benchmarks.placement import fleet
from keyhier.checks.check import check_documents
from keyhier.checks.files import Files
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.json_text import MAX_BYTES
from keyhier.placement.report import Report
from tests.cli.conftest import Process, Run
from tests.json_places import Place, altered
from tests.placement.sarif_schema import check_sarif
from tests.plans import scenes

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def written(name: str, content: object) -> Path:
        path = tmp_path / name
        text = content if isinstance(content, str) else json.dumps(content, indent=1)
        path.write_text(text, encoding="utf-8")
        return path

    return written


def elsewhere() -> list[dict[str, Any]]:
    """A machine whose set's vault is in another region."""
    resources = fleet(1)
    resources[1]["location"] = "northeurope"
    return resources


def report_of(content: object, **where: str) -> Report:
    files = Files(Deployment("", **where))
    files.add("a.json", content if isinstance(content, bytes) else json.dumps(content).encode())
    found = [each for documents in files.documents() for each in documents.found]
    return check_documents(found, files.troubles, locate=files.locate)


def test_the_exit_code_is_that_of_the_worst_finding(run: Run, write: Write) -> None:
    assert run("check", write("a.json", elsewhere())).exit_code == 21
    assert run("check", "--fail-on", "never", write("a.json", elsewhere())).exit_code == 0
    unsure = write("b.json", fleet(1))
    assert run("check", unsure).exit_code == 20
    assert run("check", "--fail-on", "error", unsure).exit_code == 0


def test_findings_have_their_line_and_column(run: Run, write: Write) -> None:
    path = write("a.json", elsewhere())
    result = run("check", "--json", path)
    (found,) = json.loads(result.stdout)["violations"]
    assert found["rule"] == "cmk-vault-region"
    origin = found["origin"]
    assert (origin["pointer"], origin["line"], origin["column"]) == ("/0", 2, 2)
    assert f"{path}:2:2#/0" in run("check", path).stdout


def test_a_report_is_written_as_sarif_and_junit(run: Run, write: Write, tmp_path: Path) -> None:
    path = write("a.json", elsewhere())
    sarif = check_sarif(json.loads(run("check", "--format", "sarif", path).stdout))
    results = sarif["runs"][0]["results"]
    (failed,) = [each for each in results if each["kind"] == "fail"]
    region = failed["locations"][0]["physicalLocation"]["region"]
    assert region == {"startLine": 2, "startColumn": 2}
    out = tmp_path / "junit.xml"
    assert run("check", "--format", "junit", "--out", out, path).exit_code == 21
    assert ET.fromstring(out.read_text(encoding="utf-8")).get("failures") == "1"


DOCUMENT = {"type": "Microsoft.Compute/disks", "name": "d", "location": "x", "properties": {}}


@pytest.mark.parametrize(
    ("content", "words", "place"),
    [
        ("{", "no JSON", (1, 2)),
        ("[" * 5000, "nested too deeply", (1, 201)),
        ({"contentVersion": "1", "resources": [7]}, "a resource is an object", (4, 3)),
        (
            {
                "contentVersion": "1",
                "variables": {"a": "[variables('b')]", "b": "[variables('a')]"},
                "resources": [],
            },
            "refers to itself",
            (4, 8),
        ),
        (
            {"contentVersion": "1", "resources": [{**DOCUMENT, "location": "[odd('x')]"}]},
            "'odd' is not known",
            (7, 16),
        ),
        (
            [{**DOCUMENT, "properties": {"encryption": {"diskEncryptionSetId": "/subscriptions"}}}],
            "nothing stands behind 'subscriptions'",
            (8, 28),
        ),
        ({"some": "thing"}, "no machine, disk, encryption set or vault", (1, 1)),
        ('"text"', "a resource is an object", (1, 1)),
    ],
    ids=["json", "deep", "resource", "loop", "function", "id", "nothing", "text"],
)
def test_what_is_wrong_is_a_finding_with_its_place(
    run: Run, write: Write, content: object, words: str, place: tuple[int, int]
) -> None:
    result = run("check", "--json", write("a.json", content))
    assert result.exit_code in {20, 21}
    found = json.loads(result.stdout)["violations"]
    (told,) = [each for each in found if words in each["compared"][0]["value"]]
    assert (told["origin"]["line"], told["origin"]["column"]) == place


def test_a_file_of_50_mb_is_told_and_not_read(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    path.write_bytes(b"[" + b" " * (50 * 1024 * 1024) + b"]")
    result = run("check", path)
    assert result.exit_code == 21
    assert f"more than {MAX_BYTES // 1024**2} MiB" in result.stdout


def test_one_bad_file_keeps_no_other_from_being_checked(run: Run, write: Write) -> None:
    result = run("check", "--json", write("bad.json", "{"), write("a.json", elsewhere()))
    rules = [each["rule"] for each in json.loads(result.stdout)["violations"]]
    assert sorted(rules) == ["cmk-vault-region", "document"]


def test_parameters_of_a_template_that_cannot_be_read_are_no_second_finding(
    run: Run, write: Write
) -> None:
    form = "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#"
    given = write("a.parameters.json", {"$schema": form, "contentVersion": "1", "parameters": {}})
    report = json.loads(run("check", "--json", write("a.json", "{"), given).stdout)
    assert [each["rule"] for each in report["violations"]] == ["document"]
    alone = json.loads(run("check", "--json", given).stdout)
    assert [each["rule"] for each in alone["violations"]] == ["document-part"]


def test_terraforms_own_state_is_told_apart(run: Run, write: Write) -> None:
    state = {"version": 4, "terraform_version": "1.9.8", "lineage": "a", "resources": []}
    done = run("check", write("terraform.tfstate", state))
    assert done.exit_code == 20
    assert "`terraform show -json`" in done.stdout


def test_a_disks_own_document_speaks_against_its_machine(run: Run, write: Write) -> None:
    group = "/subscriptions/1/resourceGroups/shop/providers/Microsoft.Compute"
    disk = {
        "id": f"{group}/disks/data",
        "type": "Microsoft.Compute/disks",
        "sku": {"name": "UltraSSD_LRS"},
    }
    machine = {
        "id": f"{group}/virtualMachines/web",
        "type": "Microsoft.Compute/virtualMachines",
        "properties": {
            "storageProfile": {
                "osDisk": {"osType": "Linux"},
                "dataDisks": [{"managedDisk": {"id": disk["id"]}}],
            }
        },
        "resources": [
            {
                "type": "extensions",
                "properties": {
                    "type": "AzureDiskEncryptionForLinux",
                    "settings": {"EncryptionOperation": "EnableEncryption"},
                },
            }
        ],
    }
    found = json.loads(run("check", "--json", write("a.json", [machine, disk])).stdout)
    assert "eligibility-ultra-disk" in {each["rule"] for each in found["violations"]}


def test_how_the_rest_could_be_checked_is_told_where_there_is_any(run: Run, write: Write) -> None:
    assert "to check the rest" in run("check", write("b.json", fleet(1))).stdout
    assert "to check the rest" not in run("check", write("c.json", [])).stdout


def encrypted() -> list[dict[str, Any]]:
    return [scenes.machine(), scenes.disk(), scenes.vault(), scenes.extension()]


def eligibility_of(result: Result) -> tuple[set[str], set[str]]:
    """Return what speaks against eligibility, and what is not known of it."""
    report = json.loads(result.stdout)
    wrong = {each["rule"] for each in report["violations"]}
    open_ = [each["missing"] for each in report["not_checked"] if each["rule"] == "eligibility"]
    return {each for each in wrong if each.startswith("eligibility-")}, {*chain(*open_)}


TOLD = (
    *("scenario=enable-existing", "dual_pass=no", "memory_gb=16", "root_usage_gb=2", "nvme=no"),
    *("reaches_entra=yes", "reaches_storage=yes", "reaches_vault=yes", "uses=nothing"),
)


def test_facts_tell_what_no_document_does(run: Run, write: Write) -> None:
    path = write("a.json", encrypted())
    _, missing = eligibility_of(run("check", "--json", path))
    assert {"memory_gb", "reaches_vault", "uses", "scenario"} <= missing
    facts = [word for fact in TOLD for word in ("--fact", fact)]
    wrong, missing = eligibility_of(run("check", "--json", *facts, path))
    assert not wrong
    assert not missing
    facts[facts.index("memory_gb=16")] = "memory_gb=1"
    wrong, _ = eligibility_of(run("check", "--json", *facts, path))
    assert wrong


def test_what_a_document_tells_counts_and_no_fact_instead(run: Run, write: Write) -> None:
    path = write("a.json", encrypted())
    plain = json.loads(run("check", "--json", path).stdout)
    told = json.loads(run("check", "--json", "--fact", "size=Basic_A0", path).stdout)
    assert told == plain


def test_facts_are_the_same_wherever_their_machine_stands(run: Run, write: Write) -> None:
    other = json.loads(json.dumps(encrypted()).replace("web-01", "web-02"))
    path = write("a.json", [*encrypted(), *other])
    facts = [word for fact in TOLD for word in ("--fact", fact)]
    result = run("check", "--json", *facts, path)
    assert eligibility_of(result) == (set(), set())


@pytest.mark.parametrize("fact", ["weather=fine", "memory_gb=much", "ade=yes", "mbam"])
def test_a_fact_that_is_none_is_refused(run: Run, write: Write, fact: str) -> None:
    result = run("check", "--fact", fact, write("a.json", encrypted()))
    assert result.exit_code == 8
    assert fact.partition("=")[0] in result.stderr


def test_what_is_wrong_with_a_set_is_told_with_the_page_about_sets(run: Run, write: Write) -> None:
    content = fleet(1)
    (own,) = (each for each in content if each["type"].endswith("/diskEncryptionSets"))
    own["properties"]["encryptionType"] = "EncryptionAtRest"
    report = json.loads(run("check", "--json", write("a.json", content)).stdout)
    (told,) = (each for each in report["violations"] if each["rule"] == "set-settings")
    assert "diskencryptionsets" in told["source"]


def test_a_set_of_the_plain_kind_need_not_say_so(run: Run, write: Write) -> None:
    content = fleet(1)
    (own,) = (each for each in content if each["type"].endswith("/diskEncryptionSets"))
    del own["properties"]["encryptionType"]
    report = json.loads(run("check", "--json", write("a.json", content)).stdout)
    assert report["violations"] == []
    assert "set-settings" not in {each["rule"] for each in report["not_checked"]}


def test_resources_of_a_list_that_tells_no_properties_are_not_checked(
    run: Run, write: Write
) -> None:
    content = [{**each, "properties": None} for each in fleet(1)]
    report = json.loads(run("check", "--json", write("a.json", content)).stdout)
    assert report["violations"] == []
    assert report["kept"] == {}
    assert "set-settings" in {each["rule"] for each in report["not_checked"]}


def test_a_rule_set_that_is_not_there_is_told_with_how_to_name_a_file(
    run: Run, write: Write
) -> None:
    done = run("check", "--rules", "ours", write("a.json", []))
    assert done.exit_code == 3
    assert "ends in .toml" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["none.json"], 3),
        (["--rules", "nonsense", "a.json"], 3),
        (["--eligibility", "1999", "a.json"], 3),
        (["."], 8),
        ([], 2),
        (["--format", "xml", "a.json"], 2),
        (["--json", "--format", "sarif", "a.json"], 8),
    ],
)
def test_a_command_that_cannot_be_done_ends_with_its_error(
    run: Run, write: Write, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int
) -> None:
    path = write("a.json", fleet(1))
    monkeypatch.chdir(path.parent)
    result = run("check", *arguments)
    assert result.exit_code == code
    assert "Traceback" not in result.output


def test_a_rule_file_with_an_unknown_field_names_the_line(run: Run, write: Write) -> None:
    rules = write("ours.toml", 'title = "Ours"\nextends = "strict"\nodd = 1\n')
    result = run("check", "--rules", rules, write("a.json", fleet(1)))
    assert result.exit_code == 8
    assert "ours.toml:3" in result.stderr


def test_standard_input_is_a_file(process: Process) -> None:
    result = process("check", "-", "--fail-on", "error", stdin=json.dumps(fleet(1)).encode())
    assert result.returncode == 0


def test_parameters_belong_to_the_template_of_their_name(run: Run, write: Write) -> None:
    template = write(
        "shop.json",
        {
            "contentVersion": "1",
            "parameters": {"region": {"type": "string"}},
            "resources": [{**each, "name": each["name"]} for each in elsewhere()],
        },
    )
    region_parameter = "\"[parameters('region')]\""
    text = template.read_text(encoding="utf-8").replace('"northeurope"', region_parameter)
    write("shop.json", text)
    schema = "https://schema.management.azure.com/schemas/2019-04-01/deploymentParameters.json#"
    for region, rules in (("northeurope", ["cmk-vault-region"]), ("westeurope", [])):
        values = {"$schema": schema, "parameters": {"region": {"value": region}}}
        given = write("shop.production.parameters.json", values)
        for arguments in ([template, given], ["--parameters", given, template]):
            found = json.loads(run("check", "--json", *arguments).stdout)
            assert [each["rule"] for each in found["violations"]] == rules


def test_what_a_plan_would_leave_is_checked_and_not_what_it_says(run: Run, write: Write) -> None:
    plan = {"keyhier-plan": 1, "worst": "ok", "findings": [], "planned": elsewhere()}
    found = json.loads(run("check", "--json", write("plan.json", plan)).stdout)["violations"]
    assert [each["rule"] for each in found] == ["cmk-vault-region"]
    assert found[0]["origin"]["pointer"] == "/planned/0"


# Metamorphic properties


def spelled(value: object, draw: Callable[[st.SearchStrategy[Any]], Any]) -> object:
    """Write ids and regions in another way."""
    if isinstance(value, dict):
        return {name: spelled(each, draw) for name, each in value.items()}
    if isinstance(value, list):
        return [spelled(each, draw) for each in value]
    if value in {"westeurope", "northeurope"}:
        return {"westeurope": "West Europe", "northeurope": "(Europe) North Europe"}[str(value)]
    if isinstance(value, str) and value.startswith("/subscriptions/"):
        return value.upper() if draw(st.booleans()) else value.lower()
    return value


def verdicts(report: Report) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    return (
        {(each.rule.id, each.subject.casefold()) for each in report.violations},
        {(each.rule.id, each.subject.casefold()) for each in report.not_checked},
    )


@given(st.data())
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_order_case_and_spelling_change_no_verdict(data: st.DataObject) -> None:
    resources = elsewhere() + fleet(3)[5:]
    shuffled = data.draw(st.permutations(resources))
    changed = [spelled(each, data.draw) for each in shuffled]
    assert verdicts(report_of(changed)) == verdicts(report_of(resources))


def leaves(value: object, at: Place = ()) -> list[Place]:
    pairs: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    return [at] * (not pairs) + [each for key, inner in pairs for each in leaves(inner, (*at, key))]


@given(st.data())
@settings(max_examples=60)
def test_what_becomes_unknown_turns_no_violation_into_a_pass(data: st.DataObject) -> None:
    resources: list[Any] = elsewhere()
    at = data.draw(st.sampled_from([each for each in leaves(resources) if each[-1] != "type"]))
    changed = altered(resources, at, "[reference('nobody-knows')]")
    template = {"contentVersion": "1", "resources": changed}
    report = report_of(template)
    told = {each.rule.id for each in report.violations}
    told |= {each.rule.id for each in report.not_checked}
    assert "cmk-vault-region" in told
