"""Who may use the vault: the challenge, the tenant's tokens, and those that are refused."""

from __future__ import annotations

import json
import time
from urllib.parse import urlencode

import pytest
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.keyvault.keys import KeyClient
from joserfc import jwt
from joserfc.jwk import KeySet

from keyhier import base64url
from keyhier.testing.keyvault import KeyVault
from tests.testing.keyvault.conftest import identity
from tests.testing.keyvault.raw_client import RawClient, Reply


def _asked(raw: RawClient, **form: str) -> Reply:
    tenant = raw.vault.tenant
    given = {
        "grant_type": "client_credentials",
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "scope": f"{tenant.resource}/.default",
    }
    body = urlencode({name: text for name, text in {**given, **form}.items() if text}).encode()
    return raw.post(f"/{tenant.tenant_id}/oauth2/v2.0/token", body=body, version=None)


def test_without_a_token_a_request_is_challenged(raw: RawClient) -> None:
    raw.token = None
    reply = raw.get("/keys/kek")
    tenant = raw.vault.tenant
    assert reply.status == 401
    assert reply.headers["WWW-Authenticate"] == (
        f'Bearer authorization="{tenant.authority}/{tenant.tenant_id}", '
        f'resource="{tenant.resource}"'
    )
    assert reply.code == "Unauthorized"
    assert reply.document["error"]["message"].startswith("AKV10000")
    assert reply.headers["x-ms-keyvault-region"] == "westeurope"
    assert reply.headers["x-ms-request-id"] != raw.get("/keys/kek").headers["x-ms-request-id"]


def test_the_clients_own_verification_of_the_challenge_passes(keyvault: KeyVault) -> None:
    with KeyClient(
        keyvault.url, keyvault.credential(), connection_verify=keyvault.ca_file
    ) as client:
        assert list(client.list_properties_of_keys()) == []


def test_azure_identity_gets_a_token_and_uses_it(keys: KeyClient, keyvault: KeyVault) -> None:
    keys.create_ec_key("kek")
    assert keyvault.requests.count("token") == 1
    assert keyvault.requests.count("create_key", 401) == 1


def test_azure_identity_is_told_that_the_secret_is_wrong(keyvault: KeyVault) -> None:
    with (
        identity(keyvault, client_secret="no") as credential,
        KeyClient(keyvault.url, credential, connection_verify=keyvault.ca_file) as client,
        pytest.raises(ClientAuthenticationError, match="AADSTS7000215"),
    ):
        client.get_key("kek")


def test_a_token_is_signed_with_a_key_that_the_tenant_shows(raw: RawClient) -> None:
    tenant = raw.vault.tenant
    configuration = raw.get(f"/{tenant.tenant_id}/v2.0/.well-known/openid-configuration")
    assert configuration.document["issuer"] == tenant.issuer
    path = configuration.document["jwks_uri"].removeprefix(raw.vault.url)
    shown = KeySet.import_key_set(raw.get(path).document)
    claims = jwt.decode(tenant.token(), shown, algorithms=["RS256"]).claims
    assert claims["aud"] == tenant.resource
    assert claims["exp"] - claims["iat"] == 3600


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"client_id": "somebody"}, "unauthorized_client"),
        ({"client_secret": "no"}, "invalid_client"),
        ({"scope": "user.read"}, "invalid_scope"),
    ],
)
def test_the_tenant_gives_no_token_for_a_wrong_request(
    raw: RawClient, changed: dict[str, str], code: str
) -> None:
    reply = _asked(raw, **changed)
    assert reply.status in {400, 401}
    assert reply.document["error"] == code


def test_a_token_for_another_resource_is_given_and_not_taken(raw: RawClient) -> None:
    reply = _asked(raw, scope="", resource="https://management.azure.com/")
    raw.token = reply.document["access_token"]
    refused = raw.get("/keys")
    assert refused.status == 401
    assert "AKV10022: Invalid audience" in refused.document["error"]["message"]


def test_what_the_tenant_gives_is_taken(raw: RawClient) -> None:
    raw.token = _asked(raw).document["access_token"]
    assert raw.get("/keys").status == 200


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"audience": "https://vault.azure.net"}, "AKV10022"),
        ({"issuer": "https://sts.windows.net/other/"}, "AKV10032"),
        ({"lifetime": -1}, "AKV10001"),
        ({"not_before": 60}, "AKV10001"),
    ],
)
def test_a_token_that_is_not_for_this_vault_now_is_refused(
    raw: RawClient, wrong: dict[str, object], message: str
) -> None:
    raw.token = raw.vault.tenant.token(**wrong)  # type: ignore[arg-type]  # One of several types.
    reply = raw.get("/keys")
    assert (reply.status, reply.code) == (401, "Unauthorized")
    assert message in reply.document["error"]["message"]
    assert "WWW-Authenticate" in reply.headers


def test_a_token_that_was_good_is_refused_once_it_has_ended(raw: RawClient) -> None:
    raw.token = raw.vault.tenant.token(lifetime=3)
    assert raw.get("/keys").status == 200
    time.sleep(3.1)
    assert raw.get("/keys").status == 401


def test_a_token_of_another_tenant_or_of_nobody_is_refused(raw: RawClient) -> None:
    head, body, signature = raw.vault.tenant.token().split(".")
    none = base64url.encode(json.dumps({"alg": "none"}).encode())
    with KeyVault() as other:
        stranger = other.tenant.token(
            audience=raw.vault.tenant.resource, issuer=raw.vault.tenant.issuer
        )
    for token in (stranger, f"{none}.{body}.", f"{head}.{body}.{signature[:-4]}AAAA", "x", "a.b.c"):
        raw.token = token
        reply = raw.get("/keys")
        assert reply.status == 401
        assert "AKV10046" in reply.document["error"]["message"]


@pytest.mark.parametrize("header", ["Basic YTpi", "Bearer", "Bearer "])
def test_what_is_no_bearer_token_is_none(raw: RawClient, header: str) -> None:
    assert raw.get("/keys", headers={"Authorization": header}).status == 401


def test_the_vault_and_its_tenant_are_an_authority_that_can_be_discovered(raw: RawClient) -> None:
    tenant = raw.vault.tenant
    found = raw.get("/common/discovery/instance", version=None).document
    path = found["tenant_discovery_endpoint"].removeprefix(tenant.authority)
    token_endpoint = raw.get(path, version=None).document["token_endpoint"]
    assert token_endpoint == f"{tenant.authority}/{tenant.tenant_id}/oauth2/v2.0/token"


def test_a_credential_counts_how_often_it_was_asked(keyvault: KeyVault) -> None:
    credential = keyvault.credential()
    with KeyClient(keyvault.url, credential, connection_verify=keyvault.ca_file) as client:
        with pytest.raises(HttpResponseError):
            client.get_key("kek")
        list(client.list_properties_of_keys())
    assert credential.asked == 1
    assert credential.get_token().expires_on > time.time()


def test_a_tenant_has_no_subscriptions(raw: RawClient) -> None:
    raw.token = None
    reply = raw.get("/subscriptions")
    assert (reply.status, reply.document) == (200, {"value": []})


def test_two_vaults_of_a_tenant_take_its_tokens_each_for_itself(keyvault: KeyVault) -> None:
    with (
        KeyVault(beside=keyvault) as second,
        identity(keyvault) as credential,
        KeyClient(keyvault.url, credential, connection_verify=keyvault.ca_file) as here,
        KeyClient(second.url, credential, connection_verify=keyvault.ca_file) as there,
        RawClient(second) as raw,
    ):
        here.create_ec_key("kek")
        assert list(there.list_properties_of_keys()) == []
        raw.token = keyvault.tenant.token()
        assert raw.get("/keys").status == 401
