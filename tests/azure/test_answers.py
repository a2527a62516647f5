"""Answers that are not of what was asked, or of another form: nothing of them is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from keyhier.errors import IntegrityError

if TYPE_CHECKING:
    import keyhier
    from keyhier.testing.keyvault import KeyVault

OTHER = "0" * 32
# RSA with the public exponent 65537; the modulus is of the right size, and of nobody's key.
MODULUS = "w" * 342


def bundle(kid: str, **changes: Any) -> dict[str, Any]:
    """Return a key's description, with some members of its own or of the key changed."""
    key = {"kid": kid, "kty": "RSA", "n": MODULUS, "e": "AQAB", "key_ops": ["unwrapKey"]}
    whole = {"key": key, "attributes": {"enabled": True, "created": 1700000000}}
    key.update({name: value for name, value in changes.items() if name in key})
    whole.update({name: value for name, value in changes.items() if name not in key})
    return whole


@pytest.mark.parametrize("path", ["other/{own}", "kek/{other}"])
def test_another_key_or_version_than_was_asked_for_is_not_believed(
    keyvault: KeyVault, vault: keyhier.Vault, path: str
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    named = f"{keyvault.url}/keys/{path.format(own=key.version, other=OTHER)}"
    keyvault.faults.add("get_key", status=200, document=bundle(named))
    with pytest.raises(IntegrityError, match="asked for"):
        vault.key("kek", key.version)


@pytest.mark.parametrize("route", ["create_key", "rotate_key", "update_key"])
def test_another_key_than_was_made_or_changed_is_not_believed(
    keyvault: KeyVault, vault: keyhier.Vault, route: str
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    uses: dict[str, Callable[[], object]] = {
        "create_key": lambda: vault.create_key("new", "RSA-2048"),
        "rotate_key": key.rotate,
        "update_key": key.disable,
    }
    named = f"{keyvault.url}/keys/other/{OTHER}"
    keyvault.faults.add(route, status=200, document=bundle(named))
    with pytest.raises(IntegrityError, match="asked for"):
        uses[route]()


@pytest.mark.parametrize("path", ["other/{own}", "disk/{other}"])
def test_another_secret_than_was_asked_for_is_not_believed(
    keyvault: KeyVault, vault: keyhier.Vault, path: str
) -> None:
    version = vault.secrets.set("disk", "text").id.version
    named = f"{keyvault.url}/secrets/{path.format(own=version, other=OTHER)}"
    answer = {"id": named, "attributes": {}, "value": "planted"}
    keyvault.faults.add("get_secret", status=200, document=answer)
    with pytest.raises(IntegrityError, match="asked for"):
        vault.secrets.get("disk", version)


@pytest.mark.parametrize(
    "changes",
    [
        {"attributes": "none"},
        {"attributes": {"created": "yesterday"}},
        {"attributes": {"exp": 10**30}},
        {"tags": 5, "kty": "oct-HSM"},
        {"key_ops": 5},
        {"n": None},
        {"e": "AA"},
        {"kty": None},
        {"key": []},
    ],
)
def test_a_description_of_another_form_is_told_as_such(
    keyvault: KeyVault, vault: keyhier.Vault, changes: dict[str, Any]
) -> None:
    answer = bundle(f"{keyvault.url}/keys/kek/{OTHER}", **changes)
    keyvault.faults.add("get_key", status=200, document=answer)
    with pytest.raises(IntegrityError, match="cannot be read"):
        vault.key("kek")


@pytest.mark.parametrize("attributes", ["none", {"created": "yesterday"}, {"exp": 10**30}])
def test_a_secret_of_another_form_is_told_as_such(
    keyvault: KeyVault, vault: keyhier.Vault, attributes: object
) -> None:
    answer = {"id": f"{keyvault.url}/secrets/disk/{OTHER}", "value": "text"}
    keyvault.faults.add("get_secret", status=200, document={**answer, "attributes": attributes})
    with pytest.raises(IntegrityError, match="cannot be read"):
        vault.secrets.get("disk")


@pytest.mark.parametrize(
    "page",
    [
        {"value": 5},
        {"value": ["text"]},
        {"value": [{"kid": "https://127.0.0.1/keys/a?b"}]},
        {"value": [{"kid": "https://127.0.0.1/keys/.."}]},
        {"value": [], "nextLink": 5},
    ],
)
def test_a_list_of_another_form_is_told_as_such(
    keyvault: KeyVault, vault: keyhier.Vault, page: dict[str, Any]
) -> None:
    keyvault.faults.add("list_keys", status=200, document=page)
    with pytest.raises(IntegrityError):
        list(vault.keys())


def test_a_list_of_versions_of_another_form_is_told_as_such(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    keyvault.faults.add("list_key_versions", status=200, document={"value": [{"kid": "kek"}]})
    with pytest.raises(IntegrityError):
        key.versions()
