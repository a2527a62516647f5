"""A disabled version neither wraps nor unwraps, whoever holds it, until it is enabled again."""

from __future__ import annotations

import pytest

from keyhier.algorithms import KeyType, WrapAlgorithm
from keyhier.errors import InvalidStateError
from keyhier.testing.contract.requirements import RAW, each_algorithm, each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest, latest_keys

__all__ = ["Disabling"]


class Disabling:
    """Disabled key versions."""

    @each_family("lifecycle")
    def test_a_disabled_key_neither_wraps_nor_unwraps(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.fresh_key_of(family)
        wrapped = key.wrap(b"secret")
        key.disable()
        assert not key.enabled
        with pytest.raises(InvalidStateError):
            key.wrap(b"secret")
        with pytest.raises(InvalidStateError):
            key.unwrap(wrapped)
        with pytest.raises(InvalidStateError):
            under_test.vault.unwrap(str(wrapped))

    @each_algorithm(RAW, "lifecycle")
    def test_a_disabled_key_does_nothing_raw_either(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        key = under_test.fresh_key(algorithm)
        wrapped = key.wrap_raw(bytes(32), algorithm)
        key.disable()
        with pytest.raises(InvalidStateError):
            key.wrap_raw(bytes(32), algorithm)
        with pytest.raises(InvalidStateError):
            key.unwrap_raw(wrapped, algorithm)

    @each_family("lifecycle")
    def test_the_vault_itself_holds_to_it_against_users_who_do_not_know(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.fresh_key_of(family)
        unaware = under_test.another_user()
        held = unaware.key(key.id)
        wrapped = held.wrap(b"secret")
        key.disable()
        with pytest.raises(InvalidStateError):
            unaware.unwrap(wrapped)
        with pytest.raises(InvalidStateError):
            held.unwrap(wrapped)
        if family is KeyType.AES:
            with pytest.raises(InvalidStateError):
                held.wrap(b"secret")
        held.refresh()
        assert not held.enabled

    @each_family("lifecycle")
    def test_an_enabled_key_works_again(self, under_test: VaultUnderTest, family: KeyType) -> None:
        key = under_test.fresh_key_of(family)
        before = key.wrap(b"before")
        key.disable()
        key.enable()
        assert key.enabled
        assert under_test.another_user().key(key.id).enabled
        for wrapped, secret in ((before, b"before"), (key.wrap(b"after"), b"after")):
            with under_test.vault.unwrap(wrapped) as opened:
                assert opened == secret

    @needs("lifecycle")
    def test_disabling_and_enabling_twice_is_harmless(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        for change, enabled in ((key.disable, False), (key.enable, True)):
            change()
            change()
            assert under_test.another_user().key(key.id).enabled is enabled

    @each_family("lifecycle")
    def test_a_disabled_key_is_found_and_listed(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.fresh_key_of(family)
        key.disable()
        for user in (under_test.vault, under_test.another_user()):
            found = [listed for listed in latest_keys(user) if listed.name == key.name]
            assert [listed.id for listed in found] == [key.id]
            assert not found[0].enabled
            assert found[0].algorithms == key.algorithms
            assert not user.key(key.name).enabled

    @each_family("lifecycle", "rotates")
    def test_disabling_one_version_leaves_the_others_alone(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        old = under_test.fresh_key_of(family)
        sealed_old = old.wrap(b"old")
        new = old.rotate()
        sealed_new = new.wrap(b"new")
        old.disable()
        assert [version.enabled for version in new.versions()] == [False, True]
        with pytest.raises(InvalidStateError):
            under_test.vault.unwrap(sealed_old)
        with under_test.vault.unwrap(sealed_new) as opened:
            assert opened == b"new"

    @needs("lifecycle", "rotates")
    def test_a_key_whose_latest_version_is_disabled_can_be_rotated(
        self, under_test: VaultUnderTest
    ) -> None:
        old = under_test.any_key()
        old.disable()
        new = old.rotate()
        assert new.enabled
        assert new.algorithms == old.algorithms
        with under_test.vault.unwrap(new.wrap(b"secret")) as opened:
            assert opened == b"secret"
        assert not under_test.another_user().key(old.id).enabled
