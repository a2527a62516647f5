"""A backup brings a key back, versions and all, and nothing else does."""

from __future__ import annotations

import pytest

from keyhier.algorithms import KeyType
from keyhier.errors import AlreadyExistsError, InvalidInputError, NotFoundError
from keyhier.testing.contract.forgery import flips
from keyhier.testing.contract.requirements import each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest

__all__ = ["Backups"]


class Backups:
    """Backup and restore."""

    @each_family("backup", "lifecycle", "rotates")
    def test_a_restored_key_is_the_one_that_was_backed_up(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.fresh_key_of(family)
        before = key.wrap(b"before")
        new = key.rotate()
        after = new.wrap(b"after")
        backup = under_test.vault.backup_key(key.name)
        under_test.destroy(key.name)
        back = under_test.vault.restore_key(backup)
        assert back.id == new.id
        assert [version.id for version in back.versions()] == [key.id, new.id]
        for wrapped, secret in ((before, b"before"), (after, b"after")):
            with under_test.vault.unwrap(wrapped) as opened:
                assert opened == secret

    @needs("backup")
    def test_a_backup_does_not_replace_a_key(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        backup = under_test.vault.backup_key(key.name)
        with pytest.raises(AlreadyExistsError):
            under_test.vault.restore_key(backup)
        assert under_test.another_user().key(key.name).id == key.id

    @needs("backup", "lifecycle")
    def test_what_is_no_backup_is_refused(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        backup = under_test.vault.backup_key(key.name)
        under_test.destroy(key.name)
        damaged = [b"", b"\0", b"no backup", backup[:-1], backup + b"\0", backup[:16]]
        for data in (*damaged, *flips(backup)):
            with pytest.raises(InvalidInputError):
                under_test.vault.restore_key(data)
        with pytest.raises(NotFoundError):
            under_test.vault.key(key.name)

    @needs("backup")
    def test_a_key_that_is_not_there_is_not_backed_up(self, under_test: VaultUnderTest) -> None:
        with pytest.raises(NotFoundError):
            under_test.vault.backup_key(under_test.new_name())
