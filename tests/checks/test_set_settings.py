"""What is wrong with an encryption set is told, whatever else of it is unknown."""

from __future__ import annotations

from typing import Any

import pytest

from keyhier.checks.check import check_documents
from keyhier.placement.unknown import UNKNOWN
from tests.plans.scenes import GROUP, encryption_set

_SET = encryption_set()
_IDENTITY = f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/me"
_CLIENT = "44444444-4444-4444-4444-444444444444"


def told(document: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the set's settings are refused, and whether they are not checked."""
    report = check_documents([(document, None)])
    return (
        "set-settings" in {each.rule.id for each in report.violations},
        "set-settings" in {each.rule.id for each in report.not_checked},
    )


def changed(document: dict[str, Any], **properties: Any) -> dict[str, Any]:
    return document | {"properties": document["properties"] | properties}


VERSIONLESS = changed(_SET, activeKey={"keyUrl": "https://contoso-kv.vault.azure.net/keys/cmk"})
OPEN: dict[str, dict[str, Any]] = {
    "location": {"location": UNKNOWN},
    "identity": {"identity": UNKNOWN},
    "kind of identity": {"identity": {"type": UNKNOWN}},
    "both": {"location": UNKNOWN, "identity": UNKNOWN},
}


def test_a_set_that_is_known_and_sound_is_neither_refused_nor_open() -> None:
    assert told(_SET) == (False, False)


@pytest.mark.parametrize("name", OPEN)
def test_what_is_unknown_hides_no_key_without_a_version(name: str) -> None:
    assert told(VERSIONLESS | OPEN[name]) == (True, True)
    assert told(_SET | OPEN[name]) == (False, True)


@pytest.mark.parametrize(
    "name", ["encryptionType", "rotationToLatestKeyVersionEnabled", "federatedClientId"]
)
def test_an_unknown_property_hides_no_key_without_a_version(name: str) -> None:
    assert told(changed(VERSIONLESS, **{name: UNKNOWN})) == (True, True)
    assert told(changed(_SET, **{name: UNKNOWN})) == (False, True)


def test_whether_identity_and_application_go_together_is_open_where_one_is() -> None:
    named = {"type": "UserAssigned", "userAssignedIdentities": {_IDENTITY: {}}}
    assert told(changed(_SET, federatedClientId=_CLIENT)) == (True, False)
    assert told(changed(_SET | {"identity": UNKNOWN}, federatedClientId=_CLIENT)) == (False, True)
    assert told(changed(_SET, federatedClientId=UNKNOWN)) == (False, True)
    assert told(changed(_SET | {"identity": named}, federatedClientId=_CLIENT)) == (False, False)


def test_an_unknown_key_is_not_checked() -> None:
    assert told(changed(_SET, activeKey={"keyUrl": UNKNOWN})) == (False, True)
