"""A client that sends what it is told to, and shows all of what comes back."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from email.message import Message
from typing import Any, Self

import attrs

from keyhier import base64url
from keyhier.testing.keyvault import KeyVault
from tests.testing.keyvault.jwks import rsa_jwk


@attrs.frozen
class Reply:
    status: int
    headers: Message
    document: Any

    @property
    def code(self) -> str:
        return str(self.document["error"]["code"])

    @property
    def inner(self) -> str | None:
        return self.document["error"].get("innererror", {}).get("code")  # type: ignore[no-any-return]  # JSON.

    @property
    def value(self) -> bytes:
        return base64url.decode(self.document["value"])


class RawClient:
    """Speaks to one vault over one connection."""

    def __init__(self, vault: KeyVault) -> None:
        self.vault = vault
        self.token: str | None = vault.tenant.token()
        context = ssl.create_default_context(cafile=vault.ca_file)
        self.connection = http.client.HTTPSConnection(
            vault.url.removeprefix("https://"), context=context, timeout=20
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(
        self,
        method: str,
        path: str,
        document: object = None,
        *,
        version: str | None = "7.6",
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
    ) -> Reply:
        sent = dict(headers or {})
        if self.token is not None:
            sent.setdefault("Authorization", f"Bearer {self.token}")
        if document is not None:
            body = json.dumps(document).encode()
        if version is not None:
            path += ("&" if "?" in path else "?") + f"api-version={version}"
        self.connection.request(method, path, body, sent)
        response = self.connection.getresponse()
        text = response.read()
        return Reply(response.status, response.headers, json.loads(text) if text else None)

    def get(self, path: str, **more: Any) -> Reply:
        return self.send("GET", path, **more)

    def post(self, path: str, document: object = None, **more: Any) -> Reply:
        return self.send("POST", path, document, **more)

    def put(self, path: str, document: object = None, **more: Any) -> Reply:
        return self.send("PUT", path, document, **more)

    def patch(self, path: str, document: object = None, **more: Any) -> Reply:
        return self.send("PATCH", path, document, **more)

    def delete(self, path: str, **more: Any) -> Reply:
        return self.send("DELETE", path, **more)

    def create(self, name: str, kty: str = "EC", **more: object) -> dict[str, Any]:
        reply = self.post(f"/keys/{name}/create", {"kty": kty, **more})
        assert reply.status == 200, reply.document
        return reply.document  # type: ignore[no-any-return]  # JSON.

    def import_rsa(self, name: str, **more: object) -> dict[str, Any]:
        reply = self.put(f"/keys/{name}", {"key": rsa_jwk(), **more})
        assert reply.status == 200, reply.document
        return reply.document  # type: ignore[no-any-return]  # JSON.
