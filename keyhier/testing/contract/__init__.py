"""The contract: what every vault does, whoever wrote its driver.

On the command line, for a vault that is there::

    pytest --pyargs keyhier.testing.contract --keyhier-vault URI

In the tests of a backend::

    class TestContract(Contract):
        @pytest.fixture(scope="class")
        @classmethod
        def vault_uri(cls) -> str:
            return "acme:"

Everything goes through :class:`~keyhier.vault.Vault` and :class:`~keyhier.key.Key`, as a user's
calls do. Where a vault lacks a capability or an algorithm, the test that needs it asserts that it
is refused with :class:`~keyhier.errors.UnsupportedError`; nothing is skipped. Where a vault fails
a test that it cannot pass, that is declared: see :class:`Deviation`.

The keys that the tests make have unique names, and are deleted (and purged) at the end.
"""

from __future__ import annotations

from keyhier.testing.contract.backups import Backups
from keyhier.testing.contract.binding import Binding
from keyhier.testing.contract.capacities import Capacities
from keyhier.testing.contract.concurrency import Concurrency
from keyhier.testing.contract.disabling import Disabling
from keyhier.testing.contract.doctoring import Doctoring
from keyhier.testing.contract.envelopes import Envelopes
from keyhier.testing.contract.exports import Exports
from keyhier.testing.contract.harness import Harness
from keyhier.testing.contract.imports import Imports
from keyhier.testing.contract.lifecycle import Lifecycle
from keyhier.testing.contract.local_wraps import LocalWraps
from keyhier.testing.contract.naming import Naming
from keyhier.testing.contract.opening import Opening
from keyhier.testing.contract.purpose import Purpose
from keyhier.testing.contract.randomness import Randomness
from keyhier.testing.contract.raw_wraps import RawWraps
from keyhier.testing.contract.session_keys import SessionKeys
from keyhier.testing.contract.stored_secrets import StoredSecrets
from keyhier.testing.contract.tampering import Tampering
from keyhier.testing.contract.under_test import VaultUnderTest
from keyhier.testing.contract.versions import Versions
from keyhier.testing.deviations import Deviation

__all__ = ["Contract", "Deviation", "Harness", "VaultUnderTest"]


class Contract(
    Envelopes,
    RawWraps,
    LocalWraps,
    Binding,
    Tampering,
    Versions,
    Disabling,
    Purpose,
    Capacities,
    Naming,
    Lifecycle,
    Imports,
    Exports,
    Backups,
    Randomness,
    SessionKeys,
    StoredSecrets,
    Concurrency,
    Doctoring,
    Opening,
    Harness,
):
    """Every test of the contract; subclass it and say which vault by overriding ``vault_uri``."""
