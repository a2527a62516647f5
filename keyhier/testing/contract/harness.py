"""Harness: which vault is tested, and in what it is known to deviate."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import ClassVar

import pytest

from keyhier.testing.contract.under_test import VaultUnderTest
from keyhier.testing.deviations import Deviation

__all__ = ["Harness"]


class Harness:
    """What every part of the contract needs; :class:`~keyhier.testing.contract.Contract` has it.

    Attributes:
        deviations: which of the tests this vault is known to fail, how and why.
    """

    deviations: ClassVar[Sequence[Deviation]] = ()

    @pytest.fixture(scope="class")
    @classmethod
    def vault_uri(cls, pytestconfig: pytest.Config) -> str:
        """The URI of the vault to test, by default the command line's; override it."""
        uri: str = pytestconfig.getoption("--keyhier-vault")
        return uri

    @pytest.fixture(scope="class")
    @classmethod
    def under_test(cls, vault_uri: str) -> Iterator[VaultUnderTest]:
        """The open vault, shared by all the tests."""
        with VaultUnderTest.open(vault_uri) as opened:
            yield opened
