"""A credential for the Azure SDK that needs no tenant to be asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from keyhier.testing.keyvault.tenant import TOKEN_LIFETIME, Tenant

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken

__all__ = ["Credential"]


class Credential:
    """What the Azure SDK takes for a credential: each token is new and for who is named.

    Attributes:
        asked: how often a token was asked for.
    """

    def __init__(self, tenant: Tenant) -> None:
        """Make tokens of ``tenant``."""
        self._tenant = tenant
        self.asked = 0

    def get_token(
        self,
        *scopes: str,
        claims: str | None = None,
        tenant_id: str | None = None,
        enable_cae: bool = False,
        **_: Any,
    ) -> AccessToken:
        """Return a token for the resource of the first scope, or for the vault where there is none.

        What else the SDK gives changes nothing.
        """
        # Whoever uses this has the SDK, and nobody else shall need it.
        from azure.core.credentials import AccessToken  # noqa: PLC0415

        self.asked += 1
        audience = scopes[0].removesuffix("/.default") if scopes else None
        expires = int(time.time() + TOKEN_LIFETIME)
        return AccessToken(self._tenant.token(audience=audience), expires)
