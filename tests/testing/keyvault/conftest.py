"""Vaults on loopback, and the clients that try them: Azure's own, and a raw one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from azure.identity import ClientSecretCredential
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import CryptographyClient
from azure.keyvault.secrets import SecretClient

from keyhier.testing.keyvault import KeyVault
from tests.testing.keyvault.raw_client import RawClient

Sdk = Callable[..., CryptographyClient]


@pytest.fixture
def raw(keyvault: KeyVault) -> Iterator[RawClient]:
    with RawClient(keyvault) as client:
        yield client


@pytest.fixture
def hsm(managed_hsm: KeyVault) -> Iterator[RawClient]:
    with RawClient(managed_hsm) as client:
        yield client


def identity(vault: KeyVault, **changed: str) -> ClientSecretCredential:
    """What a program makes of an account; with the client's verifications as they are."""
    tenant = vault.tenant
    given = {
        "tenant_id": tenant.tenant_id,
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
    }
    return ClientSecretCredential(
        **{**given, **changed},
        authority=tenant.authority,
        disable_instance_discovery=True,
        connection_verify=vault.ca_file,
    )


@pytest.fixture
def keys(keyvault: KeyVault) -> Iterator[KeyClient]:
    with (
        identity(keyvault) as credential,
        KeyClient(keyvault.url, credential, connection_verify=keyvault.ca_file) as client,
    ):
        yield client


@pytest.fixture
def secrets(keyvault: KeyVault) -> Iterator[SecretClient]:
    with SecretClient(
        keyvault.url, keyvault.credential(), connection_verify=keyvault.ca_file
    ) as client:
        yield client


@pytest.fixture
def hsm_keys(managed_hsm: KeyVault) -> Iterator[KeyClient]:
    with KeyClient(
        managed_hsm.url, managed_hsm.credential(), connection_verify=managed_hsm.ca_file
    ) as client:
        yield client


@pytest.fixture
def remote() -> Iterator[Sdk]:
    """Makes cryptography clients that do nothing locally: the service does all."""
    with ExitStack() as stack:

        def make(vault: KeyVault, key_id: str) -> CryptographyClient:
            client = CryptographyClient(key_id, vault.credential(), connection_verify=vault.ca_file)
            # The SDK's own way where it may not read the key: see the facts about AES keys.
            client._keys_get_forbidden = True
            return stack.enter_context(client)

        yield make
