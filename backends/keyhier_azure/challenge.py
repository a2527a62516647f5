"""The bearer challenge, and the token that answers it.

A vault tells whoever comes without a token which tenant gives one, and for which resource:
``401`` with ``WWW-Authenticate: Bearer authorization="…/TENANT", resource="https://…"``. See
https://learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses and, for
claims, https://learn.microsoft.com/entra/identity-platform/claims-challenge.
"""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlsplit

import attrs

from keyhier.base64url import decode
from keyhier.errors import AuthenticationError, InvalidInputError

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken, TokenCredential

__all__ = ["Challenge", "Tokens"]

_EARLY_SECONDS: Final = 300.0
"""How long before its end a token is no longer used."""

_PARAMETER: Final = re.compile(r'([A-Za-z_]+)="([^"]*)"')
_ENTRA_CODE: Final = re.compile(r"\bAADSTS[0-9]{4,7}\b")
_SCHEME: Final = "bearer "
_ALL_RIGHTS: Final = "/.default"
_ADFS: Final = "adfs"


@attrs.frozen
class Challenge:
    """What a token has to be.

    Attributes:
        scope: what it is for.
        tenant: who gives it, or None where that goes without saying.
        claims: what it has to say, as JSON, or None.
    """

    scope: str
    tenant: str | None
    claims: str | None = None

    @classmethod
    def read(cls, header: str, host: str, before: Challenge | None) -> Self:
        """Read what the vault at ``host`` asks for.

        A challenge for claims says only those; the rest is as it was ``before``.

        Raises:
            AuthenticationError: it is no challenge, or is for a resource that is not the domain of
                the vault: whoever answers must not get a token that is good elsewhere.
        """
        if not header.lower().startswith(_SCHEME):
            raise AuthenticationError("the vault asks for another proof than a bearer token")
        said = dict(_PARAMETER.findall(header))
        claims = _claims(said.get("claims"))
        if claims is not None and before is not None:
            return cls(before.scope, before.tenant, claims)
        resource = said.get("resource") or said.get("scope", "").removesuffix(_ALL_RIGHTS)
        domain = _domain(host)
        # Nothing beside the domain, since what is asked for a token may read it as one more scope.
        if not domain or resource.lower() not in (f"https://{domain}", f"https://{domain}/"):
            raise AuthenticationError(
                "the vault's challenge asks for a token that is not for the vault's own domain",
                remedy="no token was sent; see whether the URI names the vault that you mean",
            )
        authority = urlsplit(said.get("authorization") or said.get("authorization_uri", ""))
        tenant = authority.path.strip("/").partition("/")[0]
        # AD FS knows no tenants (https://github.com/Azure/azure-sdk-for-python/issues/28648).
        named = tenant if tenant and tenant.lower() != _ADFS else None
        return cls(f"https://{domain}{_ALL_RIGHTS}", named, claims)


def _domain(host: str) -> str:
    return host.partition(".")[2]


def _claims(encoded: str | None) -> str | None:
    if not encoded:
        return None
    try:
        return decode(encoded.rstrip("=")).decode()
    except (InvalidInputError, UnicodeDecodeError):
        raise AuthenticationError("the vault's challenge cannot be read") from None


class Tokens:
    """The tokens for one vault."""

    def __init__(self, credential: TokenCredential, host: str) -> None:
        self._credential = credential
        self._host = host
        self._challenge: Challenge | None = None
        self._token: AccessToken | None = None

    def __repr__(self) -> str:
        return f"<Tokens for {self._host}>"

    def authorization(self) -> str | None:
        """Return the header's value, or None before the vault has said what it asks for.

        Raises:
            AuthenticationError: no token could be had.
        """
        token, challenge = self._token, self._challenge
        if challenge is None:
            return None
        if token is None or token.expires_on - time.time() < _EARLY_SECONDS:
            token = self._get(attrs.evolve(challenge, claims=None))
        return f"Bearer {token.token}"

    def answer(self, header: str) -> str:
        """Return the header's value that answers a challenge.

        Raises:
            AuthenticationError: the challenge is not to be trusted, or no token could be had.
        """
        self._token = None
        self._challenge = challenge = Challenge.read(header, self._host, self._challenge)
        return f"Bearer {self._get(challenge).token}"

    def _get(self, challenge: Challenge) -> AccessToken:
        options: dict[str, Any] = {"enable_cae": True}
        if challenge.tenant is not None:
            options["tenant_id"] = challenge.tenant
        if challenge.claims is not None:
            options["claims"] = challenge.claims
        try:
            token = self._credential.get_token(challenge.scope, **options)
        except Exception as error:  # Whatever a credential raises is why it gives none.
            raise AuthenticationError(
                "no token could be had for the vault",
                native=": ".join([type(error).__name__, *_ENTRA_CODE.findall(str(error))[:1]]),
                remedy="log in (az login), set AZURE_TENANT_ID, AZURE_CLIENT_ID and what goes with "
                "them (and AZURE_AUTHORITY_HOST where the tenant is not in the public cloud), or "
                "give a credential of the vault's tenant",
            ) from error
        self._token = token
        return token
