"""The routes of the service, each with a name for faults and counters."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import attrs

from keyhier.testing.keyvault.key_operations import KeyOperations, random_bytes
from keyhier.testing.keyvault.keys import Keys
from keyhier.testing.keyvault.messages import Answer, Request
from keyhier.testing.keyvault.secret_objects import Secrets
from keyhier.testing.keyvault.tenant import Tenant

__all__ = ["Route", "Router", "key_routes", "secret_routes", "tenant_routes"]

_PART: Final = re.compile(r"\{(\w+)\}")


@attrs.frozen
class Route:
    """One thing that a client can ask for.

    Attributes:
        name: for faults and counters.
        method: of HTTP.
        path: with ``{parts}`` that stand for names; it is the same in upper and lower case.
        answer: what answers it, given the request and the parts.
        needs_token: whether it takes a bearer token and an API version.
    """

    name: str
    method: str
    path: str
    answer: Callable[..., Answer]
    needs_token: bool = True
    _pattern: re.Pattern[str] = attrs.field(init=False, repr=False)

    @_pattern.default
    def _compiled(self) -> re.Pattern[str]:
        parts = _PART.sub(r"(?P<\1>[^/]+)", self.path)
        return re.compile(f"{parts}/?", re.IGNORECASE)

    def match(self, path: str) -> dict[str, str] | None:
        """Return the parts of a path, or None where it is another's; a slash may end it."""
        found = self._pattern.fullmatch(path)
        return found.groupdict() if found else None


class Router:
    """Finds the route of a request."""

    def __init__(self, routes: Sequence[Route]) -> None:
        """Look through ``routes`` in their order."""
        self._routes = routes
        self.names = frozenset(route.name for route in routes)

    def find(self, request: Request) -> tuple[Route, dict[str, str]] | None:
        """Return the route and the parts of its path."""
        for route in self._routes:
            if route.method == request.method:
                parts = route.match(request.path)
                if parts is not None:
                    return route, parts
        return None


def key_routes(keys: Keys, operations: KeyOperations, *, managed_hsm: bool) -> Iterator[Route]:
    """Yield the routes of keys."""
    yield Route("create_key", "POST", "/keys/{name}/create", keys.create)
    yield Route("rotate_key", "POST", "/keys/{name}/rotate", keys.rotate)
    yield Route("import_key", "PUT", "/keys/{name}", keys.import_key)
    yield Route("get_rotation_policy", "GET", "/keys/{name}/rotationpolicy", keys.get_policy)
    yield Route("set_rotation_policy", "PUT", "/keys/{name}/rotationpolicy", keys.set_policy)
    yield from _object_routes("key", "keys", keys)
    for name, verb, answer in (
        ("encrypt", "encrypt", operations.encrypt),
        ("decrypt", "decrypt", operations.decrypt),
        ("sign", "sign", operations.sign),
        ("verify", "verify", operations.verify),
        ("wrap_key", "wrapkey", operations.wrap),
        ("unwrap_key", "unwrapkey", operations.unwrap),
    ):
        yield Route(name, "POST", f"/keys/{{name}}/{verb}", answer)
        yield Route(name, "POST", f"/keys/{{name}}/{{version}}/{verb}", answer)
    if managed_hsm:
        yield Route("random_bytes", "POST", "/rng", random_bytes)


def secret_routes(secrets: Secrets) -> Iterator[Route]:
    """Yield the routes of secrets."""
    yield Route("set_secret", "PUT", "/secrets/{name}", secrets.set_secret)
    yield from _object_routes("secret", "secrets", secrets)


def tenant_routes(tenant: Tenant) -> Iterator[Route]:
    """Yield the routes of the tenant."""
    base = f"/{tenant.tenant_id}"
    for name, method, path, answer in (
        ("discovery", "GET", "/common/discovery/instance", tenant.instance_discovery),
        (
            "openid_configuration",
            "GET",
            f"{base}/v2.0/.well-known/openid-configuration",
            tenant.openid_configuration,
        ),
        ("subscriptions", "GET", "/subscriptions", tenant.subscriptions),
        ("token_keys", "GET", f"{base}/discovery/v2.0/keys", tenant.keys),
        ("token", "POST", f"{base}/oauth2/v2.0/token", tenant.give_token),
        ("token", "POST", f"{base}/oauth2/token", tenant.give_token),
    ):
        yield Route(name, method, path, answer, needs_token=False)


def _object_routes(noun: str, path: str, objects: Keys | Secrets) -> Iterator[Route]:
    one, deleted = f"/{path}/{{name}}", f"/deleted{path}"
    yield Route(f"list_{noun}s", "GET", f"/{path}", objects.list_live)
    yield Route(f"list_{noun}_versions", "GET", f"{one}/versions", objects.list_versions)
    yield Route(f"get_{noun}", "GET", one, objects.get)
    yield Route(f"get_{noun}", "GET", f"{one}/{{version}}", objects.get)
    yield Route(f"update_{noun}", "PATCH", one, objects.update)
    yield Route(f"update_{noun}", "PATCH", f"{one}/{{version}}", objects.update)
    yield Route(f"delete_{noun}", "DELETE", one, objects.delete)
    yield Route(f"backup_{noun}", "POST", f"{one}/backup", objects.back_up)
    yield Route(f"restore_{noun}", "POST", f"/{path}/restore", objects.restore)
    yield Route(f"list_deleted_{noun}s", "GET", deleted, objects.list_deleted)
    yield Route(f"get_deleted_{noun}", "GET", f"{deleted}/{{name}}", objects.get_deleted)
    yield Route(f"recover_deleted_{noun}", "POST", f"{deleted}/{{name}}/recover", objects.recover)
    yield Route(f"purge_deleted_{noun}", "DELETE", f"{deleted}/{{name}}", objects.purge)
