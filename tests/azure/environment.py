"""The environment of a program that logs in as a service principal of a vault on loopback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault

__all__ = ["logged_in", "logged_in_as"]


@contextmanager
def logged_in(vault: KeyVault) -> Iterator[None]:
    """Let azure-identity's DefaultAzureCredential find a principal of the vault's tenant."""
    tenant = vault.tenant
    with logged_in_as(
        {
            "authority": tenant.authority,
            "tenant_id": tenant.tenant_id,
            "client_id": tenant.client_id,
            "client_secret": tenant.client_secret,
        }
    ):
        yield


@contextmanager
def logged_in_as(told: Mapping[str, str]) -> Iterator[None]:
    """The same for a vault in another process, by what it told of its tenant."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
        environment.setenv("AZURE_AUTHORITY_HOST", told["authority"])
        for name in ("tenant_id", "client_id", "client_secret"):
            environment.setenv(f"AZURE_{name.upper()}", told[name])
        yield
