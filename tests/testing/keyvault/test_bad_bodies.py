"""Whatever a request says, it is answered, and never with an error of the vault's own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keyhier import base64url
from keyhier.testing.keyvault import KeyVault
from tests.testing.keyvault.jwks import ec_jwk, rsa_jwk
from tests.testing.keyvault.raw_client import RawClient

TEXT: Final = base64url.encode(bytes(32))
ATTRIBUTES: Final = {"enabled": True, "nbf": 1, "exp": 2_000_000_000}
POLICY: Final = {
    "attributes": {"expiryTime": "P90D"},
    "lifetimeActions": [
        {"action": {"type": "Rotate"}, "trigger": {"timeBeforeExpiry": "P30D"}},
    ],
}
REQUESTS: Final[list[tuple[str, str, dict[str, Any]]]] = [
    (
        "POST",
        "/keys/new/create",
        {"kty": "EC", "crv": "P-256", "key_ops": ["sign"], "attributes": ATTRIBUTES, "tags": {}},
    ),
    ("PUT", "/keys/new", {"key": rsa_jwk(key_ops=["sign"]), "Hsm": True}),
    ("PUT", "/keys/new", {"key": ec_jwk(), "attributes": ATTRIBUTES}),
    ("PATCH", "/keys/kek", {"key_ops": ["sign"], "attributes": ATTRIBUTES, "tags": {"a": "b"}}),
    ("PUT", "/keys/signer/rotationpolicy", POLICY),
    ("POST", "/keys/kek/wrapkey", {"alg": "RSA-OAEP", "value": TEXT}),
    ("POST", "/keys/kek/unwrapkey", {"alg": "RSA1_5", "value": TEXT}),
    ("POST", "/keys/kek/encrypt", {"alg": "RSA-OAEP", "value": TEXT, "iv": TEXT, "aad": TEXT}),
    ("POST", "/keys/kek/decrypt", {"alg": "RSA-OAEP", "value": TEXT, "iv": TEXT, "tag": TEXT}),
    ("POST", "/keys/signer/sign", {"alg": "ES256", "value": TEXT}),
    ("POST", "/keys/signer/verify", {"alg": "ES256", "digest": TEXT, "value": TEXT}),
    ("POST", "/keys/restore", {"value": TEXT}),
    ("POST", "/secrets/restore", {"value": TEXT}),
    (
        "PUT",
        "/secrets/bek",
        {"value": "x", "contentType": "BEK", "tags": {"a": "b"}, "attributes": ATTRIBUTES},
    ),
    ("PATCH", "/secrets/bek", {"contentType": "BEK", "tags": {}, "attributes": ATTRIBUTES}),
]
JSON: Final = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
) | st.sampled_from([10**30, -(10**30), "P9999999Y", "P99999999999D", "P0D", "", "AA", "=", {}, []])


def places(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the path of everything in a document."""
    inner = (
        document.items()
        if isinstance(document, dict)
        else enumerate(document)
        if isinstance(document, list)
        else ()
    )
    for name, each in inner:
        yield (*path, name)
        yield from places(each, (*path, name))


def replaced(document: Any, path: tuple[Any, ...], value: object) -> Any:
    """Return the document with one thing in it replaced."""
    if not path:
        return value
    copy = document.copy()
    copy[path[0]] = replaced(document[path[0]], path[1:], value)
    return copy


@pytest.fixture(scope="module")
def client() -> Iterator[RawClient]:
    with KeyVault() as vault, RawClient(vault) as raw:
        raw.import_rsa("kek")
        raw.create("signer")
        raw.put("/secrets/bek", {"value": "x"})
        yield raw


@settings(max_examples=300)
@given(st.data())
def test_one_wrong_thing_in_a_good_request_is_told(client: RawClient, data: st.DataObject) -> None:
    method, path, document = data.draw(st.sampled_from(REQUESTS))
    place = data.draw(st.sampled_from([(), *places(document)]))
    sent = replaced(document, place, data.draw(JSON))
    assert client.send(method, path, sent).status in {200, 400, 403, 409}
    # What was taken does not spoil what comes after it.
    client.vault.clock.advance(1)
    assert client.get("/keys").status == 200


@given(st.binary(max_size=64))
def test_any_bytes_are_answered(client: RawClient, body: bytes) -> None:
    token = f"/{client.vault.tenant.tenant_id}/oauth2/v2.0/token"
    for method, path in (("POST", "/keys/new/create"), ("PUT", "/secrets/bek"), ("POST", token)):
        assert client.send(method, path, body=body).status == 400


@given(st.text(min_size=1, max_size=40))
def test_any_token_is_refused(client: RawClient, token: str) -> None:
    header = f"Bearer {token}".encode("ascii", "ignore").decode()
    if header.isprintable():
        assert client.get("/keys", headers={"Authorization": header}).status == 401
