"""A SoftHSM token held to the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import keyhier
from keyhier.testing.contract import Contract
from keyhier.testing.deviations import read_deviations

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsm


class TestSoftHsmContract(Contract):
    deviations = read_deviations("softhsm")

    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls, softhsm: SoftHsm) -> Iterator[str]:
        token = softhsm.new_token()
        yield token.uri
        with keyhier.open(token.uri) as vault:
            assert list(vault.keys()) == [], "the contract left keys behind"
        softhsm.remove(token)
