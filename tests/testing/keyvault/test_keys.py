"""Keys: made, imported, shown, changed, versioned, backed up."""

from __future__ import annotations

import datetime as dt

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.keyvault.keys import JsonWebKey, KeyClient, KeyCurveName, KeyType

from keyhier import base64url
from keyhier.testing.keyvault import KeyVault
from tests.testing.keyvault.jwks import ec_jwk, members, rsa_jwk
from tests.testing.keyvault.raw_client import RawClient

ALL = ["encrypt", "decrypt", "sign", "verify", "wrapKey", "unwrapKey"]


@pytest.mark.parametrize("bits", [2048, 3072])
@pytest.mark.parametrize("hsm", [False, True])
def test_an_rsa_key_is_made(keys: KeyClient, bits: int, hsm: bool) -> None:
    key = keys.create_rsa_key("kek", size=bits, hardware_protected=hsm)
    assert key.key_type == (KeyType.rsa_hsm if hsm else KeyType.rsa)
    assert len(members(key).n) * 8 == bits
    assert key.key_operations == ALL
    assert key.properties.version == keys.get_key("kek").properties.version


@pytest.mark.parametrize("curve", list(KeyCurveName))
def test_an_ec_key_is_made(keys: KeyClient, curve: KeyCurveName) -> None:
    key = keys.create_ec_key("signer", curve=curve)
    assert members(key).crv == curve
    assert key.key_operations == ["sign", "verify"]


def test_attributes_and_tags_are_kept_and_shown(keys: KeyClient) -> None:
    begin = dt.datetime(2030, 1, 1, tzinfo=dt.UTC)
    end = dt.datetime(2031, 1, 1, tzinfo=dt.UTC)
    keys.create_rsa_key(
        "kek",
        enabled=False,
        not_before=begin,
        expires_on=end,
        tags={"vm": "web-01"},
        key_operations=["wrapKey", "unwrapKey"],
    )
    key = keys.get_key("kek")
    properties = key.properties
    assert (properties.enabled, properties.not_before, properties.expires_on) == (False, begin, end)
    assert properties.tags == {"vm": "web-01"}
    assert properties.recovery_level == "Recoverable+Purgeable"
    assert properties.recoverable_days == 90
    assert key.key_operations == ["wrapKey", "unwrapKey"]


def test_an_update_replaces_what_it_names_and_nothing_else(keys: KeyClient) -> None:
    made = keys.create_rsa_key("kek", tags={"a": "1"})
    end = dt.datetime(2031, 1, 1, tzinfo=dt.UTC)
    keys.update_key_properties("kek", expires_on=end)
    keys.update_key_properties("kek", made.properties.version, enabled=False)
    key = keys.update_key_properties("kek", key_operations=["unwrapKey"])
    assert (key.properties.enabled, key.properties.expires_on) == (False, end)
    assert key.properties.tags == {"a": "1"}
    assert key.key_operations == ["unwrapKey"]
    assert keys.update_key_properties("kek", tags={}).properties.tags == {}


def test_a_patch_may_end_with_a_slash(raw: RawClient) -> None:
    raw.create("kek")
    for path in ("/keys/kek", "/keys/kek/"):
        reply = raw.patch(path, {"attributes": {"enabled": False}})
        assert reply.document["attributes"]["enabled"] is False


def test_a_name_is_the_same_in_upper_and_lower_case(raw: RawClient) -> None:
    made = raw.create("KEK")
    raw.create("kek")
    versions = raw.get("/KEYS/Kek/versions").document["value"]
    assert len(versions) == 2
    kid = made["key"]["kid"]
    path = kid.removeprefix(raw.vault.url).upper()
    assert raw.get(path).document["key"]["kid"] == kid


def test_a_key_is_imported(keys: KeyClient) -> None:
    jwk = rsa_jwk()
    names = {"n", "e", "d", "p", "q", "dp", "dq", "qi"}
    given = {name: base64url.decode(text) for name, text in jwk.items() if name in names}
    key = keys.import_key("kek", JsonWebKey(kty="RSA", key_ops=["unwrapKey"], **given))
    assert members(key).n == given["n"]
    assert members(key).d is None
    assert key.key_operations == ["unwrapKey"]
    hardware = keys.import_key("kek", JsonWebKey(kty="RSA", **given), hardware_protected=True)
    assert hardware.key_type == KeyType.rsa_hsm
    assert len(list(keys.list_properties_of_key_versions("kek"))) == 2


def test_an_ec_key_is_imported(raw: RawClient) -> None:
    jwk = ec_jwk()
    shown = raw.put("/keys/signer", {"key": jwk}).document["key"]
    assert {name: shown[name] for name in ("crv", "x", "y")} == {
        name: jwk[name] for name in ("crv", "x", "y")
    }
    assert "d" not in shown


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        {"key": None},
        {"key": {"kty": "DSA"}},
        {"key": {"kty": "RSA"}},
        {"key": rsa_jwk(n="AQAB")},
        {"key": rsa_jwk(n="*")},
        {"key": rsa_jwk(1024)},
        {"key": ec_jwk(crv="P-256")},
        {"key": ec_jwk(crv="P-1")},
        {"key": rsa_jwk(key_ops=["bake"])},
        {"key": {"kty": "oct-HSM", "k": base64url.encode(bytes(32))}},
    ],
)
def test_what_is_no_key_is_not_imported(raw: RawClient, wrong: object) -> None:
    reply = raw.put("/keys/kek", wrong)
    assert (reply.status, reply.code) == (400, "BadParameter")
    assert raw.get("/keys/kek").status == 404


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"kty": "AES"},
        {"kty": "oct"},
        {"kty": "oct-HSM"},
        {"kty": 1},
        {"kty": "RSA", "key_size": 1024},
        {"kty": "RSA", "key_size": "2048"},
        {"kty": "EC", "crv": "P-224"},
        {"kty": "EC", "key_ops": ["wrapKey"]},
        {"kty": "EC", "key_ops": "sign"},
        {"kty": "EC", "attributes": []},
        {"kty": "EC", "attributes": {"enabled": "yes"}},
        {"kty": "EC", "attributes": {"exp": "tomorrow"}},
        {"kty": "EC", "attributes": {"exp": True}},
        {"kty": "EC", "attributes": {"nbf": 20, "exp": 10}},
        {"kty": "EC", "tags": ["a"]},
        {"kty": "EC", "tags": {"a": 1}},
        {"kty": "EC", "tags": {f"t{number}": "" for number in range(16)}},
        {"kty": "EC", "tags": {"a": "x" * 257}},
        {"kty": "EC", "tags": {"x" * 257: "a"}},
    ],
)
def test_a_wrong_request_makes_no_key(raw: RawClient, wrong: object) -> None:
    reply = raw.post("/keys/kek/create", wrong)
    assert (reply.status, reply.code) == (400, "BadParameter")
    assert raw.get("/keys/kek").status == 404


def test_fifteen_tags_of_256_characters_are_taken(raw: RawClient) -> None:
    tags = {f"{number:0256}": "x" * 256 for number in range(15)}
    assert raw.create("kek", tags=tags)["tags"] == tags


@pytest.mark.parametrize("name", ["a_b", "a.b", "%20", "x" * 128, "%C3%A4"])
def test_a_name_that_is_none_is_told(raw: RawClient, name: str) -> None:
    for reply in (raw.get(f"/keys/{name}"), raw.post(f"/keys/{name}/create", {"kty": "EC"})):
        assert (reply.status, reply.code) == (400, "BadParameter")
        assert "invalid name" in reply.document["error"]["message"]


def test_a_body_that_is_no_json_object_is_told(raw: RawClient) -> None:
    for body in (b"{", b"[]", b'"x"', b"\xff"):
        assert raw.post("/keys/kek/create", body=body).code == "BadParameter"


def test_what_is_not_there_is_not_found(keys: KeyClient, raw: RawClient) -> None:
    with pytest.raises(ResourceNotFoundError, match="KeyNotFound"):
        keys.get_key("kek")
    raw.create("kek")
    missing = raw.get(f"/keys/kek/{'0' * 32}")
    assert (missing.status, missing.code) == (404, "KeyNotFound")
    assert f"kek/{'0' * 32} was not found" in missing.document["error"]["message"]


def test_versions_are_kept_and_each_is_got_by_its_id(keys: KeyClient) -> None:
    made = [keys.create_ec_key("signer").properties.version for _ in range(3)]
    assert len(set(made)) == 3
    assert all(len(version or "") == 32 for version in made)
    listed = [each.version for each in keys.list_properties_of_key_versions("signer")]
    assert listed == made
    assert keys.get_key("signer").properties.version == made[-1]
    assert keys.get_key("signer", made[0]).properties.version == made[0]


def test_a_backup_is_restored_into_another_vault_with_all_versions(keys: KeyClient) -> None:
    keys.create_rsa_key("kek", tags={"a": "1"})
    keys.create_ec_key("kek", curve="P-521")
    blob = keys.backup_key("kek")
    before = [each.version for each in keys.list_properties_of_key_versions("kek")]
    with (
        KeyVault() as other,
        KeyClient(other.url, other.credential(), connection_verify=other.ca_file) as client,
    ):
        restored = client.restore_key_backup(blob)
        assert restored.id.startswith(other.url)
        assert members(restored).x == members(keys.get_key("kek")).x
        after = list(client.list_properties_of_key_versions("kek"))
        assert [each.version for each in after] == before
        assert after[0].tags == {"a": "1"}


def test_a_backup_is_not_restored_over_a_key_nor_from_rubbish(
    keys: KeyClient, raw: RawClient
) -> None:
    keys.create_ec_key("kek")
    blob = keys.backup_key("kek")
    assert b"kek" not in blob
    with pytest.raises(HttpResponseError, match="already exists") as error:
        keys.restore_key_backup(blob)
    assert error.value.status_code == 409
    for wrong in (blob[:-1], b"", b"rubbish" * 10):
        reply = raw.post("/keys/restore", {"value": base64url.encode(wrong)})
        assert (reply.status, reply.code) == (400, "BadParameter")


@pytest.mark.parametrize(
    "version", ["7.4", "7.5", "7.6-preview.2", "7.6", "2025-07-01", "2026-04-01"]
)
def test_the_api_versions_are_those_of_the_service(raw: RawClient, version: str) -> None:
    assert raw.get("/keys", version=version).status == 200


@pytest.mark.parametrize("version", ["9.9", "7", "latest", "", None])
def test_an_unknown_api_version_is_refused(raw: RawClient, version: str | None) -> None:
    reply = raw.get("/keys", version=version)
    assert (reply.status, reply.code) == (400, "BadParameter")


def test_a_path_that_the_service_has_not_is_not_found(raw: RawClient) -> None:
    for method, path in (("GET", "/certificates"), ("POST", "/keys"), ("POST", "/rng")):
        assert raw.send(method, path, {}).status == 404
