"""Whatever is built is valid by ARM's schemas, is read back the same, and is one `az` command."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from keyhier.azure_disk.az import az_extension, az_set_create, az_set_update
from keyhier.azure_disk.disk_model import DiskCollection, VolumeSettings
from keyhier.azure_disk.set_resource import SetResource
from keyhier.azure_disk.settings import ExtensionSettings, Operation
from keyhier.placement.arm_id import ArmId
from tests.azure_disk import arm_schemas
from tests.azure_disk.strategies import collections, extensions, sets, vm_ids, volumes

MACHINES = "2026-03-01/Microsoft.Compute.json"
EXTENSIONS = "2026-03-01/Microsoft.Compute.Extensions.json"
DISKS = "2026-03-02/Microsoft.Compute.json"


Validate = Callable[[str, str, object], None]


@pytest.fixture(scope="module")
def validate(material: Path) -> Validate:
    known = arm_schemas.registry(material / "azure" / "arm-schemas")
    return lambda file, definition, document: arm_schemas.validate(
        known, file, definition, document
    )


def again(document: object) -> Any:
    """Return a document as it comes out of a file."""
    return json.loads(json.dumps(document))


def options(line: str) -> dict[str, str | None]:
    """Return the options of a command by their names; a flag has no value."""
    found: dict[str, str | None] = {}
    name = None
    for word in shlex.split(line):
        if word.startswith("--"):
            name, equals, value = word.partition("=")
            assert name not in found
            found[name] = value if equals else None
        elif name is not None:
            # Several values of one option are joined as the shell would show them.
            found[name] = word if found[name] is None else f"{found[name]} {word}"
    return found


@given(extensions())
@settings(max_examples=100)
def test_settings_of_the_extension_come_back(validate: Validate, each: Any) -> None:
    resource = again(each.as_resource("web-01", "eastus2"))
    definition = "resourceDefinitions/virtualMachines_extensions"
    validate(EXTENSIONS, definition, resource)
    assert ExtensionSettings.parse(resource) == each
    # As `az vm extension show` prints it: flat, and the type under another name.
    flat = {**resource, **resource["properties"]}
    del flat["properties"]
    assert ExtensionSettings.parse(flat | {"typePropertiesType": flat["type"]}) == each


@given(volumes(), collections)
@settings(max_examples=100)
def test_models_of_machines_and_disks_come_back(
    validate: Validate, volume: VolumeSettings, collection: DiskCollection
) -> None:
    model = again(volume.as_machine_model())
    validate(MACHINES, "definitions/DiskEncryptionSettings", model)
    assert VolumeSettings.parse(model) == volume
    content = again(collection.as_properties())["encryptionSettingsCollection"]
    validate(DISKS, "definitions/EncryptionSettingsCollection", content)
    assert DiskCollection.parse(content) == collection


@given(sets())
@settings(max_examples=100)
def test_sets_come_back(validate: Validate, each: SetResource) -> None:
    resource = again(each.as_resource())
    validate(DISKS, "resourceDefinitions/diskEncryptionSets", resource)
    assert SetResource.parse({**resource, "id": str(each.id)}) == each
    flat = {**resource, **resource["properties"], "id": str(each.id)}
    del flat["properties"]
    assert SetResource.parse(flat) == each


@given(extensions(), vm_ids)
@settings(max_examples=100)
def test_the_command_of_an_extension_says_all_of_it(
    each: ExtensionSettings, machine: ArmId
) -> None:
    if each.passphrase_parameter is not None:
        return
    line = az_extension(machine, each)
    found = options(line)
    assert found["--subscription"] == machine.subscription
    assert found["--resource-group"] == machine.resource_group
    if each.operation is Operation.UPDATE:
        assert found["--vm-name"] == machine.name
        assert json.loads(str(found["--settings"])) == each.as_settings()
        assert (found["--name"], found["--version"]) == (each.type, each.version)
        return
    assert found["--name"] == machine.name
    if each.operation is Operation.QUERY:
        return
    assert str(found["--volume-type"]) == each.volumes.value.upper()
    enabling = each.operation is not Operation.DISABLE
    assert ("encryption enable" in line) is enabling
    assert ("--encrypt-format-all" in found) is (each.operation is Operation.ENABLE_FORMAT_ALL)
    if each.vault is not None:
        named = each.vault.id or each.vault.host.partition(".")[0]
        assert found["--disk-encryption-keyvault"] == str(named)
    assert found.get("--key-encryption-key") == (None if each.kek is None else str(each.kek.id))
    if each.kek is not None:
        assert found["--key-encryption-algorithm"] == each.kek.algorithm
    assert found.get("--aad-client-id") == (each.application and each.application.client_id)
    if each.application is not None and each.application.secret_parameter is not None:
        # A variable of the environment: the secret itself stands nowhere.
        assert found["--aad-client-secret"] == f"${each.application.secret_parameter}"


@given(sets())
@settings(max_examples=100)
def test_the_command_of_a_set_says_all_of_it(each: SetResource) -> None:
    found = options(az_set_create(each))
    assert (found["--name"], found["--location"]) == (each.id.name, each.location)
    assert found["--encryption-type"] == each.encryption_type
    assert ("--mi-system-assigned" in found) is each.system_identity
    users = " ".join(map(str, each.user_identities)) or None
    assert found.get("--mi-user-assigned") == users
    assert found.get("--federated-client-id") == each.federated_client_id
    for told in (found, options(az_set_update(each))):
        assert told["--key-url"] == str(each.key)
        assert told.get("--source-vault") == (each.vault and str(each.vault))
        assert told["--enable-auto-key-rotation"] == str(each.follow_latest).lower()
