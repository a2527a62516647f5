"""A counted driver can do what the one beneath can, no more and no less."""

from __future__ import annotations

import pytest

from keyhier.errors import UnsupportedError
from keyhier.testing.counting import counted
from keyhier.vault import Vault
from tests.odd_vault import OddDriver
from tests.testing.mutants import Healthy


def test_every_call_is_passed_on_and_remembered() -> None:
    driver, calls = counted(Healthy())
    vault = Vault(driver, uri="memory:")
    key = vault.create_key("kek", "AES-256")
    with vault.unwrap(key.wrap(b"secret")) as opened:
        assert opened == b"secret"
    assert calls == ["create_key", "wrap", "unwrap", "unwrap"]


def test_what_a_driver_says_of_itself_is_no_call() -> None:
    beneath = Healthy()
    driver, calls = counted(beneath)
    assert driver.scheme == beneath.scheme
    assert driver.vault == beneath.vault
    assert driver.key_specs == beneath.key_specs
    assert driver.algorithms == beneath.algorithms
    assert calls == []


def test_what_the_driver_beneath_lacks_stays_missing() -> None:
    rich, _ = counted(Healthy())
    poor, calls = counted(OddDriver())
    assert Vault(rich, uri="memory:").capabilities.rotates
    vault = Vault(poor, uri="memory:")
    assert not vault.capabilities.rotates
    assert not vault.capabilities.lifecycle
    with pytest.raises(UnsupportedError):
        vault.create_key("kek", "AES-256").rotate()
    assert calls == ["create_key"]
