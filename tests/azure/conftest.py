"""Vaults open on a Key Vault and a Managed HSM on loopback, with a credential of theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import keyhier

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault

OpenVault = Callable[..., keyhier.Vault]


def uri_of(service: KeyVault, **attributes: str) -> str:
    """Return the URI that opens a vault on loopback."""
    query = {"ca_file": service.ca_file} | attributes
    pairs = (f"{name.replace('_', '-')}={value}" for name, value in query.items())
    return f"{service.url}?{'&'.join(pairs)}"


@pytest.fixture
def open_vault() -> Iterator[OpenVault]:
    """Open vaults on loopback; they are closed afterwards."""
    with ExitStack() as opened:

        def open_uri(
            service: KeyVault, *, credential: object | None = None, **attributes: str
        ) -> keyhier.Vault:
            uri = uri_of(service, **attributes)
            used = service.credential() if credential is None else credential
            return opened.enter_context(keyhier.open(uri, credential=used))

        yield open_uri


@pytest.fixture
def vault(keyvault: KeyVault, open_vault: OpenVault) -> keyhier.Vault:
    """A Key Vault, open."""
    return open_vault(keyvault)


@pytest.fixture
def hsm(managed_hsm: KeyVault, open_vault: OpenVault) -> keyhier.Vault:
    """A Managed HSM, open."""
    return open_vault(managed_hsm, kind="managedhsm")


@pytest.fixture(scope="session")
def rsa_der() -> bytes:
    """An RSA private key made elsewhere, as PKCS#8."""
    key = rsa.generate_private_key(65537, 2048)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
