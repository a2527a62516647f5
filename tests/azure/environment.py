"""The environment of a program that logs in as a service principal of a vault on loopback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault

__all__ = ["logged_in"]


@contextmanager
def logged_in(vault: KeyVault) -> Iterator[None]:
    """Let azure-identity's DefaultAzureCredential find a principal of the vault's tenant."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
        environment.setenv("AZURE_AUTHORITY_HOST", vault.url)
        environment.setenv("AZURE_TENANT_ID", vault.tenant.tenant_id)
        environment.setenv("AZURE_CLIENT_ID", vault.tenant.client_id)
        environment.setenv("AZURE_CLIENT_SECRET", vault.tenant.client_secret)
        yield
