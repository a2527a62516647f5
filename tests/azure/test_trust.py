"""Whom the driver trusts with a token, and who vouches for the vault."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from azure.core.exceptions import ClientAuthenticationError

import keyhier
from keyhier.errors import (
    AuthenticationError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from keyhier.testing.keyvault import KeyVault
from tests.azure.conftest import OpenVault, uri_of
from tests.azure.environment import logged_in

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken


class Watchful:
    """A credential that gives no token and remembers for what one was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, object]] = []

    def get_token(self, *scopes: str, **named: object) -> AccessToken:
        self.asked.append((scopes[0], named.get("tenant_id")))
        raise ClientAuthenticationError("the tenant is not one of mine")


def test_a_challenge_for_another_domain_is_answered_with_no_token(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    keyvault.tenant.resource = "https://vault.example.com"
    credential = Watchful()
    vault = open_vault(keyvault, credential=credential)
    with pytest.raises(AuthenticationError, match="not for the vault's own domain"):
        vault.key("kek")
    assert credential.asked == []


def test_a_challenge_of_a_wrong_tenant_ends_with_no_token(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    credential = Watchful()
    vault = open_vault(keyvault, credential=credential)
    with pytest.raises(AuthenticationError, match="no token could be had") as caught:
        vault.key("kek")
    assert [tenant for _, tenant in credential.asked] == [keyvault.tenant.tenant_id]
    assert caught.value.remedy is not None
    assert keyvault.requests.count(status=200) == 0


def test_a_token_of_another_tenant_is_refused_by_the_vault(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    with KeyVault() as stranger:
        vault = open_vault(keyvault, credential=stranger.credential())
        with pytest.raises(AuthenticationError, match="401 Unauthorized"):
            vault.key("kek")


def test_without_any_credential_it_is_said_what_to_do(
    keyvault: KeyVault, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TENANT_ID", "CLIENT_ID", "CLIENT_SECRET"):
        monkeypatch.delenv(f"AZURE_{name}", raising=False)
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    with (
        keyhier.open(uri_of(keyvault)) as vault,
        pytest.raises(AuthenticationError, match="az login"),
    ):
        vault.key("kek")


def test_the_environments_credential_is_used_where_none_is_given(keyvault: KeyVault) -> None:
    with logged_in(keyvault), keyhier.open(uri_of(keyvault)) as vault:
        key = vault.create_key("kek", "RSA-2048")
        with vault.unwrap(key.wrap(b"secret")) as opened:
            assert opened == b"secret"
    assert keyvault.requests.count("token", 200) == 1


def test_a_certificate_that_does_not_verify_ends_it(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    with KeyVault() as stranger:
        vault = open_vault(keyvault, ca_file=stranger.ca_file)
        with pytest.raises(UnavailableError, match="certificate cannot be verified"):
            vault.key("kek")
    assert keyvault.requests.count() == 0


def test_the_public_authorities_do_not_vouch_for_a_private_one(keyvault: KeyVault) -> None:
    with (
        keyhier.open(keyvault.url, credential=keyvault.credential()) as vault,
        pytest.raises(UnavailableError, match="certificate cannot be verified"),
    ):
        vault.key("kek")
    assert keyvault.requests.count() == 0


def test_a_file_of_certificates_has_to_be_there(keyvault: KeyVault, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="certificates"):
        keyhier.open(uri_of(keyvault, ca_file=str(tmp_path / "ca.pem")))


def test_what_is_no_credential_is_refused(keyvault: KeyVault) -> None:
    with pytest.raises(InvalidInputError, match="get_token"):
        keyhier.open(uri_of(keyvault), credential="a token")


@pytest.mark.parametrize("uri", ["http://contoso.vault.azure.net", "http://127.0.0.1:8080"])
def test_http_is_refused(uri: str) -> None:
    with pytest.raises(keyhier.UnsupportedError, match="no backend serves http:"):
        keyhier.open(uri)


def test_promise_7_no_token_shows_in_what_goes_wrong(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    credential = keyvault.credential()
    token = credential.get_token(keyvault.tenant.resource).token
    vault = open_vault(keyvault, credential=credential)
    keyvault.faults.add("get_key", status=403)
    with pytest.raises(keyhier.AccessDeniedError) as caught:
        vault.key("kek")
    shown = [repr(vault), str(caught.value), repr(caught.value)]
    assert not any(part in text for text in shown for part in token.split("."))


def test_listing_the_backends_loads_no_sdk() -> None:
    program = (
        "import sys, keyhier_azure; keyhier_azure.backend.unavailable(); "
        "print([name for name in sys.modules if name.startswith(('azure', 'requests', 'msal'))])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]\n"


def test_an_empty_variable_of_the_environment_is_told_as_such(keyvault: KeyVault) -> None:
    with logged_in(keyvault), pytest.MonkeyPatch.context() as environment:
        environment.setenv("AZURE_CLIENT_ID", "")
        with pytest.raises(AuthenticationError, match="cannot use what the environment says"):
            keyhier.open(uri_of(keyvault))


def test_a_vault_that_does_not_run_is_not_told_as_late(tmp_path: Path) -> None:
    trusted = tmp_path / "ca.pem"
    with KeyVault() as stopped:
        trusted.write_bytes(Path(stopped.ca_file).read_bytes())
        uri, credential = f"{stopped.url}?ca-file={trusted}", stopped.credential()
    with (
        keyhier.open(uri, credential=credential) as vault,
        pytest.raises(UnavailableError, match="cannot be reached"),
    ):
        vault.key("kek")


def test_the_reason_of_a_tenant_is_passed_on_as_its_code(keyvault: KeyVault) -> None:
    class Refused(Watchful):
        def get_token(self, *_: str, **__: object) -> AccessToken:
            raise ClientAuthenticationError("AADSTS7000215: Invalid client secret is provided.")

    with (
        keyhier.open(uri_of(keyvault), credential=Refused()) as vault,
        pytest.raises(AuthenticationError) as caught,
    ):
        vault.key("kek")
    assert str(caught.value.native).endswith("ClientAuthenticationError: AADSTS7000215")
