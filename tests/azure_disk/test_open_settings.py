"""Settings that expressions leave open: judged for what is known of them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from keyhier.azure_disk.open_settings import OpenSettings
from keyhier.azure_disk.settings import ExtensionSettings, Generation, Operation
from keyhier.errors import InvalidInputError
from keyhier.placement.model import System, Volumes
from keyhier.placement.unknown import UNKNOWN

GROUP = "/subscriptions/11111111-1111-1111-1111-111111111111/resourceGroups/shop/providers"
VAULT = f"{GROUP}/Microsoft.KeyVault/vaults/contoso-kv"
URL = "https://contoso-kv.vault.azure.net"
SEQUENCE = "00000000-0000-0000-0000-000000000001"
SETTINGS = {
    "EncryptionOperation": "EnableEncryption",
    "KeyVaultURL": f"{URL}/",
    "KeyVaultResourceId": VAULT,
    "KeyEncryptionKeyURL": f"{URL}/keys/kek/{'0' * 32}",
    "KekVaultResourceId": VAULT,
    "KeyEncryptionAlgorithm": "RSA-OAEP",
    "VolumeType": "All",
    "SequenceVersion": SEQUENCE,
}
DUAL = {"AADClientID": "66666666-6666-6666-6666-666666666666", "AADClientCertThumbprint": "0" * 40}


def extension(system: str = "Linux", version: str = "1.1", **settings: Any) -> dict[str, Any]:
    kind = "AzureDiskEncryption" if system == "Windows" else "AzureDiskEncryptionForLinux"
    return {
        "publisher": "Microsoft.Azure.Security",
        "type": kind,
        "typeHandlerVersion": version,
        "settings": {name: each for name, each in (SETTINGS | settings).items() if each},
    }


COMPLETE = [
    extension(),
    extension("Windows", "2.2", VolumeType="OS"),
    extension("Windows", "1.1", **DUAL),
    extension(VolumeType="Data", EncryptionOperation="EnableEncryptionFormatAll"),
    {
        **extension("Linux", "0.1", AADClientID=DUAL["AADClientID"]),
        "protectedSettings": {"AADClientSecret": "[parameters('secret')]"},
    },
]


def places(document: dict[str, Any]) -> Iterator[tuple[str, ...]]:
    yield from ((name,) for name in document)
    yield from (("settings", name) for name in document["settings"])


def without(document: dict[str, Any], *at: tuple[str, ...]) -> dict[str, Any]:
    """Return a document in which nobody knows what stands in some places."""
    changed = copy.deepcopy(document)
    for *way, name in at:
        holder = changed
        for each in way:
            holder = holder[each]
        holder[name] = UNKNOWN
    return changed


def distinct(settings: ExtensionSettings) -> tuple[object, ...]:
    return (settings.system, settings.operation, settings.volumes, settings.generation)


@pytest.mark.parametrize("document", COMPLETE)
def test_what_is_known_in_whole_is_read_as_it_is(document: dict[str, Any]) -> None:
    read = OpenSettings.parse(document)
    assert read.possible == (ExtensionSettings.parse(document),)
    assert read.sequence_version == read.possible[0].sequence_version
    assert not read.missing


@pytest.mark.parametrize("document", COMPLETE)
def test_whatever_is_unknown_what_was_meant_stays_possible(document: dict[str, Any]) -> None:
    meant = distinct(ExtensionSettings.parse(document))
    listed = list(places(document))
    for number, one in enumerate(listed):
        for other in listed[number:]:
            if one == ("settings",) and other[0] == "settings":
                continue
            read = OpenSettings.parse(without(document, one, other))
            found = list(map(distinct, read.possible))
            assert meant in found
            assert len(found) == len(set(found))


@pytest.mark.parametrize(
    ("at", "found"),
    [
        ("EncryptionOperation", {Operation.ENABLE, Operation.UPDATE, Operation.ENABLE_FORMAT_ALL}),
        ("KeyVaultURL", {Operation.ENABLE}),
        ("KekVaultResourceId", {Operation.ENABLE}),
    ],
)
def test_only_what_fits_to_the_rest_is_possible(at: str, found: set[Operation]) -> None:
    read = OpenSettings.parse(without(extension(), ("settings", at)))
    assert {each.operation for each in read.possible} == found


def test_the_type_and_the_version_tell_of_each_other() -> None:
    settings = without(extension(version="1.1"), ("type",))
    kinds = {(each.system, each.generation) for each in OpenSettings.parse(settings).possible}
    # 1.1 is the single-pass of Linux and the dual-pass of Windows, which needs an application.
    assert kinds == {(System.LINUX, Generation.SINGLE_PASS)}
    read = OpenSettings.parse(without(extension(), ("typeHandlerVersion",), ("settings",)))
    assert {each.generation for each in read.possible} == set(Generation)


def test_a_sequence_version_that_is_unknown_is_none_and_told() -> None:
    read = OpenSettings.parse(
        without(extension(), ("settings", "SequenceVersion"), ("settings", "VolumeType"))
    )
    assert read.sequence_version is UNKNOWN
    assert {each.sequence_version for each in read.possible} == {None}
    assert {each.volumes for each in read.possible} == set(Volumes)
    assert read.missing == ("/settings/VolumeType", "/settings/SequenceVersion")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (
            without(
                extension(EncryptionOperation="DisableEncryption", VolumeType="OS"),
                *((("settings", each)) for each in ("KeyVaultURL", "KeyEncryptionKeyURL")),
            ),
            "encryption of a Linux OS volume cannot be disabled",
        ),
        (
            without(
                extension("Windows", "2.2", EncryptionOperation="EnableEncryptionFormatAll"),
                ("settings", "KeyVaultURL"),
            ),
            "is for Linux alone",
        ),
        (
            without(extension(EncryptionOperation="Encrypt"), ("settings", "KeyVaultURL")),
            "/settings/EncryptionOperation: one of",
        ),
        (
            without(extension(KeyVaultURL="vault"), ("settings", "VolumeType")),
            "'vault' is no URL of a vault",
        ),
        (
            without(extension(KeyEncryptionAlgorithm="A256KW"), ("settings", "KeyVaultURL")),
            "A256KW",
        ),
        (
            without(extension(KeyVaultResourceId=VAULT + "x"), ("settings", "VolumeType")),
            "the vault's id names contoso-kvx",
        ),
        (
            without(extension(KeyVaultURL=None), ("settings", "KeyVaultResourceId")),
            "names a vault for the secrets",
        ),
        (without(extension(version="9.9"), ("settings",)), "/typeHandlerVersion: a version of"),
        (without({**extension(), "type": "Custom"}, ("settings",)), "/type: one of"),
        (
            without(extension("Linux", "0.1", AADClientID="x"), ("settings", "KeyVaultURL")),
            "proves itself with a certificate or a secret",
        ),
        (
            without(extension(SequenceVersion="1.0"), ("settings", "KeyVaultURL")),
            "'1.0' is no GUID",
        ),
    ],
)
def test_what_is_wrong_whatever_the_rest_is_is_an_error(
    document: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        OpenSettings.parse(document)
    assert words in caught.value.message
    assert "unknown." not in caught.value.message


def test_a_secret_is_not_shown() -> None:
    document = without(extension("Linux", "0.1", **DUAL), ("settings", "KeyVaultURL"))
    document["protectedSettings"] = {"AADClientSecret": "hunter2"}
    with pytest.raises(InvalidInputError) as caught:
        OpenSettings.parse(document)
    assert "hunter2" not in caught.value.message
