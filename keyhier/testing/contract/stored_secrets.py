"""Secrets besides keys: kept with their tags, in versions, and deleted on purpose only."""

from __future__ import annotations

import pytest

from keyhier.errors import (
    CapacityError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
)
from keyhier.testing.contract.requirements import needs
from keyhier.testing.contract.under_test import VaultUnderTest

__all__ = ["StoredSecrets"]


class StoredSecrets:
    """From setting to purging."""

    @needs("secrets")
    def test_a_secret_comes_back_as_it_was_set(self, under_test: VaultUnderTest) -> None:
        name = under_test.new_secret_name()
        tags = {"MachineName": "", "VolumeLetter": "C:\\", "note": "schlüssel ☃"}
        made = under_test.vault.secrets.set(name, "wört", content_type="BEK", tags=tags)
        assert made.id.version
        for stored in (
            under_test.vault.secrets.get(name),
            under_test.another_user().secrets.get(name, made.id.version),
        ):
            assert stored.value is not None
            with stored.value as value:
                assert value == "wört".encode()
            assert stored.id == made.id
            assert (stored.content_type, dict(stored.tags)) == ("BEK", tags)
            assert stored.enabled
            assert stored.created is None or stored.created.utcoffset() is not None

    @needs("secrets")
    def test_a_secret_without_content_type_and_tags_has_none(
        self, under_test: VaultUnderTest
    ) -> None:
        name = under_test.new_secret_name()
        under_test.vault.secrets.set(name, "value")
        stored = under_test.vault.secrets.get(name)
        assert (stored.content_type, dict(stored.tags)) == (None, {})

    @needs("secrets")
    def test_a_secret_that_is_set_again_keeps_its_older_version(
        self, under_test: VaultUnderTest
    ) -> None:
        secrets = under_test.vault.secrets
        name = under_test.new_secret_name()
        first = secrets.set(name, "first", tags={"n": "1"})
        second = secrets.set(name, "second")
        assert [version.id for version in secrets.versions(name)] == [first.id, second.id]
        for version, expected in (
            (first.id.version, b"first"),
            (second.id.version, b"second"),
            (None, b"second"),
        ):
            assert secrets.get(name, version).value == expected
        assert dict(secrets.get(name, first.id.version).tags) == {"n": "1"}

    @needs("secrets")
    def test_the_case_of_a_name_does_not_count(self, under_test: VaultUnderTest) -> None:
        name = under_test.new_secret_name()
        made = under_test.vault.secrets.set(name, "value")
        assert under_test.vault.secrets.get(name.upper()).id == made.id

    @needs("secrets")
    def test_a_listing_has_the_latest_versions_and_no_values(
        self, under_test: VaultUnderTest
    ) -> None:
        secrets = under_test.vault.secrets
        name, other = under_test.new_secret_name(), under_test.new_secret_name()
        secrets.set(name, "first", tags={"n": "1"})
        secrets.set(name, "second", content_type="BEK", tags={"n": "2"})
        secrets.set(other, "other")
        listed = {secret.id.name: secret for secret in secrets.list()}
        assert listed.keys() >= {name, other}
        assert (listed[name].content_type, dict(listed[name].tags)) == ("BEK", {"n": "2"})
        described = [*listed.values(), *secrets.versions(name)]
        assert all(secret.value is None for secret in described)

    @needs("secrets")
    def test_a_value_is_text_and_as_long_as_is_taken(self, under_test: VaultUnderTest) -> None:
        secrets = under_test.vault.secrets
        name = under_test.new_secret_name()
        secrets.set(name, "x" * 25_000)
        with pytest.raises(CapacityError):
            secrets.set(name, "x" * 25 * 1024 + "x")
        with pytest.raises(CapacityError):
            secrets.set(name, "x", tags={f"n{number}": "" for number in range(16)})
        assert len(secrets.versions(name)) == 1
        assert secrets.get(name).value == b"x" * 25_000

    @needs("secrets")
    def test_a_secret_that_is_not_there_is_not_found(self, under_test: VaultUnderTest) -> None:
        secrets = under_test.vault.secrets
        name = under_test.new_secret_name()
        for missing in (secrets.get, secrets.versions, secrets.recover):
            with pytest.raises(NotFoundError):
                missing(name)
        with pytest.raises(NotFoundError):
            secrets.delete(name, confirm=name)
        with pytest.raises(NotFoundError):
            secrets.purge(name, confirm=name)
        secrets.set(name, "value")
        with pytest.raises(NotFoundError):
            secrets.get(name, "0" * 32)

    def test_a_bad_secret_name_is_refused(self, under_test: VaultUnderTest) -> None:
        for name in ("", "a/b", "a.b", "a b", "../a", "ä", "x" * 128, "a\0"):
            with pytest.raises(InvalidInputError):
                under_test.vault.secrets.set(name, "value")
            with pytest.raises(InvalidInputError):
                under_test.vault.secrets.get(name)

    # ------------------------------------------------------------------ soft delete

    @needs("secrets")
    def test_deleting_a_secret_asks_for_its_name_again(self, under_test: VaultUnderTest) -> None:
        secrets = under_test.vault.secrets
        name = under_test.new_secret_name()
        secrets.set(name, "value")
        for wrong in ("", "yes", f"{name} "):
            with pytest.raises(InvalidInputError):
                secrets.delete(name, confirm=wrong)
        assert secrets.get(name).value == b"value"

    @needs("secrets")
    def test_a_deleted_secret_comes_back_with_its_versions(
        self, under_test: VaultUnderTest
    ) -> None:
        secrets = under_test.vault.secrets
        name = under_test.new_secret_name()
        first = secrets.set(name, "first")
        second = secrets.set(name, "second", tags={"n": "2"})
        secrets.delete(name, confirm=name)
        with pytest.raises((NotFoundError, InvalidStateError)):
            secrets.get(name)
        with pytest.raises((NotFoundError, InvalidStateError)):
            secrets.get(name, first.id.version)
        with pytest.raises(InvalidStateError):
            secrets.set(name, "third")
        with pytest.raises(NotFoundError):
            secrets.delete(name, confirm=name)
        assert name in secrets.deleted()
        assert name not in [secret.id.name for secret in secrets.list()]
        assert secrets.recover(name).id == second.id
        assert name not in secrets.deleted()
        assert [version.id for version in secrets.versions(name)] == [first.id, second.id]
        assert secrets.get(name, first.id.version).value == b"first"

    @needs("secrets")
    def test_a_purged_secret_is_gone_for_ever(self, under_test: VaultUnderTest) -> None:
        secrets = under_test.vault.secrets
        name = under_test.new_secret_name()
        secrets.set(name, "value")
        with pytest.raises(NotFoundError):
            secrets.purge(name, confirm=name)
        secrets.delete(name, confirm=name)
        with pytest.raises(InvalidInputError):
            secrets.purge(name, confirm="")
        secrets.purge(name, confirm=name)
        assert name not in secrets.deleted()
        for missing in (secrets.get, secrets.recover):
            with pytest.raises(NotFoundError):
                missing(name)
