"""Whatever stands in a document ends in a report, in every format, and in no traceback."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree as ET

from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.placement import fleet
from keyhier.checks.check import check_documents
from keyhier.checks.files import Files
from keyhier.placement.arm.deployment import Deployment
from keyhier.placement.junit import as_junit
from keyhier.placement.report_text import as_text
from keyhier.placement.sarif import as_sarif
from tests.checks import test_scale_set_transitions, test_transitions, test_vault_flags
from tests.json_places import altered, places
from tests.placement import test_terraform, test_terraform_scale_sets
from tests.placement.sarif_schema import check_sarif

RESOURCES = [
    *fleet(1),
    test_transitions.machine(os_disk=True, data=True),
    test_transitions.encrypted_disk("os", "1.1"),
    test_transitions.SINGLE_RAN,
    test_transitions.extension("DisableEncryption", "Data"),
    test_vault_flags.machine(**test_vault_flags.OWN_VHD),
    test_scale_set_transitions.shown(test_scale_set_transitions.DATA),
    test_scale_set_transitions.instance(resources=[test_transitions.DUAL_RAN]),
    test_scale_set_transitions.template(test_transitions.extension("[parameters('x')]")),
]
DOCUMENTS: list[Any] = [
    RESOURCES,
    {"contentVersion": "1", "variables": {"x": "a"}, "resources": RESOURCES},
    {"$schema": test_vault_flags.SCHEMA, "parameters": {"x": test_vault_flags.REFERENCE}},
    test_terraform.plan(),
    {
        "format_version": "1.2",
        "planned_values": {
            "root_module": {
                "resources": [
                    test_terraform_scale_sets.scale_set(
                        kind, extension=[test_terraform_scale_sets.ADE]
                    )
                    for kind in test_terraform_scale_sets.KINDS
                ]
            }
        },
        "resource_changes": [{"address": "x", "change": {"after_unknown": {"data_disk": [{}]}}}],
    },
]
ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 10**30, "", "x", "\ud800", "a" * 3000, "[x(]", "[[x"),
    *([], [1], [None], [[]], {}, {"": {}}, {"a": 1}, "/subscriptions/x"),
    *("[parameters('a')]", "[variables('x')]", "[if(true(), 1, 2)]", "EnableEncryption"),
    {"copy": [{"name": "a", "count": 3, "input": "[copyIndex()]"}]},
]


@given(st.data())
@settings(max_examples=120, deadline=None)
def test_whatever_stands_in_a_document_ends_in_a_report(data: st.DataObject) -> None:
    sound = data.draw(st.sampled_from(DOCUMENTS))
    at = data.draw(st.sampled_from(list(places(sound))))
    document = altered(sound, at, data.draw(st.sampled_from(ODD)))
    files = Files(Deployment(""))
    files.add("a.json", json.dumps(document).encode())
    read = list(files.documents())
    found = [each for one in read for each in one.found]
    troubles = [*files.troubles, *(each for one in read for each in one.troubles)]
    report = check_documents(found, troubles, locate=files.locate)
    assert as_text(report).splitlines()[-1].startswith("rules strict:")
    check_sarif(as_sarif(report))
    assert ET.fromstring(as_junit(report)).tag == "testsuites"
    # Something is told or kept: no document is passed in silence.
    assert report.violations or report.not_checked or report.kept
