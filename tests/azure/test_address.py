"""Which hosts are vaults, and what a URI may say of one."""

from __future__ import annotations

import pytest

from keyhier.errors import InvalidInputError
from keyhier.uri import VaultUri
from keyhier_azure.address import VaultAddress, VaultKind


def read(uri: str) -> VaultAddress:
    return VaultAddress.from_uri(VaultUri.parse(uri))


@pytest.mark.parametrize(
    ("uri", "host", "kind", "authority"),
    [
        (
            "https://contoso.vault.azure.net",
            "contoso.vault.azure.net",
            VaultKind.KEY_VAULT,
            "login.microsoftonline.com",
        ),
        (
            "HTTPS://Contoso.Vault.Azure.NET:443/",
            "contoso.vault.azure.net",
            VaultKind.KEY_VAULT,
            "login.microsoftonline.com",
        ),
        (
            "https://contoso.managedhsm.azure.net",
            "contoso.managedhsm.azure.net",
            VaultKind.MANAGED_HSM,
            "login.microsoftonline.com",
        ),
        (
            "https://contoso.vault.azure.cn",
            "contoso.vault.azure.cn",
            VaultKind.KEY_VAULT,
            "login.chinacloudapi.cn",
        ),
        (
            "https://contoso.managedhsm.usgovcloudapi.net",
            "contoso.managedhsm.usgovcloudapi.net",
            VaultKind.MANAGED_HSM,
            "login.microsoftonline.us",
        ),
        ("https://127.0.0.1:8443", "127.0.0.1:8443", VaultKind.KEY_VAULT, None),
        ("https://127.0.0.1:8443?kind=managedhsm", "127.0.0.1:8443", VaultKind.MANAGED_HSM, None),
        ("https://[::1]:8443", "[::1]:8443", VaultKind.KEY_VAULT, None),
    ],
)
def test_a_vault_is_known_by_its_host(
    uri: str, host: str, kind: VaultKind, authority: str | None
) -> None:
    address = read(uri)
    assert (address.host, address.kind, address.authority) == (host, kind, authority)
    assert address.url == f"https://{host}"
    assert address.loopback is (authority is None)
    assert address.hsm is (kind is VaultKind.MANAGED_HSM)


@pytest.mark.parametrize(
    "host",
    [
        "example.com",
        "vault.azure.net",
        "contoso.vault.azure.net.example.com",
        "contoso.vault.azure.com",
        "a.b.vault.azure.net",
        "localhost",
        "10.0.0.1",
        "[2001:db8::1]",
        "127.0.0.1.example.com",
    ],
)
def test_promise_4_no_other_host_is_sent_a_token(host: str) -> None:
    with pytest.raises(InvalidInputError, match=r"no host of a Key Vault|no vault's name"):
        read(f"https://{host}")


@pytest.mark.parametrize(
    "name", ["ab", "a" * 25, "1abc", "con--toso", "contoso-", "-contoso", "con_toso"]
)
def test_a_vault_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(InvalidInputError, match="no vault's name"):
        read(f"https://{name}.vault.azure.net")


@pytest.mark.parametrize(
    "uri",
    [
        "https:",
        "https://",
        "https://contoso.vault.azure.net/keys/kek",
        "https://contoso.vault.azure.net//",
        "https://contoso.vault.azure.net:8443",
        "https://contoso.vault.azure.net:x",
        "https://contöso.vault.azure.net",
        "https://127.0.0.1:0",
        "https://127.0.0.1:65536",
        "https://contoso.vault.azure.net?kind=managedhsm",
        "https://127.0.0.1?kind=hsm",
        "https://127.0.0.1?ca-file=ca.pem",
        "https://127.0.0.1?ca-file=/ca%00.pem",
        "https://127.0.0.1?api-version=latest",
        "https://127.0.0.1?budget=0",
        "https://127.0.0.1?budget=1.5",
        "https://127.0.0.1?budget=-1",
        "https://127.0.0.1?timeout=0",
        "https://127.0.0.1?timeout=soon",
        "https://127.0.0.1?protection=tpm",
        "https://contoso.managedhsm.azure.net?protection=software",
        "https://127.0.0.1?verify=off",
        "https://127.0.0.1?pin-source=env:PIN",
    ],
)
def test_what_no_vault_is_opened_by_is_refused(uri: str) -> None:
    with pytest.raises(InvalidInputError):
        read(uri)


def test_the_attributes_of_a_uri_are_read() -> None:
    address = read(
        "https://127.0.0.1:1?ca-file=/etc/ca.pem&api-version=7.6&budget=0.5&timeout=2.5"
        "&protection=hsm"
    )
    assert str(address.ca_file) == "/etc/ca.pem"
    assert (address.api_version, address.share, address.timeout) == ("7.6", 0.5, 2.5)
    assert address.hsm
    assert read("https://127.0.0.1?budget=off").share is None
    assert read("https://127.0.0.1?api-version=2025-07-01").api_version == "2025-07-01"


def test_nine_tenths_of_the_limits_are_used_by_default() -> None:
    assert read("https://contoso.vault.azure.net").share == 0.9


@pytest.mark.parametrize(
    ("link", "path"),
    [
        ("https://contoso.vault.azure.net/keys?$skiptoken=x", "/keys?$skiptoken=x"),
        ("https://contoso.vault.azure.net:443/keys?$skiptoken=X", "/keys?$skiptoken=X"),
        ("HTTPS://Contoso.Vault.Azure.net/keys", "/keys"),
        ("https://contoso.vault.azure.net:8443/keys", None),
        ("https://contoso.vault.azure.net.example/keys", None),
        ("https://contoso.vault.azure.net@example/keys", None),
        ("http://contoso.vault.azure.net/keys", None),
        ("/keys", None),
    ],
)
def test_promise_4_a_link_leads_to_no_other_host(link: str, path: str | None) -> None:
    assert read("https://contoso.vault.azure.net").path_of(link) == path
