"""The contract for the vault that ``--keyhier-vault`` names."""

from __future__ import annotations

from keyhier.testing.contract import Contract

__all__ = ["TestContract"]


class TestContract(Contract):
    """Every test, held against the command line's vault, with the command line's deviations."""
