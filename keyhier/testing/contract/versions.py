"""An envelope is opened by the version that sealed it, however often the key was rotated."""

from __future__ import annotations

import pytest

from keyhier.algorithms import KeyType
from keyhier.errors import NotFoundError
from keyhier.testing.contract.forgery import compose, refusal
from keyhier.testing.contract.requirements import each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest, latest_keys

__all__ = ["Versions"]


class Versions:
    """Version pinning and rotation."""

    @each_family()
    def test_a_key_names_its_exact_version(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.key(under_test.algorithm_of(family))
        assert key.version
        assert key.id.version == key.version
        assert under_test.vault.key(key.name).id == key.id
        assert under_test.vault.key(key.name, key.version).id == key.id
        assert under_test.vault.key(key.id).id == key.id
        assert under_test.vault.key(str(key.id)).id == key.id
        assert [version.id for version in key.versions()] == [key.id]

    @each_family("rotates")
    def test_rotation_makes_a_new_version_like_the_old_one(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        old = under_test.fresh_key_of(family)
        new = old.rotate()
        assert new.name == old.name
        assert new.version != old.version
        assert new.spec == old.spec
        assert new.algorithms == old.algorithms
        assert new.enabled
        assert under_test.vault.key(old.name).id == new.id
        assert under_test.vault.key(old.name, old.version).id == old.id
        if family is KeyType.RSA:
            assert new.thumbprint != old.thumbprint

    @each_family("rotates_for_tag")
    def test_a_version_that_is_made_for_a_tag_is_made_once(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.fresh_key_of(family)
        made = key.rotate(tag="0b1f6f8e-56a5-4a3c-8a2b-6c3f0e9d1a77")
        later = key.rotate(tag="another")
        assert len({key.id, made.id, later.id}) == 3
        assert made.spec == key.spec
        for user in (under_test.vault, under_test.another_user()):
            again = user.key(key.name).rotate(tag="0b1f6f8e-56a5-4a3c-8a2b-6c3f0e9d1a77")
            assert again.id == made.id
        listed = [version.id for version in under_test.vault.key(key.name).versions()]
        assert listed == [key.id, made.id, later.id]

    @each_family("rotates")
    def test_old_envelopes_open_after_a_rotation_and_new_ones_name_the_new_version(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.fresh_key_of(family)
        before = key.wrap(b"before")
        key.rotate()
        after = under_test.vault.key(key.name).wrap(b"after")
        assert before.kid == key.id
        assert after.kid != before.kid
        for user in (under_test.vault, under_test.another_user()):
            for wrapped, secret in ((before, b"before"), (after, b"after")):
                with user.unwrap(str(wrapped)) as opened:
                    assert opened == secret

    @each_family("rotates")
    def test_one_version_does_not_open_what_another_sealed(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        algorithm = under_test.algorithm_of(family)
        old = under_test.fresh_key(algorithm)
        new = old.rotate()
        for sealed_by, named in ((old, new), (new, old)):
            foreign = compose(
                sealed_by,
                b"secret",
                algorithm=algorithm,
                kid=named.id,
                thumbprint=named.thumbprint,
            )
            refusal(under_test.vault.unwrap, foreign)
            refusal(named.unwrap, foreign)

    @needs("rotates")
    def test_versions_are_listed_oldest_first(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        made = [key, *(key.rotate() for _ in range(3))]
        for user in (under_test.vault, under_test.another_user()):
            listed = user.key(key.name).versions()
            assert [version.id for version in listed] == [version.id for version in made]
            assert len({version.id for version in listed}) == 4

    @needs("rotates")
    def test_a_list_of_keys_shows_the_latest_version_once(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        new = key.rotate()
        listed = [found.id for found in latest_keys(under_test.vault)]
        assert new.id in listed
        assert key.id not in listed

    @needs("rotates", "lifecycle")
    def test_the_latest_version_is_the_one_made_last_even_if_it_is_disabled(
        self, under_test: VaultUnderTest
    ) -> None:
        key = under_test.any_key()
        new = key.rotate()
        new.disable()
        assert under_test.vault.key(key.name).id == new.id
        assert not under_test.vault.key(key.name).enabled

    def test_a_version_that_is_not_there_is_not_found(self, under_test: VaultUnderTest) -> None:
        key, other = under_test.any_key(), under_test.any_key()
        with pytest.raises(NotFoundError):
            under_test.vault.key(key.name, other.version)

    @needs("rotates", "lifecycle")
    def test_a_key_that_is_gone_cannot_be_rotated(self, under_test: VaultUnderTest) -> None:
        key = under_test.any_key()
        under_test.destroy(key.name)
        with pytest.raises(NotFoundError):
            key.rotate()
