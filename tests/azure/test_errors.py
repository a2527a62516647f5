"""What the service answers, in the words of keyhier's tree, with its code and request id."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keyhier.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    AuthenticationError,
    ConflictError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    ThrottledError,
    UnavailableError,
    UnsupportedError,
    UnwrapError,
)
from keyhier_azure.transport import MAX_BYTES
from tests.azure.sdk import key_client

if TYPE_CHECKING:
    import keyhier
    from keyhier.testing.keyvault import KeyVault
    from tests.azure.conftest import OpenVault


def error_body(code: str, inner: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": "What the service says."}
    if inner is not None:
        error["innererror"] = {"code": inner}
    return {"error": error}


@pytest.mark.parametrize(
    ("status", "code", "inner", "expected"),
    [
        (400, "BadParameter", None, InvalidInputError),
        (403, "Forbidden", "ForbiddenByPolicy", AccessDeniedError),
        (403, "Forbidden", "ForbiddenByRbac", AccessDeniedError),
        (403, "Forbidden", "ForbiddenByFirewall", AccessDeniedError),
        (403, "Forbidden", "KeyDisabled", InvalidStateError),
        (403, "Forbidden", "KeyOperationForbidden", UnsupportedError),
        (404, "KeyNotFound", None, NotFoundError),
        (405, "MethodNotAllowed", None, UnsupportedError),
        (409, "Conflict", None, ConflictError),
        (409, "Conflict", "ObjectIsDeletedButRecoverable", AlreadyExistsError),
        (409, "Conflict", "ObjectIsBeingRecovered", ConflictError),
        (302, "Found", None, UnavailableError),
        (501, "NotImplemented", None, UnavailableError),
    ],
)
def test_an_answer_is_told_with_its_code_and_request(
    keyvault: KeyVault,
    vault: keyhier.Vault,
    status: int,
    code: str,
    inner: str | None,
    expected: type[KeyhierError],
) -> None:
    keyvault.faults.add(
        "get_key",
        status=status,
        document=error_body(code, inner),
        headers={"x-ms-request-id": "2b1f-77"},
    )
    with pytest.raises(KeyhierError) as caught:
        vault.key("kek")
    assert type(caught.value) is expected
    assert str(caught.value.native).startswith(f"GET /keys/kek: {status}")
    assert inner is None or inner in str(caught.value.native)
    assert "request 2b1f-77" in str(caught.value.native)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "document", [None, [], {"error": "text"}, {"error": {"code": "two\nlines", "innererror": []}}]
)
def test_a_body_of_another_form_is_no_hindrance(
    keyvault: KeyVault, vault: keyhier.Vault, document: Any
) -> None:
    keyvault.faults.add("get_key", status=403, document=document)
    with pytest.raises(AccessDeniedError) as caught:
        vault.key("kek")
    assert "\n" not in str(caught.value)


def test_a_right_that_is_missing_is_named(
    keyvault: KeyVault, vault: keyhier.Vault, open_vault: OpenVault
) -> None:
    wrapped = vault.create_key("kek", "RSA-2048").wrap(b"secret")
    newcomer = open_vault(keyvault)
    forbidden = error_body("Forbidden", "ForbiddenByRbac")
    keyvault.faults.add("get_key", status=403, document=forbidden)
    with pytest.raises(AccessDeniedError, match=r"'get' on keys.*Crypto Service Encryption User"):
        newcomer.unwrap(wrapped)
    keyvault.faults.add("unwrap_key", status=403, document=forbidden)
    with pytest.raises(AccessDeniedError, match="'unwrapKey' on keys"):
        newcomer.unwrap(wrapped)
    keyvault.faults.add("get_secret", status=403, document=forbidden)
    with pytest.raises(AccessDeniedError, match="'get' on secrets"):
        newcomer.secrets.get("disk")


def test_promise_3_what_the_key_rejects_tells_nothing(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    altered = bytes(key.spec.size)
    with pytest.raises(UnwrapError) as caught:
        key.unwrap_raw(altered, "RSA-OAEP-256")
    assert caught.value.native is None
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert keyvault.requests.count("unwrap_key", 400) == 1


def test_the_name_of_a_soft_deleted_key_is_told_with_what_to_do(vault: keyhier.Vault) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    key.delete(confirm="kek")
    with pytest.raises(AlreadyExistsError, match="recover it, or purge it"):
        vault.create_key("kek", "RSA-2048")
    with pytest.raises(InvalidStateError, match=r"soft-deleted.*recover it, or purge it"):
        vault.key("kek")
    with pytest.raises(InvalidStateError, match="soft-deleted"):
        vault.unwrap(wrapped)


def test_a_key_that_wraps_nothing_is_not_listed_and_told_as_such(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    with key_client(keyvault) as client:
        client.create_ec_key("elliptic")
        client.create_rsa_key("signing", key_operations=["sign", "verify"])
    with pytest.raises(UnsupportedError, match="kind EC"):
        vault.key("elliptic")
    (listed,) = vault.keys()
    assert listed.name == "signing"
    with pytest.raises(UnsupportedError, match="nothing"):
        vault.key("signing").wrap(b"secret")


@pytest.mark.parametrize("member", ["kid", "n", "kty"])
def test_a_key_that_cannot_be_read_is_no_key(
    keyvault: KeyVault, vault: keyhier.Vault, member: str
) -> None:
    version = "0" * 32
    key = {"kid": f"{keyvault.url}/keys/kek/{version}", "kty": "RSA", "n": "AQAB", "e": "AQAB"}
    bundle = {"key": {**key, member: 5}, "attributes": {}}
    keyvault.faults.add("get_key", status=200, document=bundle)
    with pytest.raises(IntegrityError):
        vault.key("kek")


@pytest.mark.parametrize("kid", ["https://contoso.vault.azure.net/keys/kek/{}", "{}/keys/kek"])
def test_a_key_of_another_vault_or_without_a_version_is_not_believed(
    keyvault: KeyVault, vault: keyhier.Vault, kid: str
) -> None:
    named = kid.format(keyvault.url if kid.startswith("{") else "0" * 32)
    bundle = {"key": {"kid": named, "kty": "oct-HSM"}, "attributes": {}}
    keyvault.faults.add("get_key", status=200, document=bundle)
    with pytest.raises(IntegrityError, match="asked for"):
        vault.key("kek")


def test_a_list_goes_on_at_no_other_host(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    page = {"value": [], "nextLink": "https://example.com/keys?$skiptoken=x"}
    keyvault.faults.add("list_keys", status=200, document=page)
    with pytest.raises(UnavailableError, match="another host"):
        list(vault.keys())


def test_a_list_that_does_not_end_is_told(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    page = {"value": [], "nextLink": f"{keyvault.url}/keys?$skiptoken=x"}
    keyvault.faults.add("list_keys", status=200, document=page, times=None)
    with pytest.raises(IntegrityError, match="does not end"):
        list(vault.keys())


def test_an_answer_without_an_end_is_told(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    # Whatever else it says.
    page = {"value": [], "padding": "x" * MAX_BYTES}
    keyvault.faults.add("list_keys", status=200, document=page)
    with pytest.raises(IntegrityError, match=f"more than {MAX_BYTES} bytes"):
        list(vault.keys())
    assert list(vault.keys()) == []


def test_a_list_that_is_none_is_told(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    keyvault.faults.add("list_keys", status=200, document={"value": [{"kid": 5}]})
    with pytest.raises(IntegrityError):
        list(vault.keys())


def test_a_vault_that_is_not_there_is_unavailable(
    keyvault: KeyVault, open_vault: OpenVault, tmp_path: Path
) -> None:
    ca_file = tmp_path / "ca.pem"
    shutil.copy(keyvault.ca_file, ca_file)
    vault = open_vault(keyvault, ca_file=str(ca_file))
    keyvault.close()
    with pytest.raises(UnavailableError) as caught:
        vault.key("kek")
    assert str(caught.value.native).startswith("GET /keys/kek: ")


@pytest.mark.parametrize("status", [500, 502, 503, 504, 408])
def test_a_passing_failure_is_tried_again(
    keyvault: KeyVault, vault: keyhier.Vault, status: int
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    keyvault.faults.add("unwrap_key", status=status, times=2)
    with vault.unwrap(wrapped) as opened:
        assert opened == b"secret"


@pytest.mark.parametrize("drop", ["before", "after"])
def test_a_dropped_connection_is_made_again(
    keyvault: KeyVault, vault: keyhier.Vault, drop: str
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    keyvault.faults.add("unwrap_key", drop=drop)
    with vault.unwrap(wrapped) as opened:
        assert opened == b"secret"


def test_a_failure_that_lasts_is_told(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    keyvault.faults.add("unwrap_key", status=503, times=None)
    with pytest.raises(UnavailableError, match="503 Service Unavailable"):
        vault.unwrap(wrapped)


@pytest.mark.parametrize("route", ["create_key", "rotate_key", "import_key"])
def test_what_makes_something_is_not_repeated(
    keyvault: KeyVault, vault: keyhier.Vault, route: str, rsa_der: bytes
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    uses: dict[str, Callable[[], object]] = {
        "create_key": lambda: vault.create_key("new", "RSA-2048"),
        "rotate_key": key.rotate,
        "import_key": lambda: vault.import_key("new", rsa_der),
    }
    keyvault.requests.clear()
    keyvault.faults.add(route, drop="after")
    with pytest.raises(UnavailableError):
        uses[route]()
    assert keyvault.requests.count(route) == 1


def test_a_vault_that_throttles_for_good_is_told_with_its_delay(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    keyvault.faults.add("unwrap_key", status=429, headers={"Retry-After": "7"}, times=None)
    with pytest.raises(ThrottledError) as caught:
        key.unwrap(wrapped, timeout=2)
    assert caught.value.retry_after == 7.0
    assert "429 Too Many Requests" in str(caught.value.native)


def test_the_service_that_takes_no_token_is_told(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    keyvault.faults.add("get_key", status=401, document=error_body("Unauthorized"), times=None)
    with pytest.raises(AuthenticationError, match="401 Unauthorized"):
        vault.key("kek")


def test_a_wait_without_end_is_left_to_the_caller(keyvault: KeyVault, vault: keyhier.Vault) -> None:
    keyvault.faults.add("get_key", status=429, headers={"Retry-After": "86400"})
    with pytest.raises(ThrottledError) as caught:
        vault.key("kek")
    assert caught.value.retry_after == 86400.0
