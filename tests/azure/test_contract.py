"""A Key Vault and a Managed HSM on loopback held to the contract."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest

import keyhier
from keyhier.testing.contract import Contract
from keyhier.testing.keyvault import KeyVault
from tests.azure.conftest import uri_of
from tests.azure.environment import logged_in


def lent(vault: KeyVault, **attributes: str) -> Iterator[str]:
    """Lend a URI, and see to it that no key is left afterwards."""
    # Versions of one second have no order, so a rotation waits for the next; these are never of one
    # second, nor of the present. That it waits where they would be is a test of its own.
    vault.clock.advance(timedelta(days=-60))
    vault.clock.step = 1.0
    # The contract makes keys faster than the published limit for that lets anybody.
    uri = uri_of(vault, budget="off", **attributes)
    with vault, logged_in(vault):
        yield uri
        with keyhier.open(uri) as left:
            assert list(left.keys()) == [], "the contract left keys behind"


class TestKeyVaultContract(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls) -> Iterator[str]:
        yield from lent(KeyVault())


class TestManagedHsmContract(Contract):
    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls) -> Iterator[str]:
        yield from lent(KeyVault(managed_hsm=True), kind="managedhsm")
