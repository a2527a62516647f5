"""A fake Entra tenant on the vault's own server: it gives tokens, and the vault trusts no other.

A token is a JSON web token (RFC 7519) signed with RS256, and got as a program gets one: from the
token endpoint with a client's id and secret (RFC 6749, section 4.4), which azure-identity does.
"""

from __future__ import annotations

import json
import secrets
import time
import uuid
from copy import copy
from typing import Final
from urllib.parse import parse_qs

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from keyhier import base64url
from keyhier.errors import InvalidInputError
from keyhier.testing.keyvault.key_material import Material
from keyhier.testing.keyvault.messages import Answer, Document, Request
from keyhier.testing.keyvault.service_error import ServiceError

__all__ = ["TOKEN_LIFETIME", "Tenant"]

TOKEN_LIFETIME: Final = 3600.0
_SCOPE: Final = "/.default"


class Tenant:
    """A tenant with one client in it.

    Attributes:
        authority: the URL of its host, such as ``https://127.0.0.1:8443``.
        tenant_id, client_id: GUIDs.
        client_secret: what the client proves itself with.
        resource: the audience of the tokens that the vault accepts.
    """

    def __init__(
        self, authority: str, resource: str, signing_key: rsa.RSAPrivateKey | None = None
    ) -> None:
        """Make a tenant, with secrets of its own and, where it is given none, its own key."""
        self.authority = authority
        self.resource = resource
        self.tenant_id, self.client_id = (str(uuid.uuid4()) for _ in range(2))
        self.client_secret = secrets.token_urlsafe(32)
        self._key = signing_key or rsa.generate_private_key(65537, 2048)
        self._key_id = secrets.token_urlsafe(16)
        # What was verified once need not be verified again; its times are looked at each time.
        self._verified: dict[str, Document] = {}

    def of(self, resource: str) -> Tenant:
        """Return the same tenant as another vault of it sees it."""
        seen = copy(self)
        seen.resource = resource
        return seen

    @property
    def issuer(self) -> str:
        """Who signs the tokens."""
        return f"{self.authority}/{self.tenant_id}/v2.0"

    @property
    def challenge(self) -> str:
        """What a client is told that has no token: where to get one, and for what."""
        authorization = f"{self.authority}/{self.tenant_id}"
        return f'Bearer authorization="{authorization}", resource="{self.resource}"'

    def token(
        self,
        *,
        audience: str | None = None,
        issuer: str | None = None,
        lifetime: float = TOKEN_LIFETIME,
        not_before: float = 0.0,
    ) -> str:
        """Make a token, which is valid unless an argument makes it otherwise.

        Args:
            audience: whom it is for; None for this tenant's vault.
            issuer: who it says has made it; None for this tenant.
            lifetime: seconds from now to its end, negative for one that has ended.
            not_before: seconds from now to its beginning.
        """
        now = time.time()
        claims = {
            "aud": audience or self.resource,
            "iss": issuer or self.issuer,
            "iat": int(now),
            "nbf": int(now + not_before),
            "exp": int(now + lifetime),
            "appid": self.client_id,
            "oid": self.client_id,
            "tid": self.tenant_id,
            "ver": "1.0",
        }
        header = {"typ": "JWT", "alg": "RS256", "kid": self._key_id}
        signed = base64url.join(*(json.dumps(part).encode() for part in (header, claims)))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{base64url.encode(signature)}"

    def check_authorization(self, header: str) -> None:
        """Accept a bearer token of this tenant for its vault, and no other.

        Raises:
            ServiceError: 401, with what is wrong with it.
        """
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise _refused("AKV10000: Request is missing a Bearer or PoP token.")
        self.check_token(token, self.resource)

    def check_token(self, token: str, resource: str) -> None:
        """Accept a token of this tenant for a resource.

        Raises:
            ServiceError: 401, with what is wrong with it.
        """
        claims = self._verified.get(token)
        if claims is None:
            claims = self._verified[token] = self._verify(token)
        audience, issuer = str(claims.get("aud")).rstrip("/"), claims.get("iss")
        if audience != resource:
            raise _refused(f"AKV10022: Invalid audience. Expected {resource}, found: {audience}.")
        if issuer != self.issuer:
            raise _refused(f"AKV10032: Invalid issuer. Expected {self.issuer}, found {issuer}.")
        now = time.time()
        if not claims["nbf"] <= now < claims["exp"]:
            raise _refused("AKV10001: The token is expired or not yet valid.")

    def _verify(self, token: str) -> Document:
        try:
            _, body, signature = base64url.split(token, 3)
            signed = token.rpartition(".")[0].encode()
            self._key.public_key().verify(signature, signed, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidInputError, InvalidSignature):
            pass
        else:
            claims: Document = json.loads(body)
            return claims
        raise _refused("AKV10046: The signature of the token cannot be validated.")

    def openid_configuration(self, _: Request) -> Answer:
        """Answer ``GET /{tenant}/v2.0/.well-known/openid-configuration`` (OpenID discovery)."""
        base = f"{self.authority}/{self.tenant_id}"
        return Answer(
            document={
                "issuer": self.issuer,
                "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                "token_endpoint": f"{base}/oauth2/v2.0/token",
                "jwks_uri": f"{base}/discovery/v2.0/keys",
                "response_types_supported": ["code"],
                "subject_types_supported": ["pairwise"],
                "id_token_signing_alg_values_supported": ["RS256"],
                "token_endpoint_auth_methods_supported": ["client_secret_post"],
            }
        )

    def keys(self, _: Request) -> Answer:
        """Answer ``GET /{tenant}/discovery/v2.0/keys``: what verifies the tokens."""
        members = Material("RSA", self._key).public_members()
        key = {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self._key_id} | members
        return Answer(document={"keys": [key]})

    def instance_discovery(self, _: Request) -> Answer:
        """Answer ``GET /common/discovery/instance``: this tenant's host is an authority."""
        host = self.authority.removeprefix("https://")
        return Answer(
            document={
                "tenant_discovery_endpoint": (
                    f"{self.authority}/{self.tenant_id}/v2.0/.well-known/openid-configuration"
                ),
                "api-version": "1.1",
                "metadata": [
                    {"preferred_network": host, "preferred_cache": host, "aliases": [host]}
                ],
            }
        )

    def subscriptions(self, _: Request) -> Answer:
        """Answer ``GET /subscriptions``, which `az login` asks: there are none."""
        return Answer(document={"value": []})

    def give_token(self, request: Request) -> Answer:
        """Answer ``POST /{tenant}/oauth2/v2.0/token``, and the older with ``resource``."""
        form = {
            name: values[-1]
            for name, values in parse_qs(request.body.decode(errors="replace")).items()
        }
        if form.get("grant_type") != "client_credentials":
            return _oauth_error(
                "unsupported_grant_type", "AADSTS70003: The grant type is not client_credentials."
            )
        if form.get("client_id") != self.client_id:
            return _oauth_error(
                "unauthorized_client", "AADSTS700016: The application was not found in the tenant."
            )
        if form.get("client_secret") != self.client_secret:
            return _oauth_error(
                "invalid_client", "AADSTS7000215: Invalid client secret provided.", 401
            )
        scope, resource = form.get("scope", ""), form.get("resource")
        if resource is None and not scope.endswith(_SCOPE):
            return _oauth_error(
                "invalid_scope", f"AADSTS1002012: The scope must be a resource with {_SCOPE}."
            )
        audience = (resource or scope.removesuffix(_SCOPE)).rstrip("/")
        lifetime = int(TOKEN_LIFETIME)
        return Answer(
            document={
                "token_type": "Bearer",
                "expires_in": lifetime,
                "ext_expires_in": lifetime,
                "access_token": self.token(audience=audience),
            }
        )


def _oauth_error(error: str, description: str, status: int = 400) -> Answer:
    return Answer(status, {"error": error, "error_description": description})


def _refused(message: str) -> ServiceError:
    return ServiceError(401, "Unauthorized", message)
