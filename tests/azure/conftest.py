"""Drivers on a Key Vault on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from keyhier.driver import OpenOptions
from keyhier.uri import VaultUri
from keyhier_azure import backend

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault
    from keyhier_azure.driver import KeyVaultDriver, ManagedHsmDriver

OpenDriver = Callable[..., "KeyVaultDriver | ManagedHsmDriver"]


def uri_of(vault: KeyVault, **attributes: str) -> str:
    """Return the URI that opens a vault on loopback."""
    query = {"ca-file": vault.ca_file} | attributes
    return f"{vault.url}?" + "&".join(f"{name}={value}" for name, value in query.items())


@pytest.fixture
def open_driver() -> Iterator[OpenDriver]:
    """Open vaults on loopback with a credential of theirs; they are closed afterwards."""
    opened: list[KeyVaultDriver | ManagedHsmDriver] = []

    def open_vault(
        vault: KeyVault, **attributes: str
    ) -> KeyVaultDriver | ManagedHsmDriver:
        uri = VaultUri.parse(uri_of(vault, **attributes))
        driver = backend.open(uri, OpenOptions(credential=vault.credential()))
        opened.append(driver)
        return driver

    yield open_vault
    for driver in opened:
        driver.close()
