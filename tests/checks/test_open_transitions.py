"""What is asked with expressions in it, and what several documents tell of one machine."""

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
from keyhier.placement.unknown import UNKNOWN
from tests.checks.test_transitions import (
    DUAL_RAN,
    FIRST,
    SECOND,
    SINGLE_RAN,
    encrypted_disk,
    extension,
    machine,
    missing,
    problems,
    report_of,
)
from tests.json_places import altered, places

SHOWN = machine(os_disk=True, data=True)


def without(document: dict[str, Any], *names: str) -> dict[str, Any]:
    """An extension in which nobody knows some of the settings, or its type or version."""
    changed = copy.deepcopy(document)
    for name in names:
        properties = changed["properties"]
        holder = properties if name in properties else properties["settings"]
        holder[name] = UNKNOWN
    return changed


def settings_of(report: Report) -> tuple[list[str], list[str]]:
    """Return what is wrong with settings, and what is not known of them."""
    wrong = [each.compared[0].value for each in report.violations if each.rule.id == "settings"]
    open_ = [
        one for each in report.not_checked if each.rule.id == "settings" for one in each.missing
    ]
    return wrong, open_


@pytest.mark.parametrize(
    ("names", "documents", "asked", "words"),
    [
        (["KeyVaultURL"], [SHOWN, DUAL_RAN], extension(), "stays with it"),
        (["KeyVaultURL", "SequenceVersion"], [SHOWN, DUAL_RAN], extension(), "stays with it"),
        (
            ["KeyVaultResourceId"],
            [SHOWN, SINGLE_RAN],
            extension(volumes="Data"),
            "the volumes are All",
        ),
        (
            ["EncryptionOperation"],
            [SHOWN, SINGLE_RAN],
            extension(volumes="OS"),
            "the volumes are All",
        ),
        (["KeyVaultURL"], [SHOWN, SINGLE_RAN], extension(sequence=FIRST), "the last one's"),
        (
            ["VolumeType"],
            [machine(os_disk=False, data=False)],
            extension("DisableEncryption", "Data"),
            "nothing to disable",
        ),
    ],
)
def test_settings_are_judged_for_what_is_known_of_them(
    names: list[str], documents: list[dict[str, Any]], asked: dict[str, Any], words: str
) -> None:
    report = report_of(*documents, without(asked, *names))
    assert any(words in each for each in problems(report))
    wrong, open_ = settings_of(report)
    assert not wrong
    assert {f"/properties/settings/{name}" for name in names} <= set(open_)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        (extension(), "settings/VolumeType"),
        (extension(), "settings/SequenceVersion"),
        (extension("DisableEncryption", "Data"), "typeHandlerVersion"),
    ],
)
def test_what_decides_and_is_unknown_is_not_checked(asked: dict[str, Any], name: str) -> None:
    on_data = machine(os_disk="Disable" not in str(asked), data=True)
    report = report_of(on_data, SINGLE_RAN, without(asked, name.rpartition("/")[2]))
    assert missing(report) == [f"/properties/{name}"]
    assert not list(problems(report))


def test_settings_of_which_nothing_is_known_are_not_checked() -> None:
    report = report_of(SHOWN, SINGLE_RAN, without(extension(), "settings"))
    assert "/properties/settings/EncryptionOperation" in missing(report)
    assert settings_of(report)[1]


def test_settings_that_are_wrong_whatever_the_rest_is_are_an_error() -> None:
    asked = without(extension("DisableEncryption", "OS"), "SequenceVersion")
    wrong, open_ = settings_of(report_of(asked))
    assert ["encryption of a Linux OS volume cannot be disabled" in each for each in wrong] == [
        True
    ]
    assert open_ == ["/properties/settings/SequenceVersion"]


def test_a_template_is_judged_without_its_parameters() -> None:
    asked = extension(volumes="OS")
    asked.pop("id")
    asked["properties"]["settings"]["KeyVaultURL"] = "[parameters('vault')]"
    template = {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {"vault": {"type": "string"}},
        "resources": [asked],
    }
    files = Files(Deployment("", "11111111-1111-1111-1111-111111111111", "shop"))
    files.add("template.json", json.dumps(template, indent=1).encode())
    files.add("vm.json", json.dumps([SHOWN, SINGLE_RAN]).encode())
    read = list(files.documents())
    report = check_documents([each for one in read for each in one.found], locate=files.locate)
    assert any("the volumes are All" in each for each in problems(report))
    (origin,) = [each.origin for each in report.violations if each.rule.id == "transition"]
    assert origin is not None
    assert (origin.file, origin.line) == ("template.json", 10)


def verdict(report: Report) -> tuple[frozenset[str], frozenset[str]]:
    return frozenset(problems(report)), frozenset(missing(report))


MADE_ANEW = {**machine(new=True), "properties": {**machine(new=True)["properties"]}}
TELLERS = [
    [MADE_ANEW, SHOWN, SINGLE_RAN, extension(volumes="OS")],
    [machine(os_disk=True), machine(data=True), SINGLE_RAN, extension("DisableEncryption", "Data")],
    [machine(), encrypted_disk("os", "1.1"), encrypted_disk("data", "1.1"), extension(dual=True)],
    [
        machine(os_disk=False, data=False),
        {**encrypted_disk("os", "1.1"), "properties": {"creationData": {"createOption": "Empty"}}},
        extension("UpdateEncryptionSettings"),
    ],
]


@pytest.mark.parametrize("documents", TELLERS)
def test_what_several_documents_tell_of_a_machine_is_taken_together_in_any_order(
    documents: list[dict[str, Any]],
) -> None:
    found = {verdict(report_of(*order)) for order in itertools.permutations(documents)}
    assert len(found) == 1
    assert next(iter(found))[0]


def test_a_template_that_makes_a_machine_again_does_not_hide_that_it_is_there() -> None:
    again = [MADE_ANEW, extension(volumes="OS")]
    assert verdict(report_of(*again)) == (frozenset(), frozenset())
    assert list(problems(report_of(*again, SHOWN, SINGLE_RAN)))


def test_documents_that_contradict_each_other_leave_it_open() -> None:
    asked = extension("DisableEncryption", "Data", sequence=None)
    report = report_of(machine(os_disk=True, data=True), machine(os_disk=False, data=True), asked)
    assert missing(report)
    assert not list(problems(report))


def test_of_machines_of_one_name_any_may_be_meant() -> None:
    other = copy.deepcopy(machine(os_disk=False, data=False))
    other["id"] = other["id"].replace("resourceGroups/shop", "resourceGroups/other")
    asked = extension("DisableEncryption", "Data", sequence=None)
    del asked["id"]
    assert list(problems(report_of(machine(os_disk=False, data=False), other, asked)))
    found = {
        verdict(report_of(*order))
        for order in itertools.permutations([machine(os_disk=False, data=True), other, asked])
    }
    assert len(found) == 1
    assert next(iter(found))[1]


def test_making_something_unknown_never_turns_a_violation_into_a_pass() -> None:
    documents = [SHOWN, SINGLE_RAN, encrypted_disk("os", "1.1"), extension(volumes="OS")]
    assert list(problems(report_of(*documents)))
    spoilt = 0
    for number, document in enumerate(documents):
        for at in places(document["properties"]):
            changed = altered(documents, (number, "properties", *at), UNKNOWN)
            report = report_of(*changed)
            about = {each.rule.id for each in report.violations}
            about |= {each.rule.id for each in report.not_checked}
            assert about & {"transition", "settings", "document"}, (number, at)
            spoilt += 1
    assert spoilt > 40


def test_ids_and_names_are_compared_without_case() -> None:
    shouted = json.loads(json.dumps(SHOWN).replace("/shop/", "/SHOP/").replace("web-01", "WEB-01"))
    asked = extension(volumes="OS", sequence=SECOND)
    assert verdict(report_of(shouted, SINGLE_RAN, asked))[0]
    nameless = {key: each for key, each in asked.items() if key != "id"}
    assert verdict(report_of(shouted, SINGLE_RAN, nameless))[0]


@pytest.mark.parametrize("given", [{}, {"settings": None}], ids=["absent", "null"])
def test_an_extension_that_is_yet_to_be_deployed_has_settings(given: dict[str, Any]) -> None:
    asked = extension()
    del asked["properties"]["settings"]
    asked["properties"] |= given
    assert "/properties/settings/EncryptionOperation" in settings_of(report_of(asked))[0][0]
    # What lists those that are there leaves them out.
    asked["properties"]["provisioningState"] = "Succeeded"
    assert settings_of(report_of(asked)) == ([], [])
