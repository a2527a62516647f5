"""Extensions of which nobody knows whether they are of Azure Disk Encryption."""

from __future__ import annotations

from typing import Any

import pytest

from keyhier.placement import UNKNOWN
from keyhier.placement.model import NO_ADE, Ade, VirtualMachine
from tests.placement.documents import EXTENSION, MACHINE, read

EXPRESSION = "[parameters('which')]"
# What tells neither the type nor the settings.
IN_DOUBT: dict[str, Any] = {
    "type": {"type": EXPRESSION},
    "type and settings": {"type": EXPRESSION, "settings": EXPRESSION},
    "read as unknown": {"type": UNKNOWN, "settings": UNKNOWN},
    "no type": {"settings": EXPRESSION},
    "protected settings alone": {"type": EXPRESSION, "protectedSettings": {"a": "b"}},
    "nothing": {"publisher": "Microsoft.Azure.Security"},
    "everything": EXPRESSION,
}
SCALE_SET: dict[str, Any] = {
    "type": "Microsoft.Compute/virtualMachineScaleSets",
    "name": "web",
    "sku": {"name": "Standard_D4s_v5"},
}


def ade_of(*documents: dict[str, Any]) -> Ade:
    machine = next(each for each in read(*documents) if isinstance(each, VirtualMachine))
    return machine.ade


def scale_set(profile: object) -> dict[str, Any]:
    return {**SCALE_SET, "properties": {"virtualMachineProfile": {"extensionProfile": profile}}}


@pytest.mark.parametrize("properties", IN_DOUBT.values(), ids=IN_DOUBT)
def test_where_nobody_knows_an_extension_nobody_knows_of_encryption(properties: Any) -> None:
    extension = {**EXTENSION, "properties": properties}
    assert ade_of(MACHINE) == NO_ADE
    assert ade_of(MACHINE, extension) == Ade()
    assert ade_of(extension) == Ade()
    assert ade_of({**MACHINE, "resources": [extension]}) == Ade()
    assert ade_of(scale_set({"extensions": [{"name": "e", "properties": properties}]})) == Ade()


def test_an_extension_that_is_only_named_may_be_of_disk_encryption() -> None:
    assert ade_of({**MACHINE, "resources": [{"id": "e"}]}) == Ade()
    printed = {"type": "Microsoft.Compute/virtualMachines/extensions", "name": "e"}
    assert ade_of({**MACHINE, "resources": [printed]}) == Ade()


@pytest.mark.parametrize("unknown", [UNKNOWN, EXPRESSION])
def test_where_nobody_knows_the_extensions_nobody_knows_of_encryption(unknown: object) -> None:
    assert ade_of(scale_set({"extensions": []})) == NO_ADE
    assert ade_of(scale_set({"extensions": unknown})) == Ade()
    assert ade_of(scale_set(unknown)) == Ade()
    assert ade_of({**MACHINE, "resources": unknown}) == Ade()
    assert ade_of({**MACHINE, "resources": [unknown]}) == Ade()


def test_a_known_extension_counts_beside_an_unknown_one() -> None:
    doubtful = {**EXTENSION, "name": "web-01/e", "properties": {"type": EXPRESSION}}
    nobodys = {**doubtful, "name": EXPRESSION}
    known = ade_of(MACHINE, EXTENSION)
    assert known.enabled is True
    for other in (doubtful, nobodys):
        assert ade_of(MACHINE, EXTENSION, other) == known
        assert ade_of(MACHINE, other, EXTENSION) == known
        assert ade_of({**MACHINE, "resources": [EXTENSION]}, other) == known
    for listed in ([EXTENSION, doubtful], [doubtful, EXTENSION]):
        assert ade_of({**MACHINE, "resources": listed}) == known


def test_an_unknown_extension_may_enable_what_another_disabled() -> None:
    settings = {"EncryptionOperation": "DisableEncryption", "VolumeType": "All"}
    off = {**EXTENSION, "properties": {"type": "AzureDiskEncryption", "settings": settings}}
    doubtful = {**EXTENSION, "name": "web-01/e", "properties": {"type": EXPRESSION}}
    assert ade_of(MACHINE, off).enabled is False
    assert ade_of(MACHINE, off, doubtful) == Ade(ever=True)


@pytest.mark.parametrize(
    "properties",
    [
        {"type": "CustomScript", "settings": EXPRESSION},
        {"type": "CustomScript"},
        {"type": EXPRESSION, "settings": {"fileUris": EXPRESSION}},
        {"type": EXPRESSION, "settings": {}},
    ],
)
def test_an_extension_that_is_known_to_be_another_says_nothing(properties: Any) -> None:
    other = {**EXTENSION, "properties": properties}
    assert ade_of(MACHINE, other) == NO_ADE
    assert ade_of({**MACHINE, "resources": [other]}) == NO_ADE


def test_what_az_prints_of_another_extension_says_nothing() -> None:
    kind = "Microsoft.Compute/virtualMachines/extensions"
    printed = {"type": kind, "name": "e", "typePropertiesType": "CustomScript", "settings": None}
    assert ade_of({**MACHINE, "resources": [printed]}) == NO_ADE


def test_a_run_command_beside_extensions_is_none() -> None:
    command = {"type": "Microsoft.Compute/virtualMachines/runCommands", "properties": {}}
    assert ade_of({**MACHINE, "resources": [command]}) == NO_ADE
