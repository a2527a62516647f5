"""Opening and closing: what stays, what ends, and that two who open a vault do not disturb."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

import keyhier
from keyhier.algorithms import KeyType
from keyhier.driver import CreateKey, Driver
from keyhier.errors import InvalidStateError
from keyhier.testing.contract.forgery import refusal
from keyhier.testing.contract.requirements import each_family
from keyhier.testing.contract.under_test import VaultUnderTest, latest_keys
from keyhier.vault import Key, Vault
from keyhier.wrapped import WrappedKey

__all__ = ["Opening"]

USES: Final[dict[str, Callable[[Vault, Key, WrappedKey], object]]] = {
    "create_key": lambda vault, key, _: vault.create_key(f"{key.name}-again", key.spec),
    "key": lambda vault, key, _: vault.key(key.name),
    "key by id": lambda vault, key, _: vault.key(key.id),
    "keys": lambda vault, _, __: list(vault.keys()),
    "capabilities": lambda vault, _, __: vault.capabilities,
    "unwrap": lambda vault, _, wrapped: vault.unwrap(wrapped),
    "wrap with the key": lambda _, key, __: key.wrap(b"secret"),
    "unwrap with the key": lambda _, key, wrapped: key.unwrap(wrapped),
    "refresh": lambda _, key, __: key.refresh(),
    "versions": lambda _, key, __: key.versions(),
    "import_key": lambda vault, key, _: vault.import_key(f"{key.name}-again", bytes(32)),
    "rotate": lambda _, key, __: key.rotate(),
    "disable": lambda _, key, __: key.disable(),
    "delete": lambda _, key, __: key.delete(confirm=key.name),
    "deleted": lambda vault, _, __: vault.deleted(),
    "recover_key": lambda vault, key, _: vault.recover_key(key.name),
    "purge_key": lambda vault, key, _: vault.purge_key(key.name, confirm=key.name),
    "backup_key": lambda vault, key, _: vault.backup_key(key.name),
    "restore_key": lambda vault, _, __: vault.restore_key(b"backup"),
    "random_bytes": lambda vault, _, __: vault.random_bytes(1),
}


def _sealed_in(vault: Vault, under_test: VaultUnderTest, family: KeyType) -> tuple[Key, WrappedKey]:
    spec, purpose = under_test.purpose_of(under_test.algorithm_of(family))
    key = vault.create_key(under_test.new_name(), spec, algorithm=purpose)
    return key, key.wrap(b"secret")


class Opening:
    """From open to close."""

    @each_family()
    def test_a_closed_vault_refuses_every_use(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        with keyhier.open(under_test.uri) as vault:
            key, wrapped = _sealed_in(vault, under_test, family)
        for use in USES.values():
            with pytest.raises(InvalidStateError):
                use(vault, key, wrapped)

    def test_a_closed_driver_refuses_every_use(self, under_test: VaultUnderTest) -> None:
        # Whoever holds the driver itself gets the same answer.
        closing = VaultUnderTest.open(under_test.uri)
        spec, purpose = under_test.purpose_of(under_test.any_algorithm())
        key = closing.driver.create_key(CreateKey(under_test.new_name(), spec, purpose))
        closing.vault.close()
        for use in (
            lambda driver: driver.get_key(key.id.name),
            lambda driver: list(driver.list_keys()),
            lambda driver: driver.list_versions(key.id.name),
            lambda driver: driver.create_key(CreateKey(f"{key.id.name}-again", spec, purpose)),
            lambda driver: driver.unwrap(key, key.algorithms[0], bytes(key.spec.size + 8)),
        ):
            _refused(use, closing.driver)

    def test_closing_twice_is_harmless(self, under_test: VaultUnderTest) -> None:
        vault = keyhier.open(under_test.uri)
        vault.close()
        vault.close()

    @each_family()
    def test_closing_one_leaves_the_other_one_open(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        wrapped = key.wrap(b"secret")
        with keyhier.open(under_test.uri) as other:
            _sealed_in(other, under_test, family)
        for user in (under_test.vault, under_test.another_user()):
            with user.unwrap(wrapped) as opened:
                assert opened == b"secret"
        assert under_test.any_key().enabled

    @each_family()
    def test_a_vault_that_keeps_its_keys_has_them_when_it_is_opened_again(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        with keyhier.open(under_test.uri) as vault:
            key, wrapped = _sealed_in(vault, under_test, family)
        with keyhier.open(under_test.uri) as again:
            if not latest_keys(again):
                # A vault that keeps nothing keeps nothing at all.
                refusal(again.unwrap, str(wrapped))
                return
            found = again.key(key.name)
            assert found.id == key.id
            assert (found.spec, found.algorithms) == (key.spec, key.algorithms)
            with again.unwrap(str(wrapped)) as opened:
                assert opened == b"secret"

    def test_promise_7_a_vault_shows_its_uri_and_nothing_else(
        self, under_test: VaultUnderTest
    ) -> None:
        assert under_test.vault.uri == under_test.uri
        assert repr(under_test.vault) == f"<Vault {under_test.uri}>"
        key = under_test.key(under_test.any_algorithm())
        assert repr(key) == f"<Key {key.id}>"


def _refused(use: Callable[[Driver], object], driver: Driver) -> None:
    with pytest.raises(InvalidStateError):
        use(driver)
