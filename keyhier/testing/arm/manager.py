"""A resource manager that answers GET for each resource, and Resource Graph's queries by id.

https://learn.microsoft.com/rest/api/resources,
https://learn.microsoft.com/rest/api/azureresourcegraph, and of scale sets the list of instances,
https://learn.microsoft.com/rest/api/compute/virtual-machine-scale-set-vms/list. It runs on a port
of its own, and takes the tokens of a vault's tenant, for ``https://management.azure.com``.
"""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import urlencode

from keyhier.testing.keyvault.certificate import authority_and_context
from keyhier.testing.keyvault.messages import Answer, Request
from keyhier.testing.keyvault.server import Server
from keyhier.testing.keyvault.service_error import ServiceError
from keyhier.testing.keyvault.vault import KeyVault

__all__ = ["ResourceManager"]

AUDIENCE: Final = "https://management.azure.com"
_GRAPH: Final = "/providers/microsoft.resourcegraph/resources"
_INSTANCES: Final = re.compile(r".*/virtualmachinescalesets/[^/]+/virtualmachines")
_QUOTED: Final = re.compile(r"'(/subscriptions/[^']+)'")


class ResourceManager:
    """A resource manager that runs from the beginning to the end of a ``with`` block.

    Attributes:
        page: how many rows are given at once.
        next_link: what lists of instances go on with, in place of their own; or None.
        asked: the method and path of each request.
        failing: the status that the next requests are answered with, one after the other.
    """

    def __init__(self, vault: KeyVault, *, page: int = 100) -> None:
        """Start it; it listens when this returns.

        Args:
            vault: a vault whose tenant's tokens are taken.
            page: how many rows are given at once.
        """
        self.page = page
        self.next_link: str | None = None
        self.asked: list[str] = []
        self.failing: list[int] = []
        self._resources: dict[str, dict[str, Any]] = {}
        self._forbidden: set[str] = set()
        self._tenant = vault.tenant
        authority, context = authority_and_context()
        self._folder = tempfile.TemporaryDirectory(prefix="arm-")
        self._ca_file = Path(self._folder.name) / "ca.pem"
        # Whoever asks for a token has to trust the tenant, too.
        self._ca_file.write_bytes(authority + Path(vault.ca_file).read_bytes())
        self._server = Server(0, context, sort_keys=False)
        self._server.start(self._answer)

    @property
    def url(self) -> str:
        """Its URL, such as ``https://127.0.0.1:41234``."""
        return f"https://127.0.0.1:{self._server.port}"

    @property
    def ca_file(self) -> str:
        """The path of the certificates (PEM) that clients trust: its own, and the vault's."""
        return str(self._ca_file)

    @property
    def endpoint(self) -> str:
        """What ``keyhier check --live --endpoint`` takes."""
        return f"{self.url}?ca-file={self.ca_file}"

    def put(self, *resources: dict[str, Any]) -> None:
        """Keep resources, each with its id."""
        for each in resources:
            self._resources[each["id"].casefold()] = each

    def forbid(self, identity: str) -> None:
        """Let nobody read a resource, or the list of a scale set's instances."""
        self._forbidden.add(identity.casefold())

    def _answer(self, request: Request) -> Answer:
        self.asked.append(f"{request.method} {request.path}")
        try:
            return self._answered(request)
        except ServiceError as error:
            return Answer(error.status, error.document(), error.headers)

    def _answered(self, request: Request) -> Answer:
        self._check_token(request)
        if self.failing:
            raise ServiceError(
                self.failing.pop(0), "Planned", "This was planned.", headers={"Retry-After": "0"}
            )
        if not request.api_version:
            raise ServiceError(
                400, "MissingApiVersionParameter", "The api-version query parameter is required."
            )
        if request.method == "POST" and request.path.casefold() == _GRAPH:
            return self._query(request)
        if _INSTANCES.fullmatch(request.path.casefold()):
            return self._instances(request)
        return Answer(document=self._found(request.path))

    def _check_token(self, request: Request) -> None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.casefold() != "bearer":
            raise ServiceError(
                401,
                "AuthenticationFailed",
                "Authentication failed. The 'Authorization' header is missing.",
                headers={
                    "WWW-Authenticate": f'Bearer authorization_uri="{self._tenant.authority}"'
                },
            )
        self._tenant.check_token(token, AUDIENCE)

    def _found(self, path: str) -> dict[str, Any]:
        identity = path.casefold()
        self._require_allowed(identity)
        if identity not in self._resources:
            raise ServiceError(404, "ResourceNotFound", "The resource was not found.")
        return self._resources[identity]

    def _require_allowed(self, identity: str) -> None:
        if identity in self._forbidden:
            raise ServiceError(
                403, "AuthorizationFailed", "The client does not have authorization to read it."
            )

    def _instances(self, request: Request) -> Answer:
        """Answer with the instances of a scale set, page by page."""
        listed = request.path.casefold()
        self._require_allowed(listed)
        self._found(listed.rpartition("/")[0])
        rows = [
            resource
            for identity, resource in sorted(self._resources.items())
            if identity.rpartition("/")[0] == listed
        ]
        if request.query.get("$expand") != "instanceView":
            rows = [_without_view(row) for row in rows]
        start = int(request.query.get("$skiptoken", 0))
        answer: dict[str, Any] = {"value": rows[start : start + self.page]}
        if start + self.page < len(rows):
            query = {**request.query, "$skiptoken": start + self.page}
            answer["nextLink"] = self.next_link or f"{self.url}{request.path}?{urlencode(query)}"
        return Answer(document=answer)

    def _query(self, request: Request) -> Answer:
        """Answer with the rows whose ids the query quotes, and their extensions, page by page."""
        body = request.document()
        quoted = {each.casefold() for each in _QUOTED.findall(str(body.get("query")))}
        rows = [
            resource
            for identity, resource in sorted(self._resources.items())
            if (identity in quoted or identity.partition("/extensions/")[0] in quoted)
            and identity not in self._forbidden
        ]
        start = int(body.get("options", {}).get("$skipToken", 0))
        shown = rows[start : start + self.page]
        answer: dict[str, Any] = {
            "totalRecords": len(rows),
            "count": len(shown),
            "resultTruncated": "false",
            "data": shown,
        }
        if start + self.page < len(rows):
            answer["$skipToken"] = str(start + self.page)
        return Answer(document=answer)

    def close(self) -> None:
        """Stop it; what was in it is gone."""
        self._server.stop()
        self._folder.cleanup()

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop it."""
        self.close()


def _without_view(instance: dict[str, Any]) -> dict[str, Any]:
    properties = {**instance.get("properties", {})}
    properties.pop("instanceView", None)
    return {**instance, "properties": properties}
