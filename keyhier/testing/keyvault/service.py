"""From a request to its answer: route, token, faults, API version, limits, common headers."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Mapping
from typing import Final

from keyhier.testing.keyvault.faults import Drop, Fault, Faults
from keyhier.testing.keyvault.keys import Keys
from keyhier.testing.keyvault.messages import Answer, Request
from keyhier.testing.keyvault.request_log import Asked, RequestLog
from keyhier.testing.keyvault.routes import Route, Router
from keyhier.testing.keyvault.service_error import ServiceError, bad_parameter
from keyhier.testing.keyvault.tenant import Tenant
from keyhier.testing.keyvault.throttling import Throttle

__all__ = ["API_VERSIONS", "ConnectionDropped", "Service"]

API_VERSIONS: Final = ("7.4", "7.5", "7.6-preview.2", "7.6", "2025-07-01", "2026-04-01")
_SERVICE_VERSION: Final = "1.9.2550.1"

_NETWORK: Final = "conn_type=Ipv4;addr=127.0.0.1;act_addr_fam=InterNetwork;"
_VAULT_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Pragma": "no-cache",
    "Expires": "-1",
    "x-ms-keyvault-service-version": _SERVICE_VERSION,
    "x-ms-keyvault-network-info": _NETWORK,
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000;includeSubDomains",
}
_HSM_HEADERS: Final = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'",
    "X-Frame-Options": "SAMEORIGIN",
    "x-ms-keyvault-network-info": _NETWORK,
    "x-ms-server-latency": "1",
    "X-Content-Type-Options": "nosniff",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}


class ConnectionDropped(Exception):  # noqa: N818  # It is what was asked for.
    """The connection is to be closed without an answer."""


class Service:
    """A vault or a Managed HSM, and the tenant that it trusts.

    Attributes:
        throttle: what counts requests, or None for no limits.
    """

    def __init__(
        self,
        router: Router,
        tenant: Tenant,
        keys: Keys,
        faults: Faults,
        log: RequestLog,
        *,
        region: str,
        managed_hsm: bool,
    ) -> None:
        """Answer with these parts; ``region`` is what every answer names."""
        self.throttle: Throttle | None = None
        self._ended = threading.Event()
        self._router = router
        self._tenant = tenant
        self._keys = keys
        self._faults = faults
        self._log = log
        self._managed_hsm = managed_hsm
        headers = _HSM_HEADERS if managed_hsm else _VAULT_HEADERS
        self._headers: Mapping[str, str] = {**headers, "x-ms-keyvault-region": region}

    def end(self) -> None:
        """Let nobody wait for a slow answer any more."""
        self._ended.set()

    def answer(self, request: Request) -> Answer:
        """Answer a request.

        Raises:
            ConnectionDropped: it gets no answer.
        """
        found = self._router.find(request)
        route = found[0].name if found else ""
        try:
            answer = self._answer(request, found)
        except ServiceError as error:
            answer = self._failure(error)
        except ConnectionDropped:
            self._log.add(Asked(route, 0))
            raise
        self._log.add(Asked(route, answer.status))
        headers = {**self._headers, "x-ms-request-id": str(uuid.uuid4())}
        if client_id := request.headers.get("x-ms-client-request-id"):
            headers["x-ms-client-request-id"] = client_id
        return Answer(answer.status, answer.document, {**headers, **answer.headers})

    def _answer(self, request: Request, found: tuple[Route, dict[str, str]] | None) -> Answer:
        if found is None:
            self._check_token(request)
            raise ServiceError(404, "ResourceNotFound", "There is no such resource here.")
        route, parts = found
        if route.needs_token:
            self._check_token(request)
        fault = self._faults.next(route.name)
        if fault is None:
            return self._do(request, route, parts)
        self._ended.wait(fault.delay)
        if fault.drop is Drop.BEFORE:
            raise ConnectionDropped
        if fault.status is not None:
            return _planned(fault, fault.status)
        answer = self._do(request, route, parts)
        if fault.drop is Drop.AFTER:
            raise ConnectionDropped
        return Answer(answer.status, answer.document, {**answer.headers, **fault.headers})

    def _do(self, request: Request, route: Route, parts: Mapping[str, str]) -> Answer:
        if route.needs_token:
            _check_api_version(request)
            self._check_limits(request, route, parts)
        return route.answer(request, **parts)

    def _check_token(self, request: Request) -> None:
        try:
            self._tenant.check_authorization(request.headers.get("Authorization", ""))
        except ServiceError as error:
            error.headers["WWW-Authenticate"] = self._tenant.challenge
            raise

    def _check_limits(self, request: Request, route: Route, parts: Mapping[str, str]) -> None:
        if self.throttle is None:
            return
        if route.name == "create_key":
            kty = request.document().get("kty")
            self.throttle.creation(in_hsm=str(kty).endswith("-HSM"))
            return
        material = None
        if route.path.startswith("/keys/{name}"):
            material = self._keys.material(parts["name"], parts.get("version"))
        if material is not None and route.name == "rotate_key":
            self.throttle.creation(in_hsm=material.in_hsm)
        else:
            self.throttle.operation(material)

    def _failure(self, error: ServiceError) -> Answer:
        # A Managed HSM's challenge has no body; its type stays.
        bodiless = self._managed_hsm and error.status == 401
        document = None if bodiless else error.document()
        return Answer(error.status, document, error.headers)


def _check_api_version(request: Request) -> None:
    given = request.api_version
    if not given:
        raise bad_parameter("The request URI does not specify the parameter api-version.")
    if given not in API_VERSIONS:
        raise bad_parameter(
            f"The specified version ({given}) is not recognized. Consider using the latest "
            f"supported version ({API_VERSIONS[-1]})."
        )


def _planned(fault: Fault, status: int) -> Answer:
    document: object = fault.document
    if document is None:
        document = ServiceError(status, "PlannedFault", "This fault was planned.").document()
    return Answer(status, document, fault.headers)
