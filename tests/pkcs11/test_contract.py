"""Tokens of four modules held to the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import keyhier
from keyhier.testing.contract import Contract
from keyhier.testing.deviations import read_deviations

if TYPE_CHECKING:
    from keyhier.testing.p11_kit import NetworkHsm
    from keyhier.testing.prepared import PreparedToken
    from keyhier.testing.softhsm import SoftHsm


def clean(uri: str) -> Iterator[str]:
    """Lend a URI, and see to it that no key is left afterwards."""
    yield uri
    with keyhier.open(uri) as vault:
        assert list(vault.keys()) == [], "the contract left keys behind"


class TestSoftHsmContract(Contract):
    deviations = read_deviations("softhsm")

    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls, softhsm: SoftHsm) -> Iterator[str]:
        token = softhsm.new_token()
        yield from clean(token.uri)
        softhsm.remove(token)


class TestNssContract(Contract):
    deviations = read_deviations("nss")

    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls, nss_token: PreparedToken) -> Iterator[str]:
        yield from clean(nss_token.uri)


class TestOpencryptokiContract(Contract):
    deviations = read_deviations("opencryptoki")

    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls, opencryptoki_token: PreparedToken) -> Iterator[str]:
        yield from clean(opencryptoki_token.uri)


class TestNetworkHsmContract(Contract):
    deviations = read_deviations("p11-kit")

    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls, network_hsm: NetworkHsm) -> Iterator[str]:
        yield from clean(network_hsm.uri)
