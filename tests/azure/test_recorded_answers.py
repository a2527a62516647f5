"""The driver understands what the service itself answered when it was recorded.

The vault on loopback is the connection here and no more: what it is to answer are the recorded
bodies, as they were, with its own address in place of the one that was recorded.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from keyhier import base64url
from keyhier.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    AuthenticationError,
    ConflictError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    ThrottledError,
    UnsupportedError,
)
from keyhier.testing.keyvault import KeyVault
from keyhier_azure.challenge import Challenge
from keyhier_azure.keys import RSA_ALGORITHMS
from tests.conftest import MATERIAL
from tests.testing.keyvault import recording

if TYPE_CHECKING:
    import keyhier

FOLDERS: Final = [
    MATERIAL / "azure" / name for name in ("keyvault-recordings", "keyvault-recordings-sdk")
]
ERRORS: Final = FOLDERS[1] / "errors.json"
FILES: Final = sorted(
    path for folder in FOLDERS for path in folder.glob("*.json") if path != ERRORS
)

Body = dict[str, Any]


def recorded() -> Iterator[recording.Recorded]:
    for path in FILES:
        yield from recording.read(path)


def answers(*members: str, hsm: bool = False) -> list[Body]:
    """Return each body that was recorded with all of these members, once."""
    found = {
        json.dumps(each.document, sort_keys=True): each.document
        for each in recorded()
        if isinstance(each.document, dict) and set(members) <= set(each.document)
        if each.of_hsm is hsm
    }
    return list(found.values())


def at_home(body: Body, service: KeyVault) -> Body:
    """Return a body as if it were of this vault."""
    text = json.dumps(body)
    moved: Body = json.loads(
        re.sub(r"https://[^/\"]+(?=/(keys|secrets|deleted))", service.url, text)
    )
    return moved


def will_say(service: KeyVault, route: str, body: Body) -> None:
    service.faults.add(route, status=200, document=body)


def name_and_version(identifier: str) -> tuple[str, str]:
    *_, name, version = identifier.split("/")
    return name, version


def test_keys_of_a_vault(keyvault: KeyVault, vault: keyhier.Vault, material: Path) -> None:
    kinds = []
    for body in answers("key"):
        described, key = at_home(body, keyvault), body["key"]
        name, version = name_and_version(key["kid"])
        will_say(keyvault, "get_key", described)
        kinds.append(key["kty"])
        if key["kty"].startswith("EC"):
            with pytest.raises(UnsupportedError, match="kind EC"):
                vault.key(name, version)
            continue
        told = vault.key(name, version)
        assert told.public_key is not None
        numbers = told.public_key.public_numbers()
        assert numbers.n == int.from_bytes(base64url.decode(key["n"]))
        assert told.spec == f"RSA-{numbers.n.bit_length()}"
        assert told.enabled is body["attributes"]["enabled"]
        assert told.created is not None
        assert told.created.timestamp() == body["attributes"]["created"]
        assert told.algorithms == (RSA_ALGORITHMS if "unwrapKey" in key["key_ops"] else ())
    assert kinds.count("RSA") > 15
    assert len(kinds) > 100


def test_keys_of_a_managed_hsm(managed_hsm: KeyVault, hsm: keyhier.Vault, material: Path) -> None:
    specs = {}
    for body in answers("key", hsm=True):
        name, version = name_and_version(body["key"]["kid"])
        will_say(managed_hsm, "get_key", at_home(body, managed_hsm))
        told = hsm.key(name, version)
        specs[body["key"]["kty"]] = (told.spec, told.algorithms)
    assert specs == {"RSA-HSM": ("RSA-2048", ()), "oct-HSM": ("AES-256", ("A256KW",))}


def test_what_was_unwrapped(keyvault: KeyVault, vault: keyhier.Vault, material: Path) -> None:
    opened = 0
    for path in FILES:
        bodies = [each.document for each in recording.read(path)]
        keys = [each for each in bodies if isinstance(each, dict) and "key" in each]
        for each in recording.read(path):
            verb = each.path.rpartition("/")[2].lower()
            # What a client of Python unwrapped was written over.
            if verb != "unwrapkey" or "..." in each.document["value"]:
                continue
            name, version = name_and_version(each.document["kid"])
            will_say(keyvault, "get_key", at_home(keys[0], keyvault))
            key = vault.key(name, version)
            will_say(keyvault, "unwrap_key", at_home(each.document, keyvault))
            with key.unwrap_raw(bytes(key.spec.size), "RSA-OAEP") as secret:
                assert secret == base64url.decode(each.document["value"])
            opened += 1
    assert opened >= 4


def test_secrets(keyvault: KeyVault, vault: keyhier.Vault, material: Path) -> None:
    bodies = answers("value", "id", "attributes")
    for body in bodies:
        name, version = name_and_version(body["id"])
        will_say(keyvault, "get_secret", at_home(body, keyvault))
        stored = vault.secrets.get(name, version)
        assert stored.value == body["value"].encode()
        assert stored.content_type == body.get("contentType")
        assert dict(stored.tags) == body.get("tags", {})
        assert stored.created is not None
        assert stored.created.timestamp() == body["attributes"]["created"]
    assert bodies


def test_lists_whose_pages_are_short_or_empty(
    keyvault: KeyVault, vault: keyhier.Vault, material: Path
) -> None:
    pages = [
        each.document
        for each in recording.read(FOLDERS[0] / "KeyVaultKeyClient.GetDeletedKeys.json")
        if each.path == "/deletedkeys"
    ]
    for number, page in enumerate(pages, 1):
        body = at_home(page, keyvault)
        keyvault.faults.add("list_deleted_keys", nth=number, status=200, document=body)
    names = {name_and_version(item["recoveryId"])[1] for page in pages for item in page["value"]}
    assert vault.deleted() == sorted(names)
    assert keyvault.requests.count("list_deleted_keys", 200) == len(pages) > 5
    assert [] in [page["value"] for page in pages[:-1]]


def test_rotation_policies(keyvault: KeyVault, vault: keyhier.Vault, material: Path) -> None:
    key = vault.create_key("kek", "RSA-2048")
    (body,) = answers("lifetimeActions")
    will_say(keyvault, "get_rotation_policy", at_home(body, keyvault))
    policy = key.rotation_policy()
    assert (policy.rotate_after, policy.expires_after) == ("P30D", "P90D")
    assert policy.notify_before_expiry == "P30D"


def test_challenges(material: Path) -> None:
    told = {each.headers["www-authenticate"]: each for each in recorded() if each.status == 401}
    for challenge, each in told.items():
        domain = "managedhsm.azure.net" if each.of_hsm else "vault.azure.net"
        read = Challenge.read(challenge, f"contoso.{domain}", None)
        assert read.scope == f"https://{domain}/.default"
        assert read.tenant == "72f988bf-86f1-41af-91ab-2d7cd011db47"
    assert len(told) == 2


MEANINGS: Final[dict[str, type[KeyhierError]]] = {
    "Unauthorized": AuthenticationError,
    "KeyNotFound": NotFoundError,
    "SecretNotFound": NotFoundError,
    "BadParameter": InvalidInputError,
    "KeyOperationForbidden": UnsupportedError,
    "SecretDisabled": InvalidStateError,
    "KeyDisabled": InvalidStateError,
    "ForbiddenByRbac": AccessDeniedError,
    "ForbiddenByFirewall": AccessDeniedError,
    "ObjectIsBeingDeleted": ConflictError,
    "ObjectIsDeletedButRecoverable": AlreadyExistsError,
    "ObjectIsBeingRecovered": ConflictError,
    "Conflict": ConflictError,
    "Throttled": ThrottledError,
}


def refusals() -> list[tuple[int, Body]]:
    """Return the refusals that were recorded, and those that were reported."""
    if not ERRORS.exists():
        return []
    found = [(each["status"], each["body"]) for each in json.loads(ERRORS.read_text())]
    return found + [
        (each.status, each.document) for each in recorded() if "error" in (each.document or {})
    ]


def test_refusals(keyvault: KeyVault, vault: keyhier.Vault, material: Path) -> None:
    met = set()
    for status, body in refusals():
        error = body["error"]
        code = error.get("innererror", {}).get("code", error["code"])
        keyvault.faults.clear()
        headers = {"Retry-After": "121"} if status == 429 else {}
        keyvault.faults.add("get_key", status=status, document=body, headers=headers)
        with pytest.raises(MEANINGS[code]) as caught:
            vault.key("kek", "0" * 32)
        assert type(caught.value) is MEANINGS[code]
        assert str(caught.value.native).startswith(f"GET /keys/kek/{'0' * 32}: {status}")
        met.add(code)
    assert met == set(MEANINGS)
