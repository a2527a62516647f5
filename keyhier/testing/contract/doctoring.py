"""The examination: what it tells can be used, and the vault is afterwards what it was before."""

from __future__ import annotations

import json

import pytest

from keyhier.doctor import Finding, Severity
from keyhier.errors import InvalidStateError
from keyhier.pin import PinSource
from keyhier.testing.contract.requirements import needs
from keyhier.testing.contract.under_test import VaultUnderTest, latest_keys
from keyhier.uri import VaultUri
from keyhier.vault import Vault

__all__ = ["Doctoring"]


def _pin(uri: str) -> str | None:
    """Return the PIN, where the URI says how to get it without a person."""
    reference = VaultUri.parse(uri).query.get("pin-source")
    if reference is None or reference.startswith("prompt:"):
        return None
    with PinSource(reference).read("the contract") as pin:
        return pin.reveal().decode()


class Doctoring:
    """``Vault.doctor()``."""

    @needs("doctor")
    def test_an_examination_finds_a_vault_that_keeps_the_contract_without_an_error(
        self, under_test: VaultUnderTest
    ) -> None:
        diagnosis = under_test.vault.doctor()
        assert diagnosis.findings
        assert diagnosis.vault == under_test.vault.uri
        errors = [each for each in diagnosis if each.severity is Severity.ERROR]
        assert errors == []

    @needs("doctor")
    def test_findings_are_values_that_say_what_to_do(self, under_test: VaultUnderTest) -> None:
        diagnosis = under_test.vault.doctor()
        for finding in diagnosis:
            assert isinstance(finding, Finding)
            assert finding.check
            assert finding.found
            assert not finding.found.endswith(".")
            assert "\n" not in finding.found
            if finding.severity is not Severity.OK:
                assert finding.remedy, finding
        assert json.loads(json.dumps(diagnosis.as_dict())) == diagnosis.as_dict()

    @needs("doctor")
    def test_an_examination_changes_nothing(self, under_test: VaultUnderTest) -> None:
        secret = b"a secret of before"
        key = under_test.any_key()
        wrapped = str(key.wrap(secret))

        def inventory(vault: Vault) -> list[list[tuple[str, bool]]]:
            found = [key.versions() for key in latest_keys(vault)]
            return [[(str(each.id), each.enabled) for each in versions] for versions in found]

        before = inventory(under_test.vault)
        under_test.vault.doctor()
        assert inventory(under_test.another_user()) == before
        with under_test.vault.unwrap(wrapped) as opened:
            assert opened == secret

    @needs("doctor")
    def test_promise_7_an_examination_does_not_show_the_pin(
        self, under_test: VaultUnderTest
    ) -> None:
        pin = _pin(under_test.uri)
        diagnosis = under_test.vault.doctor()
        if pin is not None:
            assert pin not in json.dumps(diagnosis.as_dict())
            assert pin not in repr(diagnosis)

    def test_a_closed_vault_is_not_examined(self, under_test: VaultUnderTest) -> None:
        with VaultUnderTest.open(under_test.uri) as other:
            vault = other.vault
        with pytest.raises(InvalidStateError):
            vault.doctor()
