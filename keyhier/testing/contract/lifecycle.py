"""Keys are made once, deleted on purpose only, and come back where the vault says that they do."""

from __future__ import annotations

import pytest

from keyhier.algorithms import KeyType
from keyhier.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnwrapError,
)
from keyhier.testing.contract.requirements import each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest, latest_keys

__all__ = ["Lifecycle"]


class Lifecycle:
    """From creating to purging."""

    @each_family()
    def test_a_name_is_taken_once(self, under_test: VaultUnderTest, family: KeyType) -> None:
        algorithm = under_test.algorithm_of(family)
        key = under_test.key(algorithm)
        spec, purpose = under_test.purpose_of(algorithm)
        with pytest.raises(AlreadyExistsError):
            under_test.vault.create_key(key.name, spec, algorithm=purpose)
        assert under_test.another_user().key(key.name).id == key.id

    @each_family()
    def test_a_new_key_is_what_was_asked_for(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        spec, purpose = under_test.purpose_of(under_test.algorithm_of(family))
        name = under_test.new_name()
        key = under_test.vault.create_key(name, spec, algorithm=purpose)
        for seen in (key, under_test.another_user().key(name)):
            assert seen.name == name
            assert seen.spec == spec
            assert seen.enabled
            assert seen.created is None or seen.created.utcoffset() is not None

    @needs("lifecycle")
    def test_deleting_asks_for_the_name_again(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        for wrong in ("", "yes", key.name.upper(), f"{key.name} "):
            with pytest.raises(InvalidInputError):
                key.delete(confirm=wrong)
        assert under_test.another_user().key(key.name).id == key.id
        key.delete(confirm=key.name)

    @each_family("lifecycle")
    def test_a_deleted_key_is_gone(self, under_test: VaultUnderTest, family: KeyType) -> None:
        key = under_test.fresh_key_of(family)
        wrapped = key.wrap(b"secret")
        key.delete(confirm=key.name)
        for user in (under_test.vault, under_test.another_user()):
            with pytest.raises((NotFoundError, InvalidStateError)):
                user.key(key.name)
            assert key.name not in [listed.name for listed in latest_keys(user)]
            with pytest.raises((UnwrapError, InvalidStateError)):
                user.unwrap(wrapped)
        with pytest.raises(InvalidStateError):
            key.wrap(b"secret")
        with pytest.raises((NotFoundError, InvalidStateError)):
            key.unwrap(wrapped)

    @needs("lifecycle")
    def test_a_key_is_not_deleted_twice(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        key.delete(confirm=key.name)
        with pytest.raises(NotFoundError):
            key.delete(confirm=key.name)

    @needs("lifecycle", "rotates")
    def test_deleting_takes_every_version(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        new = key.rotate()
        under_test.destroy(key.name)
        for version in (key.version, new.version):
            with pytest.raises(NotFoundError):
                under_test.vault.key(key.name, version)

    @needs("lifecycle")
    def test_deleting_one_key_leaves_the_others_alone(self, under_test: VaultUnderTest) -> None:
        key, other = under_test.any_key(), under_test.any_key()
        wrapped = other.wrap(b"secret")
        key.delete(confirm=key.name)
        for user in (under_test.vault, under_test.another_user()):
            with user.unwrap(wrapped) as opened:
                assert opened == b"secret"

    @needs("lifecycle")
    def test_a_disabled_key_can_be_deleted(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        key.disable()
        key.delete(confirm=key.name)
        with pytest.raises((NotFoundError, InvalidStateError)):
            under_test.vault.key(key.name)

    # ------------------------------------------------------------------ soft delete

    @needs("lifecycle", "soft_delete")
    def test_a_soft_deleted_key_keeps_its_name(self, under_test: VaultUnderTest) -> None:
        spec, purpose = under_test.purpose_of(under_test.any_algorithm())
        key = under_test.any_key()
        assert key.name not in under_test.vault.deleted()
        key.delete(confirm=key.name)
        assert key.name in under_test.vault.deleted()
        with pytest.raises(InvalidStateError):
            under_test.vault.key(key.name)
        with pytest.raises(AlreadyExistsError):
            under_test.vault.create_key(key.name, spec, algorithm=purpose)

    @each_family("lifecycle", "soft_delete", "rotates")
    def test_a_recovered_key_is_the_one_it_was(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.fresh_key_of(family)
        before = key.wrap(b"before")
        between = key.rotate()
        new = key.rotate()
        key.disable()
        after = new.wrap(b"after")
        key.delete(confirm=key.name)
        back = under_test.vault.recover_key(key.name)
        assert back.id == new.id
        assert [version.id for version in back.versions()] == [key.id, between.id, new.id]
        assert [version.enabled for version in back.versions()] == [False, True, True]
        assert key.name not in under_test.vault.deleted()
        under_test.vault.key(key.name, key.version).enable()
        for wrapped, secret in ((before, b"before"), (after, b"after")):
            with under_test.vault.unwrap(wrapped) as opened:
                assert opened == secret

    @needs("lifecycle", "soft_delete")
    def test_a_purged_key_is_gone_for_ever(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        wrapped = key.wrap(b"secret")
        key.delete(confirm=key.name)
        with pytest.raises(InvalidInputError):
            under_test.vault.purge_key(key.name, confirm="")
        assert key.name in under_test.vault.deleted()
        under_test.vault.purge_key(key.name, confirm=key.name)
        assert key.name not in under_test.vault.deleted()
        with pytest.raises(NotFoundError):
            under_test.vault.key(key.name)
        with pytest.raises(NotFoundError):
            under_test.vault.recover_key(key.name)
        with pytest.raises(UnwrapError):
            under_test.vault.unwrap(wrapped)

    @needs("soft_delete")
    def test_only_a_soft_deleted_key_is_recovered_or_purged(
        self, under_test: VaultUnderTest
    ) -> None:
        for name in (under_test.any_key().name, under_test.new_name()):
            with pytest.raises(NotFoundError):
                under_test.vault.recover_key(name)
            with pytest.raises(NotFoundError):
                under_test.vault.purge_key(name, confirm=name)
