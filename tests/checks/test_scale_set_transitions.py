"""What is asked of a scale set is compared with its own model and with each of its instances."""

from __future__ import annotations

import copy
import itertools
import json
from typing import Any

import pytest

from keyhier.checks.check import check_documents
from keyhier.checks.files import Files
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.report import Report
from tests.checks.test_transitions import (
    FIRST,
    GROUP,
    extension,
    instance_view,
    missing,
    problems,
    report_of,
)

SET = f"{GROUP}/Microsoft.Compute/virtualMachineScaleSets/web"
UNIQUE = "77777777-7777-7777-7777-777777777777"


def of_model(asked: dict[str, Any], *, flat: bool = False) -> dict[str, Any]:
    """An extension as a scale set's model has it; `az` prints it flat."""
    properties = asked["properties"]
    if not flat:
        return {"name": properties["type"], "properties": properties}
    others = {name: each for name, each in properties.items() if name != "type"}
    return {"name": "ade", "typePropertiesType": properties["type"], **others}


def template(*asked: dict[str, Any]) -> dict[str, Any]:
    """A scale set as a template makes it."""
    return {
        "type": "Microsoft.Compute/virtualMachineScaleSets",
        "id": SET,
        "name": "web",
        "location": "westeurope",
        "sku": {"name": "Standard_D4s_v5", "capacity": 2},
        "properties": {
            "virtualMachineProfile": {
                "storageProfile": {
                    "osDisk": {"osType": "Linux", "createOption": "FromImage"},
                    "dataDisks": [{"lun": 0, "createOption": "Empty"}],
                },
                "extensionProfile": {"extensions": [of_model(each) for each in asked]},
            }
        },
    }


def shown(*ran: dict[str, Any]) -> dict[str, Any]:
    """A scale set as `az vmss show` prints it."""
    made = template()
    properties = copy.deepcopy(made.pop("properties"))
    listed = [of_model(each, flat=True) for each in ran]
    properties["virtualMachineProfile"]["extensionProfile"]["extensions"] = listed
    return {**made, **properties, "uniqueId": UNIQUE, "provisioningState": "Succeeded"}


def instance(
    number: int = 0,
    *,
    os_disk: bool | None = False,
    data: bool | None = True,
    latest: bool | None = True,
    resources: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """An instance as `az vmss list-instances --expand instanceView` prints it."""
    return {
        "type": "Microsoft.Compute/virtualMachineScaleSets/virtualMachines",
        "id": f"{SET}/virtualMachines/{number}",
        "name": f"web_{number}",
        "instanceId": str(number),
        "location": "westeurope",
        "sku": {"name": "Standard_D4s_v5", "tier": "Standard"},
        "latestModelApplied": latest,
        "provisioningState": "Succeeded",
        "vmId": UNIQUE,
        "resources": resources,
        "instanceView": instance_view(os=os_disk, data=data),
        "storageProfile": {
            "osDisk": {"name": "os", "osType": "Linux", "managedDisk": {"id": disk("os", number)}},
            "dataDisks": [{"name": "data", "managedDisk": {"id": disk("data", number)}}],
        },
    }


def disk(name: str, number: int) -> str:
    return f"{GROUP}/Microsoft.Compute/disks/web-{number}-{name}"


def subjects(report: Report) -> set[str]:
    return {each.subject for each in report.violations if each.rule.id == "transition"}


DATA = extension(volumes="Data", sequence=FIRST)
DUAL_DATA = extension(volumes="Data", dual=True, sequence=FIRST)
DUAL_RAN = extension(volumes="Data", dual=True, sequence=FIRST, ran=True)
AGAIN = extension(volumes="Data")
MODEL, ONE, OTHER = (
    "extension of scale set web",
    "extension of instance 0 of scale set web",
    "extension of instance 1 of scale set web",
)


@pytest.mark.parametrize(
    ("documents", "words", "whose"),
    [
        # What the model has.
        (
            [shown(DUAL_DATA), instance(), template(AGAIN)],
            "encrypted with an application stays with it",
            {MODEL, ONE},
        ),
        (
            [shown(DATA), instance(), template(extension(volumes="Data", sequence=FIRST))],
            "the sequence version is the last one's",
            {MODEL, ONE},
        ),
        (
            [shown(DATA), instance(), template(extension(volumes="OS"))],
            "the volumes are Data and can stay or widen to All",
            {MODEL, ONE},
        ),
        # What only an instance has.
        (
            [
                shown(DATA),
                instance(0),
                instance(1, os_disk=True),
                template(extension("DisableEncryption", "Data")),
            ],
            "while the OS volume is encrypted",
            {OTHER},
        ),
        (
            [
                shown(DATA),
                instance(0, latest=False, resources=[DUAL_RAN]),
                instance(1),
                template(AGAIN),
            ],
            "encrypted with an application stays with it",
            {ONE},
        ),
    ],
)
def test_what_may_not_follow_on_a_scale_sets_model_or_an_instance_is_an_error(
    documents: list[dict[str, Any]], words: str, whose: set[str]
) -> None:
    for order in itertools.permutations(documents):
        report = report_of(*order)
        assert subjects(report) == whose
        assert all(words in each for each in problems(report))


def test_what_may_follow_on_all_of_it_is_none() -> None:
    report = report_of(shown(DATA), instance(0), instance(1), template(AGAIN))
    assert not list(problems(report))
    assert not missing(report)


def test_a_scale_set_that_is_made_has_nothing() -> None:
    for asked in (extension(volumes="Data"), extension(volumes="Data", dual=True)):
        report = report_of(template(asked))
        assert not list(problems(report))
        assert not missing(report)
    nothing = report_of(template(extension("DisableEncryption", "Data")))
    assert list(problems(nothing)) == ["nothing is encrypted, so there is nothing to disable"]


def test_instances_that_nobody_shows_are_not_checked() -> None:
    report = report_of(shown(DATA), template(AGAIN))
    assert not list(problems(report))
    assert "what is encrypted of the instances of scale set web" in missing(report)


def test_an_instance_that_is_behind_the_model_has_what_its_own_documents_say() -> None:
    behind = [shown(DATA), instance(latest=False), template(AGAIN)]
    assert any("generation" in each for each in missing(report_of(*behind)))
    unsure = [shown(DATA), instance(latest=None), template(AGAIN)]
    assert any("generation" in each for each in missing(report_of(*unsure)))


def test_an_extension_that_stands_apart_is_asked_of_the_set() -> None:
    apart = {
        **AGAIN,
        "type": "Microsoft.Compute/virtualMachineScaleSets/extensions",
        "id": f"{SET}/extensions/ade",
        "name": "web/ade",
    }
    assert subjects(report_of(shown(DUAL_DATA), instance(), apart)) == {MODEL, ONE}


def test_a_scale_set_shown_alone_asks_for_nothing() -> None:
    assert not subjects(report_of(shown(DATA), instance()))
    assert not missing(report_of(shown(DATA), instance()))


def test_a_template_of_a_scale_set_finds_the_one_that_is_there() -> None:
    made = template(extension(volumes="OS"))
    del made["id"]
    document = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "resources": [made],
    }
    files = Files(Deployment("", "11111111-1111-1111-1111-111111111111", "shop"))
    files.add("set.json", json.dumps(document).encode())
    files.add("shown.json", json.dumps([shown(DATA), instance()]).encode())
    found = [each for one in files.documents() for each in one.found]
    assert subjects(check_documents(found, locate=files.locate)) == {MODEL, ONE}


# ---------------------------------------------------------------------- settings, placement


def settings_of(report: Report) -> list[str]:
    return [each.subject for each in report.violations if each.rule.id == "settings"]


@pytest.mark.parametrize(
    "document",
    [
        template(extension("DisableEncryption", "OS")),
        shown(extension("DisableEncryption", "OS")),
        instance(resources=[extension("DisableEncryption", "OS")]),
    ],
)
def test_settings_in_a_scale_sets_documents_are_checked(document: dict[str, Any]) -> None:
    (subject,) = settings_of(report_of(document))
    assert subject.startswith("extension of ")


def unencrypted(report: Report) -> tuple[int, int]:
    """Return how many disks of instances are not encrypted, and of how many it is not known."""

    def count(found: Any) -> int:
        of_instances = [each for each in found if each.subject.startswith("VM ")]
        return sum(each.rule.id == "vm-unencrypted" for each in of_instances)

    return count(report.violations), count(report.not_checked)


def test_instances_are_machines_of_their_own() -> None:
    bare = instance(os_disk=False, data=False)
    bare["storageProfile"]["osDisk"].pop("managedDisk")
    bare["storageProfile"].pop("dataDisks")
    bare["securityProfile"] = {"encryptionAtHost": False}
    assert unencrypted(report_of(bare, shown())) != (0, 0)
    report = report_of(instance(os_disk=True, data=True), shown(DATA))
    assert any(each.rule.id == "ade-retires" for each in report.violations)


def test_an_instance_has_the_encryption_of_the_model_that_it_follows() -> None:
    def retires(latest: bool | None) -> set[str]:
        seen = instance(os_disk=None, data=None, latest=latest)
        report = report_of(seen, shown(DATA))
        return {each.subject for each in report.violations if each.rule.id == "ade-retires"}

    assert retires(latest=True) == {"VM web", "VM 0"}
    assert retires(latest=False) == {"VM web"}
    assert retires(latest=None) == {"VM web"}
    open_ = report_of(instance(os_disk=None, data=None, latest=False), shown(DATA))
    assert "VM 0" in {each.subject for each in open_.not_checked if each.rule.id == "ade-retires"}


def test_a_scale_set_that_is_there_may_have_been_encrypted_before() -> None:
    kept = shown()
    kept["virtualMachineProfile"]["securityProfile"] = {"encryptionAtHost": True}
    report = report_of(kept)
    told = {each.rule.id for each in report.not_checked}
    assert "vm-host-encryption-after-ade" in told
    made = template()
    profile = made["properties"]["virtualMachineProfile"]
    profile["securityProfile"] = {"encryptionAtHost": True}
    told = {each.rule.id for each in report_of(made).not_checked}
    assert "vm-host-encryption-after-ade" not in told


def test_an_instance_with_an_odd_id_or_model_is_no_traceback() -> None:
    for change in ({"id": "web_0"}, {"latestModelApplied": "perhaps"}, {"id": f"{SET}/x"}):
        report = report_of({**instance(), **change}, shown(DATA), template(AGAIN))
        assert "document" in {each.rule.id for each in report.violations}
