"""Names and ids: what is accepted, what is refused, and how keys are found by them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import pytest

from keyhier.algorithms import KeySpec
from keyhier.errors import InvalidInputError, KeyhierError, NotFoundError, UnsupportedError
from keyhier.identifiers import KeyId
from keyhier.testing.contract.requirements import needs
from keyhier.testing.contract.under_test import VaultUnderTest, latest_keys
from keyhier.testing.counting import counted

__all__ = ["Naming"]

NASTY: Final = {
    "empty": "",
    "128 characters": "a" * 128,
    "a space": "my key",
    "a slash": "kek/1",
    "a parent folder": "../kek",
    "an underscore": "my_key",
    "a full stop": "my.key",
    "a percent sign": "my%20key",
    "a semicolon": "kek;object=other",
    "a question mark": "kek?module-path=x",
    "a NUL": "kek\0",
    "a line break": "kek\n",
    "an umlaut": "schlüssel",
    "a digit of another script": "kek٣",
    "a letter that only looks Latin": "kеk",  # noqa: RUF001  # The second one is Cyrillic.
    "a quote": "kek'--",
    "a lone surrogate": "kek\ud800",
}


class Naming:
    """Names of keys."""

    @pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
    def test_a_name_that_some_vault_refuses_is_refused_before_this_one_is_asked(
        self, under_test: VaultUnderTest, name: str
    ) -> None:
        driver, calls = counted(under_test.driver)
        user = under_test.another_user(driver=driver)
        for spec in KeySpec:
            with pytest.raises(InvalidInputError):
                user.create_key(name, spec)
        with pytest.raises(InvalidInputError):
            user.import_key(name, bytes(32))
        assert calls == []

    @pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
    def test_looking_for_a_nasty_name_finds_nothing(
        self, under_test: VaultUnderTest, name: str
    ) -> None:
        # Keys that keyhier did not make may have any name, so a look-up refuses none out of hand.
        vault = under_test.vault
        known = under_test.key(under_test.any_algorithm())
        with pytest.raises((NotFoundError, InvalidInputError)):
            vault.key(name)
        with pytest.raises((NotFoundError, InvalidInputError)):
            vault.key(known.name, name)

    @pytest.mark.parametrize("name", NASTY.values(), ids=NASTY)
    @pytest.mark.parametrize("capability", ["soft_delete", "backup"])
    def test_nothing_is_recovered_purged_or_backed_up_by_a_nasty_name(
        self, under_test: VaultUnderTest, capability: str, name: str
    ) -> None:
        vault = under_test.vault
        expected: tuple[type[KeyhierError], ...] = (NotFoundError, InvalidInputError)
        if not getattr(under_test.capabilities, capability):
            expected = (UnsupportedError, InvalidInputError)
        uses: dict[str, list[Callable[[], object]]] = {
            "soft_delete": [
                lambda: vault.recover_key(name),
                lambda: vault.purge_key(name, confirm=name),
            ],
            "backup": [lambda: vault.backup_key(name)],
        }
        for use in uses[capability]:
            with pytest.raises(expected):
                use()

    def test_a_key_that_is_not_there_is_not_found(self, under_test: VaultUnderTest) -> None:
        with pytest.raises(NotFoundError):
            under_test.vault.key(under_test.new_name())

    def test_the_longest_name_works(self, under_test: VaultUnderTest) -> None:
        algorithm = under_test.any_algorithm()
        name = under_test.new_name(length=127)
        spec, purpose = under_test.purpose_of(algorithm)
        key = under_test.vault.create_key(name, spec, algorithm=purpose)
        with under_test.vault.unwrap(str(key.wrap(b"secret"))) as opened:
            assert opened == b"secret"

    def test_an_id_reads_back_as_itself(self, under_test: VaultUnderTest) -> None:
        key = under_test.key(under_test.any_algorithm())
        assert KeyId.parse(str(key.id)) == key.id
        assert key.id.scheme == under_test.driver.scheme == under_test.capabilities.scheme
        assert key.id.vault == under_test.driver.vault

    @pytest.mark.parametrize(
        "elsewhere",
        [
            "https://contoso.vault.azure.net/keys/kek/0123456789abcdef0123456789abcdef",
            "pkcs11:token=keyhier%20contract%20elsewhere;object=kek;id=%01",
            "memory:keyhier-contract-elsewhere/1",
            "record:keyhier-contract-elsewhere/kek/1",
        ],
    )
    def test_an_id_of_another_vault_is_not_found(
        self, under_test: VaultUnderTest, elsewhere: str
    ) -> None:
        with pytest.raises(NotFoundError):
            under_test.vault.key(KeyId.parse(elsewhere))

    def test_a_version_is_not_given_twice(self, under_test: VaultUnderTest) -> None:
        key = under_test.key(under_test.any_algorithm())
        with pytest.raises(InvalidInputError):
            under_test.vault.key(key.id, key.version)

    def test_every_key_is_listed_once_in_the_order_of_the_names(
        self, under_test: VaultUnderTest
    ) -> None:
        made = {under_test.any_key().id for _ in range(3)}
        listed = [key.id for key in latest_keys(under_test.vault)]
        assert made <= set(listed)
        assert len(listed) == len(set(listed))
        ours = [key_id.name for key_id in listed if key_id in made]
        assert ours == sorted(ours)

    def test_errors_say_what_failed_in_one_line(self, under_test: VaultUnderTest) -> None:
        with pytest.raises(KeyhierError) as caught:
            under_test.vault.key(under_test.new_name())
        assert "\n" not in str(caught.value)

    @needs("lifecycle")
    def test_a_name_is_free_again_once_its_key_is_destroyed(
        self, under_test: VaultUnderTest
    ) -> None:
        algorithm = under_test.any_algorithm()
        spec, purpose = under_test.purpose_of(algorithm)
        first = under_test.any_key()
        wrapped = first.wrap(b"secret")
        under_test.destroy(first.name)
        second = under_test.vault.create_key(first.name, spec, algorithm=purpose)
        assert second.id != first.id
        assert second.enabled
        with under_test.vault.unwrap(second.wrap(b"secret")) as opened:
            assert opened == b"secret"
        with pytest.raises(KeyhierError):
            under_test.vault.unwrap(wrapped)
