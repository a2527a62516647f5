"""The challenge: what is believed of it, and what a credential is asked for."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING

import pytest

from keyhier.errors import AuthenticationError
from keyhier_azure.challenge import Challenge

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

    from keyhier.testing.keyvault import KeyVault
    from keyhier.testing.keyvault.credential import Credential
    from tests.azure.conftest import OpenVault

HOST = "contoso.vault.azure.net"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
AUTHORIZATION = f'authorization="https://login.microsoftonline.com/{TENANT}"'
CLAIMS = '{"access_token":{"nbf":{"essential":true,"value":"1"}}}'


def claims_challenge(authority: str) -> str:
    encoded = base64.b64encode(CLAIMS.encode()).decode()
    return f'Bearer authorization="{authority}", error="insufficient_claims", claims="{encoded}"'


@pytest.mark.parametrize(
    "challenge",
    [
        f'Bearer {AUTHORIZATION}, resource="https://vault.azure.net"',
        f'bearer {AUTHORIZATION} resource="https://vault.azure.net/"',
        f'Bearer {AUTHORIZATION}, scope="https://vault.azure.net/.default"',
        f'Bearer {AUTHORIZATION.replace("=", "_uri=")}, resource="https://Vault.Azure.Net"',
    ],
)
def test_a_challenge_names_the_tenant_and_the_vaults_domain(challenge: str) -> None:
    read = Challenge.read(challenge, HOST, None)
    assert (read.tenant, read.claims) == (TENANT, None)
    assert read.scope.lower() == "https://vault.azure.net/.default"


def test_ad_fs_has_no_tenants() -> None:
    challenge = 'Bearer authorization="https://adfs.contoso.com/adfs", resource="https://{}"'
    assert Challenge.read(challenge.format("vault.azure.net"), HOST, None).tenant is None


@pytest.mark.parametrize(
    "resource",
    [
        "",
        "https://",
        "https://net",
        "https://azure.net",
        "https://contoso.vault.azure.net",
        "https://managedhsm.azure.net",
        "https://vault.azure.net.example.com",
        "https://vault.azure.net@example.com",
        "https://vault.azure.net:8443",
        "http://vault.azure.net",
        "https://graph.microsoft.com",
        "vault.azure.net",
        "https://vault.azure.net/ https://graph.microsoft.com",
        "https://vault.azure.net/more",
        "https://vault.azure.net?more",
        "https://vault.azure.net#more",
    ],
)
def test_a_token_is_asked_for_the_vaults_own_domain_and_no_other(resource: str) -> None:
    with pytest.raises(AuthenticationError, match="not for the vault's own domain"):
        Challenge.read(f'Bearer {AUTHORIZATION}, resource="{resource}"', HOST, None)


def test_a_host_without_a_domain_gets_no_token() -> None:
    with pytest.raises(AuthenticationError, match="not for the vault's own domain"):
        Challenge.read(f'Bearer {AUTHORIZATION}, resource="https:///"', "[::1]:8443", None)


def test_another_proof_than_a_token_is_not_given() -> None:
    with pytest.raises(AuthenticationError, match="another proof"):
        Challenge.read('PoP resource="https://vault.azure.net"', HOST, None)


def test_claims_alone_change_neither_tenant_nor_scope() -> None:
    before = Challenge("https://vault.azure.net/.default", TENANT)
    read = Challenge.read(claims_challenge("https://example.com/other"), HOST, before)
    assert (read.scope, read.tenant, read.claims) == (before.scope, TENANT, CLAIMS)


def test_claims_before_anything_else_are_not_believed() -> None:
    with pytest.raises(AuthenticationError):
        Challenge.read(claims_challenge("https://example.com/other"), HOST, None)


def test_claims_that_cannot_be_read_are_told() -> None:
    challenge = f'Bearer {AUTHORIZATION}, resource="https://vault.azure.net", claims="%"'
    with pytest.raises(AuthenticationError, match="cannot be read"):
        Challenge.read(challenge, HOST, None)


class Asked:
    """A credential that remembers what claims its tokens were to have."""

    def __init__(self, real: Credential, lifetime: float = 3600.0) -> None:
        self._real = real
        self._lifetime = lifetime
        self.claims: list[object] = []

    def get_token(self, *scopes: str, **options: object) -> AccessToken:
        self.claims.append(options.get("claims"))
        token = self._real.get_token(*scopes)
        return token._replace(expires_on=int(token.expires_on - 3600 + self._lifetime))


def test_a_challenge_for_more_claims_is_answered_with_a_token_that_has_them(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    credential = Asked(keyvault.credential())
    vault = open_vault(keyvault, credential=credential)
    key = vault.create_key("kek", "RSA-2048")
    headers = {"WWW-Authenticate": claims_challenge(keyvault.url)}
    keyvault.faults.add("get_key", status=401, headers=headers)
    assert vault.key("kek").id == key.id
    assert credential.claims == [None, CLAIMS]


def test_a_challenge_without_end_is_answered_twice(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    vault = open_vault(keyvault)
    vault.create_key("kek", "RSA-2048")
    keyvault.requests.clear()
    headers = {"WWW-Authenticate": keyvault.tenant.challenge}
    keyvault.faults.add("get_key", status=401, headers=headers, times=None)
    with pytest.raises(AuthenticationError, match="401"):
        vault.key("kek")
    assert keyvault.requests.count("get_key") == 3


def test_a_token_is_used_until_shortly_before_its_end(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    for lifetime, asked in ((3600.0, 1), (299.0, 5)):
        credential = Asked(keyvault.credential(), lifetime)
        vault = open_vault(keyvault, credential=credential)
        for _ in range(5):
            assert list(vault.keys()) == []
        assert len(credential.claims) == asked


def test_nothing_secret_is_sent_before_the_vault_has_said_who_may_see_it(
    keyvault: KeyVault, open_vault: OpenVault, caplog: pytest.LogCaptureFixture
) -> None:
    # The other way round, the body would be in the first request, which the challenge answers.
    caplog.set_level(logging.DEBUG)
    credential = keyvault.credential()
    vault = open_vault(keyvault, credential=credential)
    vault.secrets.set("disk", "not to be shown")
    with vault.unwrap(vault.create_key("kek", "RSA-2048").wrap(b"secret")) as opened:
        assert opened == b"secret"
    token = credential.get_token(f"{keyvault.tenant.resource}/.default").token
    assert keyvault.requests.count("set_secret", 401) == 1
    assert keyvault.requests.count("set_secret", 200) == 1
    for part in ("not to be shown", "Bearer", *token.split(".")[:1]):
        assert part not in caplog.text
