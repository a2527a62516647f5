"""For every rule a driver that breaks it, and the test of the contract that notices."""

from __future__ import annotations

from typing import Any, Final

import pytest

from keyhier.algorithms import KeyType, WrapAlgorithm
from keyhier.errors import KeyhierError
from keyhier.testing.contract import Contract, VaultUnderTest
from tests.testing import mutants

AES: Final = {"family": KeyType.AES}
GCM: Final = {"algorithm": WrapAlgorithm.A256GCM}

NOTICED: Final[list[tuple[type[mutants.Healthy], str, dict[str, Any]]]] = [
    (
        mutants.OpensWithTheLatestVersion,
        "test_old_envelopes_open_after_a_rotation_and_new_ones_name_the_new_version",
        AES,
    ),
    (
        mutants.OpensWithAnyVersion,
        "test_one_version_does_not_open_what_another_sealed",
        AES,
    ),
    (mutants.OpensWithADisabledKey, "test_a_disabled_key_neither_wraps_nor_unwraps", AES),
    (
        mutants.SaysDisabledAndDoesNotHoldToIt,
        "test_the_vault_itself_holds_to_it_against_users_who_do_not_know",
        AES,
    ),
    (mutants.DisablesEveryVersion, "test_disabling_one_version_leaves_the_others_alone", AES),
    (mutants.TellsARejectionFromAFailure, "test_promise_3_every_failure_looks_the_same", AES),
    (
        mutants.SaysWhyItDoesNotOpen,
        "test_promise_3_the_driver_itself_says_nothing_but_that_it_does_not_open",
        GCM,
    ),
    (mutants.RecoversTheLatestVersionOnly, "test_a_recovered_key_is_the_one_it_was", AES),
    (mutants.IgnoresAdditionalData, "test_additional_data_is_part_of_the_seal", GCM),
    (mutants.RepeatsItsWraps, "test_no_iv_comes_twice", GCM),
    (
        mutants.RepeatsItsWraps,
        "test_two_raw_wraps_differ_unless_the_algorithm_has_no_randomness",
        GCM,
    ),
    (mutants.StripsZeros, "test_zeros_at_either_end_of_a_secret_survive", GCM),
    (mutants.IgnoresTheTag, "test_a_key_does_not_open_another_ones_raw_wrap", GCM),
    (mutants.IgnoresTheTag, "test_promise_3_an_altered_raw_wrap_does_not_open", GCM),
    (mutants.ReplacesAKeyOfTheSameName, "test_a_name_is_taken_once", AES),
    (
        mutants.ForgetsTheAlgorithmWhenItRotates,
        "test_promise_5_a_rotated_key_is_for_the_same_algorithm",
        GCM,
    ),
    (mutants.ListsEveryVersion, "test_a_list_of_keys_shows_the_latest_version_once", {}),
    (mutants.ListsVersionsNewestFirst, "test_versions_are_listed_oldest_first", {}),
    (
        mutants.TakesTheNewestEnabledVersionForTheLatest,
        "test_the_latest_version_is_the_one_made_last_even_if_it_is_disabled",
        {},
    ),
    (mutants.DeletesForEverAtOnce, "test_a_recovered_key_is_the_one_it_was", AES),
    (mutants.DeletesForEverAtOnce, "test_a_soft_deleted_key_keeps_its_name", {}),
    (mutants.RestoresOverAKey, "test_a_backup_does_not_replace_a_key", {}),
    (mutants.RestoresAnything, "test_what_is_no_backup_is_refused", {}),
    (
        mutants.GivesShortRandomness,
        "test_random_bytes_are_as_many_as_were_asked_for",
        {},
    ),
    (
        mutants.MakesKeysForWhatItLacks,
        "test_an_algorithm_that_the_vault_lacks_is_refused_with_those_it_has",
        {"algorithm": WrapAlgorithm.A256KW},
    ),
    (mutants.RepeatsItsRandomness, "test_random_bytes_never_come_twice", {}),
    (mutants.ReturnsTheKeyThatIsThere, "test_of_threads_that_want_one_name_one_gets_it", {}),
    (
        mutants.ImportsAnotherKey,
        "test_an_imported_aes_key_opens_what_was_wrapped_outside",
        GCM,
    ),
    (
        mutants.LetsAnotherKeyGo,
        "test_an_aes_key_that_leaves_the_vault_is_the_same_where_it_comes_back",
        GCM,
    ),
    (
        mutants.MakesTheNextVersionStay,
        "test_the_next_version_of_a_key_that_may_leave_the_vault_may_as_well",
        AES,
    ),
    (
        mutants.LetsEveryKeyGo,
        "test_a_key_that_was_not_made_extractable_does_not_leave_the_vault",
        AES,
    ),
]


def _held(under_test: VaultUnderTest, test: str, arguments: dict[str, Any]) -> None:
    getattr(Contract(), test)(under_test=under_test, **arguments)


@pytest.mark.parametrize(
    ("mutant", "test", "arguments"), NOTICED, ids=lambda value: getattr(value, "__name__", None)
)
def test_the_contract_notices_a_driver_that_breaks_a_rule(
    mutant: type[mutants.Healthy], test: str, arguments: dict[str, Any]
) -> None:
    with VaultUnderTest("memory:", mutants.Healthy()) as healthy:
        _held(healthy, test, arguments)
    with (
        VaultUnderTest("memory:", mutant()) as broken,
        pytest.raises((AssertionError, KeyhierError, pytest.fail.Exception)),
    ):
        _held(broken, test, arguments)
