"""Settings of disks and machines with expressions in them: what is known of them is judged."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier.placement.report import Report
from keyhier.placement.unknown import UNKNOWN
from tests.checks.test_open_transitions import settings_of
from tests.checks.test_transitions import (
    GROUP,
    VAULT,
    disk_id,
    encrypted_disk,
    extension,
    machine,
    missing,
    problems,
    report_of,
)
from tests.json_places import Place, altered, places

SECRET_URL = f"https://contoso-kv.vault.azure.net/secrets/s/{'0' * 32}"
KEY_URL = f"https://contoso-kv.vault.azure.net/keys/k/{'0' * 32}"
OTHER_VAULT = f"{GROUP}/Microsoft.KeyVault/vaults/other"
COLLECTION: Place = ("properties", "encryptionSettingsCollection")
VOLUME: Place = (*COLLECTION, "encryptionSettings", 0)
OF_MACHINE: Place = ("properties", "storageProfile", "osDisk", "encryptionSettings")


def volume(secret: Any = SECRET_URL, vault: Any = VAULT, **kek: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"diskEncryptionKey": {"secretUrl": secret}}
    found["diskEncryptionKey"]["sourceVault"] = {"id": vault}
    if kek:
        key = {"keyUrl": kek.get("url", KEY_URL), "sourceVault": {"id": kek.get("vault", VAULT)}}
        found["keyEncryptionKey"] = key
    return found


def collection(*volumes: Any, **settings: Any) -> dict[str, Any]:
    listed = list(volumes) or [volume(url=KEY_URL)]
    return {
        "enabled": True,
        "encryptionSettings": listed,
        "encryptionSettingsVersion": "1.1",
        **settings,
    }


def disk(settings: object, kind: str = "disks") -> dict[str, Any]:
    return {
        "type": f"Microsoft.Compute/{kind}",
        "id": disk_id("os"),
        "name": "os",
        "location": "westeurope",
        "properties": {
            "creationData": {"createOption": UNKNOWN},
            "encryptionSettingsCollection": settings,
        },
    }


def vm(settings: object) -> dict[str, Any]:
    found: dict[str, Any] = altered(machine(), OF_MACHINE, settings)
    return found


def at(*names: str | int) -> str:
    return "/".join(["", *map(str, (*COLLECTION, *names))])


VERSION = at("encryptionSettingsVersion")
SECRET = at("encryptionSettings", 0, "diskEncryptionKey", "secretUrl")
SECRET_VAULT = at("encryptionSettings", 0, "diskEncryptionKey", "sourceVault", "id")
KEY = at("encryptionSettings", 0, "keyEncryptionKey", "keyUrl")

WRONG: dict[str, tuple[dict[str, Any], str, list[str]]] = {
    "version": (
        collection(volume(UNKNOWN), encryptionSettingsVersion="2.0"),
        "1.0 or 1.1, not '2.0'",
        [SECRET],
    ),
    "no version": (
        {"enabled": UNKNOWN, "encryptionSettings": [volume()]},
        "a value belongs here",
        [at("enabled")],
    ),
    "no secrets": (
        {"enabled": True, "encryptionSettings": [], "encryptionSettingsVersion": UNKNOWN},
        "what is enabled names secrets",
        [VERSION],
    ),
    "secrets, and not enabled": (
        collection(volume(UNKNOWN), enabled=False),
        "what is enabled names secrets",
        [SECRET],
    ),
    "no secret": (
        collection({"keyEncryptionKey": {"keyUrl": UNKNOWN}}),
        "names its secret",
        [KEY],
    ),
    "secret": (
        collection(volume("https://contoso-kv.vault.azure.net/keys/s", UNKNOWN)),
        "https://HOST/secrets/NAME/VERSION",
        [SECRET_VAULT],
    ),
    "a secret's version": (
        collection(volume("https://contoso-kv.vault.azure.net/secrets/s", UNKNOWN)),
        "without its version",
        [SECRET_VAULT],
    ),
    "the vault of a secret": (
        collection(volume(vault=OTHER_VAULT, url=UNKNOWN)),
        "the vault's id names other",
        [KEY],
    ),
    "key": (
        collection(volume(UNKNOWN, url="https://contoso-kv.vault.azure.net/keys/k")),
        "version",
        [SECRET],
    ),
    "one of two volumes": (
        collection(UNKNOWN, volume("https://contoso-kv.vault.azure.net/secrets/s")),
        "without its version",
        [at("encryptionSettings", 0)],
    ),
    "whatever is enabled": (
        collection(volume(vault=OTHER_VAULT), enabled=UNKNOWN),
        "the vault's id names other",
        [at("enabled")],
    ),
}


@pytest.mark.parametrize("kind", ["disks", "snapshots"])
@pytest.mark.parametrize(("settings", "told", "unknown"), WRONG.values(), ids=WRONG)
def test_what_is_known_is_judged_and_the_rest_is_not_checked(
    settings: dict[str, Any], told: str, unknown: list[str], kind: str
) -> None:
    wrong, not_known = settings_of(report_of(disk(settings, kind)))
    assert len(wrong) == 1
    assert told in wrong[0]
    assert not_known == unknown


OPEN: dict[str, dict[str, Any]] = {
    "version": collection(encryptionSettingsVersion=UNKNOWN),
    "enabled": collection(enabled=UNKNOWN),
    "enabled, of none": collection(enabled=UNKNOWN, encryptionSettings=[]),
    "volumes": collection(encryptionSettings=UNKNOWN),
    "volumes of what is not enabled": collection(encryptionSettings=UNKNOWN, enabled=False),
    "a volume": collection(UNKNOWN, volume()),
    "a secret and its vault": collection({"diskEncryptionKey": UNKNOWN}),
    "a secret": collection(volume(UNKNOWN)),
    "the vault of a secret": collection(volume(vault=UNKNOWN)),
    "a key and its vault": collection({**volume(), "keyEncryptionKey": UNKNOWN}),
    "a key": collection(volume(url=UNKNOWN)),
    "the vault of a key": collection(volume(url=KEY_URL, vault=UNKNOWN)),
    "everything": {
        "enabled": UNKNOWN,
        "encryptionSettings": UNKNOWN,
        "encryptionSettingsVersion": UNKNOWN,
    },
}


@pytest.mark.parametrize("settings", OPEN.values(), ids=OPEN)
def test_where_what_is_known_may_be_right_the_rest_is_not_checked(settings: dict[str, Any]) -> None:
    wrong, not_known = settings_of(report_of(disk(settings)))
    assert not wrong
    assert not_known
    assert all(each.startswith(at()) for each in not_known)


def test_a_collection_that_nobody_knows_is_not_checked() -> None:
    assert settings_of(report_of(disk(UNKNOWN))) == ([], [at()])


def test_what_is_unknown_elsewhere_hides_nothing_that_is_wrong() -> None:
    # How the disk is created is unknown, and is of no matter.
    wrong, not_known = settings_of(report_of(disk(collection(encryptionSettingsVersion="2.0"))))
    assert len(wrong) == 1
    assert not not_known


@given(st.data())
def test_making_more_of_it_unknown_makes_nothing_wrong(data: st.DataObject) -> None:
    sound = disk(collection(volume(url=KEY_URL), volume()))
    document = copy.deepcopy(sound)
    for place in data.draw(st.lists(st.sampled_from(list(places(sound))), max_size=4)):
        if place[:2] == COLLECTION:
            try:
                document = altered(document, place, UNKNOWN)
            except (TypeError, KeyError, IndexError):
                continue  # What it is in is unknown already.
    assert not settings_of(report_of(document))[0]


# ---------------------------------------------------------------------- a machine's model


def test_the_settings_in_a_machines_model_are_judged() -> None:
    for sound in (volume(url=KEY_URL), {"enabled": False}, {"enabled": True, **volume()}):
        assert settings_of(report_of(vm(sound))) == ([], [])
    wrong, not_known = settings_of(report_of(vm({"enabled": True, **volume(vault=OTHER_VAULT)})))
    assert not not_known
    (told,) = wrong
    assert "the vault's id names other" in told


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (volume(UNKNOWN, url="https://contoso-kv.vault.azure.net/keys/k"), "version"),
        (volume(vault=OTHER_VAULT, url=UNKNOWN), "the vault's id names other"),
        ({"enabled": UNKNOWN, **volume(vault=OTHER_VAULT)}, None),
        ({"enabled": True, **volume(UNKNOWN)}, None),
        ({"enabled": True, "diskEncryptionKey": UNKNOWN}, None),
        (UNKNOWN, None),
    ],
)
def test_what_is_known_of_a_machines_settings_is_judged(settings: Any, told: str | None) -> None:
    wrong, not_known = settings_of(report_of(vm(settings)))
    assert not_known
    assert all(each.startswith("/".join(["", *map(str, OF_MACHINE)])) for each in not_known)
    assert len(wrong) == (told is not None)
    assert (told or "") in "".join(wrong)


def test_what_is_unknown_of_a_machine_elsewhere_is_of_no_matter() -> None:
    document = vm(volume(vault=OTHER_VAULT))
    document["properties"]["hardwareProfile"] = {"vmSize": UNKNOWN}
    wrong, not_known = settings_of(report_of(document))
    assert len(wrong) == 1
    assert not not_known


# ---------------------------------------------------------------------- an extension


def test_of_an_extension_too_the_rest_is_not_checked() -> None:
    asked = extension(sequence="no GUID")
    asked["properties"]["settings"]["KeyVaultURL"] = UNKNOWN
    wrong, not_known = settings_of(report_of(asked))
    assert len(wrong) == 1
    assert "is no GUID" in wrong[0]
    assert not_known == ["/properties/settings/KeyVaultURL"]


# ---------------------------------------------------------------------- transitions


@pytest.mark.parametrize("place", [VOLUME, (*VOLUME, "diskEncryptionKey", "secretUrl")])
def test_the_generation_of_a_disk_is_known_where_its_secret_is_not(place: Place) -> None:
    def asked(version: str) -> Report:
        known = encrypted_disk("os", version)
        return report_of(
            machine(os_disk=True, data=True), altered(known, place, UNKNOWN), extension()
        )

    # What dual-pass encrypted stays with it, and an extension without an application is asked for.
    assert any("stays with it" in each for each in problems(asked("1.0")))
    assert not any("generation" in each for each in missing(asked("1.1")))
