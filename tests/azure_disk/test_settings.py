"""The extension's settings: built, valid by ARM's schemas, parsed back, conflicts refused."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from referencing import Registry

from keyhier.algorithms import WrapAlgorithm
from keyhier.azure_disk.addresses import KekAddress, VaultAddress
from keyhier.azure_disk.az import az_extension
from keyhier.azure_disk.open_settings import OpenSettings
from keyhier.azure_disk.settings import Application, ExtensionSettings, Generation, Operation
from keyhier.azure_disk.transitions import Current, check_transition
from keyhier.errors import InvalidInputError, InvalidStateError, KeyhierError, UnsupportedError
from keyhier.identifiers import KeyId
from keyhier.placement.model import System, VirtualMachine, Volumes
from keyhier.placement.resources import read_resources
from tests.azure_disk import arm_schemas
from tests.placement.scenes import KEK_URL, KEK_VAULT_ID, VAULT_ID, VM_ID

W, L = System.WINDOWS, System.LINUX
ONE, DUAL = Generation.SINGLE_PASS, Generation.DUAL_PASS
GUID = "38533033-aa50-4907-bc91-d6a8c77ea23f"
VAULT = VaultAddress.parse("https://contoso-kv.vault.azure.net/", VAULT_ID)
KEK = KekAddress(KeyId.parse(KEK_URL), vault=KEK_VAULT_ID)
CERTIFICATE = Application("app-id", thumbprint="00FF")
SECRET = Application("app-id", secret_parameter="aadClientSecret")


def settings(**changes: Any) -> ExtensionSettings:
    defaults: dict[str, Any] = {
        "system": L,
        "operation": Operation.ENABLE,
        "vault": VAULT,
        "sequence_version": GUID,
    }
    return ExtensionSettings(**{**defaults, **changes})


def without_vault(**changes: Any) -> ExtensionSettings:
    return settings(**{"vault": None, **changes})


ALL = [
    *(
        settings(system=system, kek=kek, generation=generation, application=application)
        for system in System
        for kek in (None, KEK)
        for generation, application in ((ONE, None), (DUAL, CERTIFICATE), (DUAL, SECRET))
    ),
    settings(operation=Operation.ENABLE_FORMAT_ALL, volumes=Volumes.DATA),
    settings(operation=Operation.UPDATE, kek=KEK),
    settings(passphrase_parameter="passphrase"),
    settings(kek=attrs.evolve(KEK, algorithm=WrapAlgorithm.RSA1_5)),
    settings(
        generation=DUAL,
        application=CERTIFICATE,
        vault=attrs.evolve(VAULT, id=None),
        kek=attrs.evolve(KEK, vault=None),
    ),
    without_vault(system=W, operation=Operation.DISABLE),
    without_vault(operation=Operation.DISABLE, volumes=Volumes.DATA, generation=DUAL),
    without_vault(operation=Operation.QUERY),
    settings(sequence_version=None),
]


@pytest.fixture(scope="module")
def schemas(material: Path) -> Registry[Any]:
    return arm_schemas.registry(material / "azure" / "arm-schemas")


@pytest.mark.parametrize("each", ALL)
def test_settings_are_valid_by_the_schema_and_read_back(
    each: ExtensionSettings, schemas: Registry[Any]
) -> None:
    resource = each.as_resource("web-01", "eastus2")
    arm_schemas.validate(
        schemas,
        "2026-03-01/Microsoft.Compute.Extensions.json",
        "resourceDefinitions/virtualMachines_extensions",
        resource,
    )
    assert ExtensionSettings.parse(json.loads(json.dumps(resource))) == each
    assert ExtensionSettings.parse(each.as_properties()) == each


@pytest.mark.parametrize("each", ALL)
def test_what_is_built_tells_placement_of_the_encryption(each: ExtensionSettings) -> None:
    machine = {"type": "Microsoft.Compute/virtualMachines", "name": "web-01", "properties": {}}
    (read,) = read_resources([(machine, None), (each.as_resource("web-01", "eastus2"), None)])
    assert isinstance(read, VirtualMachine)
    assert read.ade.enabled is (each.operation is not Operation.DISABLE)
    assert (read.ade.kek is None) == (each.kek is None)


@pytest.mark.parametrize(
    ("system", "generation", "version"),
    [(W, ONE, "2.2"), (W, DUAL, "1.1"), (L, ONE, "1.1"), (L, DUAL, "0.1")],
)
def test_each_generation_has_its_version(
    system: System, generation: Generation, version: str
) -> None:
    application = CERTIFICATE if generation is DUAL else None
    built = settings(system=system, generation=generation, application=application)
    assert built.as_properties()["typeHandlerVersion"] == version


def test_a_new_guid_is_taken_each_time() -> None:
    one, other = (
        ExtensionSettings(system=L, operation=Operation.ENABLE, vault=VAULT) for _ in range(2)
    )
    assert one.sequence_version != other.sequence_version


def test_promise_7_no_secret_stands_in_the_settings() -> None:
    resource = settings(generation=DUAL, application=SECRET).as_resource("vm", "eastus2")
    assert resource["properties"]["protectedSettings"] == {
        "AADClientSecret": "[parameters('aadClientSecret')]"
    }
    resource["properties"]["protectedSettings"]["AADClientSecret"] = "hunter2"
    with pytest.raises(InvalidInputError, match="secure parameter") as caught:
        ExtensionSettings.parse(resource)
    assert "hunter2" not in str(caught.value)


CONFLICTS: list[tuple[dict[str, Any], str]] = [
    ({"system": W, "operation": Operation.ENABLE_FORMAT_ALL}, "for Linux alone"),
    ({"operation": Operation.ENABLE_FORMAT_ALL, "volumes": Volumes.OS}, "formats data volumes"),
    ({"system": W, "passphrase_parameter": "p"}, "a passphrase is for Linux alone"),
    ({"generation": DUAL}, "dual-pass needs an application"),
    ({"application": CERTIFICATE}, "single-pass takes none"),
    ({"vault": None}, "EnableEncryption names a vault"),
    ({"vault": attrs.evolve(VAULT, id=None)}, "single-pass needs the ARM id of the vault"),
    ({"kek": attrs.evolve(KEK, vault=None)}, "single-pass needs the ARM id of the key's vault"),
    ({"operation": Operation.DISABLE, "volumes": Volumes.DATA}, "takes no vault and no key"),
    (
        {"operation": Operation.DISABLE, "vault": None, "volumes": Volumes.OS},
        "Linux OS volume cannot be disabled",
    ),
    ({"operation": Operation.DISABLE, "vault": None}, "Linux OS volume cannot be disabled"),
    (
        {"system": W, "operation": Operation.DISABLE, "vault": None, "application": CERTIFICATE},
        "single-pass takes no application",
    ),
    ({"sequence_version": "1.0"}, "'1.0' is no GUID"),
]


@pytest.mark.parametrize(("changes", "told"), CONFLICTS)
def test_a_conflict_is_an_error(changes: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        settings(**changes)


@pytest.mark.parametrize("name", ["protectedSettings", "PROTECTEDSETTINGS"])
@pytest.mark.parametrize(
    "given", ['{"AADClientSecret": "hunter2"}', ["hunter2"], {"Passphrase": ["hunter2"]}]
)
@pytest.mark.parametrize("parse", [ExtensionSettings.parse, OpenSettings.parse])
def test_promise_7_protected_settings_that_are_malformed_are_not_shown(
    name: str, given: object, parse: Callable[[object], object]
) -> None:
    resource = settings().as_resource("vm", "eastus2")
    resource["properties"].pop("protectedSettings", None)
    resource["properties"][name] = given
    with pytest.raises(InvalidInputError, match=f"/properties/{name}") as caught:
        parse(resource)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("version", ["2.2", "1.1", "0.1"])
@pytest.mark.parametrize("parse", [ExtensionSettings.parse, OpenSettings.parse])
def test_an_extension_is_not_for_two_systems(
    version: str, parse: Callable[[object], object]
) -> None:
    properties = settings().as_resource("vm", "eastus2")["properties"]
    both = {"type": "AzureDiskEncryption", "typePropertiesType": "AzureDiskEncryptionForLinux"}
    with pytest.raises(InvalidInputError, match="/type: the same as typePropertiesType"):
        parse({"properties": {**properties, **both, "typeHandlerVersion": version}})


@pytest.mark.parametrize(("thumbprint", "secret"), [(None, None), ("00FF", "aadClientSecret")])
def test_an_application_proves_itself_in_one_way(
    thumbprint: str | None, secret: str | None
) -> None:
    with pytest.raises(InvalidInputError, match="and not with both"):
        Application("app-id", thumbprint, secret)


@pytest.mark.parametrize(
    "url",
    [
        "https://contoso-kv.vault.azure.net",
        "https://contoso-kv.vault.azure.net/",
        "HTTPS://CONTOSO-KV.vault.azure.net:443/",
    ],
)
def test_the_forms_of_a_vault_url_that_the_extension_takes(url: str) -> None:
    assert VaultAddress.parse(url, VAULT_ID) == VAULT
    assert VAULT.url == "https://contoso-kv.vault.azure.net/"


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://contoso-kv.vault.azure.net/", "is no URL of a vault"),
        ("https://contoso-kv.vault.azure.net:8443/", "is no URL of a vault"),
        ("https://contoso-kv.vault.azure.net/secrets", "is no URL of a vault"),
        ("https://fabrikam.vault.azure.net/", "names contoso-kv and its URL names fabrikam"),
    ],
)
def test_other_urls_and_urls_of_another_vault_are_refused(url: str, told: str) -> None:
    with pytest.raises(InvalidInputError, match=told):
        VaultAddress.parse(url, VAULT_ID)


def test_a_kek_has_a_version_a_vault_of_its_own_and_a_fitting_algorithm() -> None:
    with pytest.raises(InvalidInputError, match="without its version"):
        KekAddress(KEK.id.versionless, vault=KEK_VAULT_ID)
    with pytest.raises(InvalidInputError, match="no key in a key vault"):
        KekAddress(KeyId.parse("memory:kek/1"))
    with pytest.raises(InvalidInputError, match="names contoso-kv and its URL names contoso-kek"):
        KekAddress(KEK.id, vault=VAULT_ID)
    with pytest.raises(InvalidInputError, match="is no id of a key vault"):
        KekAddress(KEK.id, vault=VM_ID)
    with pytest.raises(InvalidInputError, match="wraps with RSA-OAEP"):
        KekAddress(KEK.id, WrapAlgorithm.A256KW, KEK_VAULT_ID)


@pytest.mark.parametrize(
    ("place", "value", "told"),
    [
        ("type", "CustomScript", "/type: one of AzureDiskEncryption"),
        ("typeHandlerVersion", "3.0", "/typeHandlerVersion: a version of one of the generations"),
        ("typeHandlerVersion", None, "/typeHandlerVersion: a value belongs here"),
        ("settings/EncryptionOperation", "Encrypt", "/settings/EncryptionOperation: one of Enable"),
        ("settings/VolumeType", "[parameters('v')]", "/settings/VolumeType: OS, Data or All"),
        ("settings/KeyVaultURL", "[parameters('u')]", "and no expression"),
        ("settings/KeyVaultResourceId", "/x", "/settings/KeyVaultResourceId: "),
        ("settings/KeyVaultResourceId", "[parameters('u')]", "and no expression"),
        ("settings/KeyEncryptionAlgorithm", "rsa-oaep", "the algorithm is 'rsa-oaep'"),
    ],
)
def test_what_is_malformed_is_named_with_its_place(place: str, value: object, told: str) -> None:
    properties: Any = settings(kek=KEK).as_properties()
    *path, last = place.split("/")
    target = properties
    for name in path:
        target = target[name]
    target[last] = value
    with pytest.raises(InvalidInputError, match=told):
        ExtensionSettings.parse(properties)


@given(
    st.dictionaries(
        st.sampled_from(["EncryptionOperation", "KeyVaultURL", "VolumeType", "AADClientID"]),
        st.none() | st.text(max_size=12) | st.integers() | st.sampled_from(list(Operation)),
    )
)
def test_any_settings_are_read_or_refused(content: dict[str, Any]) -> None:
    document = {"type": "AzureDiskEncryption", "typeHandlerVersion": "2.2", "settings": content}
    try:
        ExtensionSettings.parse(document)
    except KeyhierError:
        return


# Transitions


TRANSITIONS: list[tuple[Current, ExtensionSettings, str | None]] = [
    (Current(), settings(), None),
    (Current(), settings(volumes=Volumes.DATA), None),
    (Current(), settings(system=W, volumes=Volumes.DATA), "without the OS volume"),
    (Current(), settings(system=W, volumes=Volumes.OS), None),
    (Current(Volumes.OS), settings(volumes=Volumes.OS), None),
    (Current(Volumes.OS), settings(volumes=Volumes.ALL), None),
    (Current(Volumes.OS), settings(volumes=Volumes.DATA), "are OS and can stay or widen to All"),
    (Current(Volumes.ALL), settings(volumes=Volumes.OS), "are All and can stay or widen to All"),
    (Current(Volumes.DATA), settings(volumes=Volumes.ALL), None),
    (Current(other_method=True), settings(), "take no Azure Disk Encryption"),
    (Current(generation=DUAL), settings(), "stays with it"),
    (
        Current(generation=ONE),
        settings(generation=DUAL, application=CERTIFICATE),
        "without an application takes none",
    ),
    (Current(sequence_version=GUID.upper()), settings(), "the extension would not run"),
    (Current(sequence_version=GUID), settings(sequence_version=None), None),
    (Current(), settings(operation=Operation.UPDATE), "no settings to update"),
    (Current(Volumes.ALL), settings(operation=Operation.UPDATE, kek=KEK), None),
    (Current(Volumes.OS), settings(operation=Operation.UPDATE, volumes=Volumes.ALL), None),
    (
        Current(Volumes.ALL),
        settings(operation=Operation.UPDATE, volumes=Volumes.OS),
        "are All and can stay or widen to All",
    ),
    (Current(), without_vault(operation=Operation.QUERY), None),
    (Current(), without_vault(system=W, operation=Operation.DISABLE), "nothing to disable"),
    (Current(Volumes.ALL), without_vault(system=W, operation=Operation.DISABLE), None),
    (
        Current(Volumes.DATA),
        without_vault(operation=Operation.DISABLE, volumes=Volumes.DATA),
        None,
    ),
    (
        Current(Volumes.ALL),
        without_vault(operation=Operation.DISABLE, volumes=Volumes.DATA),
        "while the OS volume is encrypted",
    ),
]


@pytest.mark.parametrize(("current", "wanted", "told"), TRANSITIONS)
def test_each_transition_is_allowed_or_refused(
    current: Current, wanted: ExtensionSettings, told: str | None
) -> None:
    if told is None:
        check_transition(current, wanted)
    else:
        with pytest.raises(InvalidStateError, match=told):
            check_transition(current, wanted)


# Azure CLI


def test_enabling_is_one_command() -> None:
    words = shlex.split(az_extension(VM_ID, settings(kek=KEK)))
    assert words[:4] == ["az", "vm", "encryption", "enable"]
    options = dict(zip(words[4::2], words[5::2], strict=True))
    assert options == {
        "--subscription": VM_ID.subscription,
        "--resource-group": "rg",
        "--name": "web-01",
        "--disk-encryption-keyvault": str(VAULT_ID),
        "--key-encryption-key": KEK_URL,
        "--key-encryption-keyvault": str(KEK_VAULT_ID),
        "--key-encryption-algorithm": "RSA-OAEP",
        "--volume-type": "ALL",
    }


def test_the_other_operations_have_commands_too() -> None:
    line = az_extension(VM_ID, settings(operation=Operation.ENABLE_FORMAT_ALL))
    assert line.endswith("--volume-type ALL --encrypt-format-all")
    line = az_extension(VM_ID, without_vault(system=W, operation=Operation.DISABLE))
    assert "vm encryption disable" in line
    assert "vm encryption show" in az_extension(VM_ID, without_vault(operation=Operation.QUERY))
    words = shlex.split(az_extension(VM_ID, settings(operation=Operation.UPDATE)))
    assert json.loads(words[-1]) == settings(operation=Operation.UPDATE).as_settings()


def test_a_scale_set_has_commands_of_its_own() -> None:
    scale_set = attrs.evolve(VM_ID, type="Microsoft.Compute/virtualMachineScaleSets")
    words = shlex.split(az_extension(scale_set, settings(kek=KEK)))
    assert words[:4] == ["az", "vmss", "encryption", "enable"]
    disabled = without_vault(system=W, operation=Operation.DISABLE)
    assert az_extension(scale_set, disabled).startswith("az vmss encryption disable ")
    shown = az_extension(scale_set, without_vault(operation=Operation.QUERY))
    assert shown.startswith("az vmss encryption show ")
    updated = az_extension(scale_set, settings(operation=Operation.UPDATE))
    assert updated.startswith("az vmss extension set ")
    assert "--vmss-name web-01" in updated
    for without_option in (
        settings(operation=Operation.ENABLE_FORMAT_ALL),
        settings(generation=DUAL, application=SECRET),
    ):
        with pytest.raises(UnsupportedError, match="for a scale set"):
            az_extension(scale_set, without_option)


def test_an_update_takes_the_applications_secret_from_the_environment() -> None:
    update = settings(operation=Operation.UPDATE, generation=DUAL, application=SECRET)
    line = az_extension(VM_ID, update)
    assert "--protected-settings" in line
    # What the shell makes of it.
    shown = subprocess.run(
        ["sh", "-c", line.replace("az ", "printf '%s\\n' ", 1)],
        env={"aadClientSecret": "s3~cret"},
        capture_output=True,
        check=True,
        text=True,
    )
    assert json.loads(shown.stdout.splitlines()[-1]) == {"AADClientSecret": "s3~cret"}


def test_promise_7_a_command_names_a_secret_and_does_not_hold_it() -> None:
    line = az_extension(VM_ID, settings(generation=DUAL, application=SECRET))
    assert line.endswith('--aad-client-id app-id --aad-client-secret "$aadClientSecret"')
    line = az_extension(VM_ID, settings(generation=DUAL, application=CERTIFICATE))
    assert line.endswith("--aad-client-cert-thumbprint 00FF")


def test_names_are_quoted_and_run_nothing() -> None:
    machine = attrs.evolve(VM_ID, names=('"$(touch x)"; reboot #',))
    words = shlex.split(az_extension(machine, settings()))
    assert words[words.index("--name") + 1] == '"$(touch x)"; reboot #'


@pytest.mark.parametrize("name", ["", "a b", "a')]", "1a", '";reboot;"'])
def test_the_name_of_a_parameter_is_a_name(name: str) -> None:
    with pytest.raises(InvalidInputError, match="a parameter's name has letters"):
        Application("app-id", secret_parameter=name)
    with pytest.raises(InvalidInputError, match="a parameter's name has letters"):
        settings(passphrase_parameter=name)


def test_a_vault_without_an_id_is_named_by_its_name() -> None:
    vault = attrs.evolve(VAULT, id=None)
    kek = attrs.evolve(KEK, vault=None)
    dual = settings(generation=DUAL, application=CERTIFICATE, vault=vault, kek=kek)
    words = shlex.split(az_extension(VM_ID, dual))
    assert words[words.index("--disk-encryption-keyvault") + 1] == "contoso-kv"
    assert words[words.index("--key-encryption-keyvault") + 1] == "contoso-kek"


def test_a_passphrase_has_no_option() -> None:
    with pytest.raises(UnsupportedError, match="takes no passphrase"):
        az_extension(VM_ID, settings(passphrase_parameter="p"))


# Material of others


def test_recorded_extensions_are_read(material: Path) -> None:
    recording = material / "azure" / "ade-recordings" / "net-CanEncrypt.json"
    entries = json.loads(recording.read_text(encoding="utf-8-sig"))["Entries"]
    bodies = [
        json.loads(entry["RequestBody"])
        for entry in entries
        if entry["RequestMethod"] == "PUT" and "/extensions/" in entry["RequestUri"]
    ]
    read = [ExtensionSettings.parse(body) for body in bodies]
    assert [(each.system, each.operation) for each in read] == [
        (W, Operation.ENABLE),
        (W, Operation.DISABLE),
        (L, Operation.ENABLE),
    ]
    assert all(each.volumes is Volumes.ALL for each in read)
