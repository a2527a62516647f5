"""Tokens examined by way of a module that does wrong in ways that are asked for."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import keyhier
from keyhier.doctor import Finding, Severity
from keyhier_pkcs11.doctor import _trials
from keyhier_pkcs11.doctor.threads import _judged
from keyhier_pkcs11.doctor.token import examine_sessions
from keyhier_pkcs11.doctor.token_info import _time, read_token_info
from keyhier_pkcs11.driver import Pkcs11Driver
from tests.pkcs11.findings import found, only, preliminary
from tests.pkcs11.odd_module import compile_odd_module

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver

OddUri = Callable[..., str]
gcc = pytest.mark.requires_tool("gcc")


def trials(open_driver: OpenDriver, uri: str) -> list[Finding]:
    """Return what mechanisms and attributes come to."""
    return list(_trials(open_driver(uri)._shared))


def sessions(driver: Pkcs11Driver) -> list[Finding]:
    """Return what is found about sessions."""
    path, slot = str(driver._address.module_path), driver._shared.token.slot.slot_id
    return list(examine_sessions(read_token_info(path, slot), driver.connection.max_sessions))


@pytest.fixture(scope="session")
def odd_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compile_odd_module(tmp_path_factory.mktemp("odd"))


@pytest.fixture
def odd_uri(
    odd_module: Path, softhsm_token: SoftHsmToken, monkeypatch: pytest.MonkeyPatch
) -> OddUri:
    """Return the URI of a fresh token by way of the odd module, with faults that are asked for."""

    def uri(**faults: str) -> str:
        monkeypatch.setenv("ODD_INNER", str(softhsm_token.module_path))
        for name, value in faults.items():
            monkeypatch.setenv(f"ODD_{name.upper()}", value)
        return softhsm_token.uri.replace(str(softhsm_token.module_path), str(odd_module))

    return uri


@gcc
@pytest.mark.parametrize(
    ("fault", "said"),
    [("crash", "the module crashes (SIGSEGV)"), ("fail", "CKR_DEVICE_ERROR")],
)
def test_a_module_that_does_not_stand_threads_is_found_out_in_a_child(
    odd_uri: OddUri, fault: str, said: str
) -> None:
    threads = only(keyhier.examine(odd_uri(threads=fault)), "threads")
    assert threads.severity is Severity.ERROR
    assert said in threads.found
    assert threads.remedy


def test_a_child_that_hangs_or_does_not_start_is_told() -> None:
    assert _judged(None, b"").severity is Severity.ERROR
    assert "killed" in _judged(None, b"").found
    assert _judged(1, b"").severity is Severity.WARNING
    told = _judged(0, b'{"error": "no token", "native": null, "remedy": "plug it in"}')
    assert (told.severity, told.remedy) == (Severity.WARNING, "plug it in")


@gcc
def test_a_clock_that_is_off_is_told(odd_uri: OddUri) -> None:
    clock = only(preliminary(odd_uri(clock="2020010203040500")), "clock")
    assert clock.severity is Severity.WARNING
    assert "behind this host's" in clock.found


@gcc
def test_a_clock_that_is_right_is_fine(odd_uri: OddUri) -> None:
    now = time.strftime("%Y%m%d%H%M%S00", time.gmtime())
    assert only(preliminary(odd_uri(clock=now)), "clock").severity is Severity.OK


@gcc
def test_a_clock_without_a_time_is_told(odd_uri: OddUri) -> None:
    clock = only(preliminary(odd_uri(clock="                ")), "clock")
    assert clock.severity is Severity.NOTE


def test_a_time_that_is_none_is_not_read() -> None:
    assert _time(b"\xff" * 16) is None
    assert _time(b"2024130100000000") is None


@gcc
def test_few_free_sessions_are_a_warning_and_many_are_not(
    odd_uri: OddUri, open_driver: OpenDriver
) -> None:
    few = only(sessions(open_driver(odd_uri(sessions="10,9"))), "sessions")
    assert few.severity is Severity.WARNING
    assert few.found.startswith("1 of 10 ")
    many = only(sessions(open_driver(odd_uri(sessions="64,9"))), "sessions")
    assert many.severity is Severity.OK


@gcc
@pytest.mark.parametrize(
    ("flag", "said"), [("20000", "one more wrong PIN"), ("40000", "is locked")]
)
def test_no_pin_is_tried_where_that_could_lock_the_token(
    odd_uri: OddUri, flag: str, said: str
) -> None:
    diagnosis = keyhier.examine(odd_uri(flags=flag), pin=lambda _: pytest.fail("it was asked for"))
    assert said in only(diagnosis, "pin").found
    assert not found(diagnosis, "login")


@gcc
@pytest.mark.parametrize(
    ("flag", "check"), [("10000", "pin"), ("80000", "pin"), ("2", "token.writable")]
)
def test_flags_that_want_attention_are_told(odd_uri: OddUri, flag: str, check: str) -> None:
    assert only(preliminary(odd_uri(flags=flag)), check).severity in (
        Severity.NOTE,
        Severity.WARNING,
    )


@gcc
def test_a_token_with_a_keypad_gets_no_second_login(
    odd_uri: OddUri, softhsm_token: SoftHsmToken
) -> None:
    with keyhier.open(odd_uri(flags="100", keypad=softhsm_token.pin)) as vault:
        threads = only(vault.doctor(), "threads")
    assert threads.severity is Severity.NOTE
    assert "keypad" in threads.found


@gcc
def test_attributes_that_are_ignored_are_told(odd_uri: OddUri, open_driver: OpenDriver) -> None:
    diagnosis = trials(open_driver, odd_uri(readable=",C_UnwrapKey,C_GenerateKey,"))
    made, unwrapped = only(diagnosis, "attributes.made"), only(diagnosis, "attributes.unwrapped")
    assert made.severity is Severity.ERROR
    assert unwrapped.severity is Severity.WARNING
    assert only(diagnosis, "attributes.one-way").severity is Severity.ERROR
    for name in ("CKA_SENSITIVE", "CKA_EXTRACTABLE", "CKA_VALUE"):
        assert name in made.found
        assert name in unwrapped.found


@gcc
def test_a_key_that_does_what_it_is_not_for_is_an_error(
    odd_uri: OddUri, open_driver: OpenDriver
) -> None:
    usages = only(trials(open_driver, odd_uri(usable=",C_GenerateKey,")), "attributes.usages")
    assert usages.severity is Severity.ERROR
    assert "C_Decrypt" in usages.found


@gcc
def test_wrong_results_are_errors(odd_uri: OddUri, open_driver: OpenDriver) -> None:
    findings = trials(open_driver, odd_uri(wrong=",C_WrapKey,C_Decrypt,"))
    for mechanism in ("RSA_PKCS", "AES_KEY_WRAP", "AES_GCM"):
        assert only(findings, f"mechanism.CKM_{mechanism}").severity is Severity.ERROR
    oaep = only(findings, "mechanism.CKM_RSA_PKCS_OAEP")
    assert oaep.severity is Severity.WARNING
    assert "SHA-1 gives wrong bytes" in oaep.found
    padded = only(findings, "mechanism.CKM_AES_KEY_WRAP_PAD")
    assert "is not RFC 5649" in padded.found


@gcc
def test_what_the_token_says_it_did_and_did_not_is_told(
    odd_uri: OddUri, open_driver: OpenDriver
) -> None:
    findings = trials(open_driver, odd_uri(ignored=",C_SetAttributeValue,C_DestroyObject,"))
    assert "does not make it" in only(findings, "attributes.changeable").found
    assert only(findings, "attributes.one-way").severity is Severity.OK
    cleared = only(findings, "trials")
    assert cleared.severity is Severity.ERROR
    assert "still there" in cleared.found


@gcc
def test_a_token_without_a_login_is_examined_without_one(odd_uri: OddUri) -> None:
    uri = odd_uri(cleared="4").partition("&pin-source")[0]
    diagnosis = keyhier.examine(uri)
    assert only(diagnosis, "login").severity is Severity.NOTE
    assert only(diagnosis, "threads").severity is Severity.OK


@gcc
def test_a_token_without_a_user_pin_is_an_error(odd_uri: OddUri) -> None:
    assert "no user PIN" in only(preliminary(odd_uri(cleared="8")), "pin").found


@gcc
def test_a_generator_that_repeats_itself_is_an_error(
    odd_uri: OddUri, open_driver: OpenDriver
) -> None:
    assert only(trials(open_driver, odd_uri(random="1")), "random").severity is Severity.ERROR


@gcc
def test_a_token_without_a_mechanism_of_use_is_an_error(odd_uri: OddUri) -> None:
    diagnosis = keyhier.examine(odd_uri(hidden=",0,1,9,1080,1081,1087,2109,210a,"))
    assert only(diagnosis, "abilities").severity is Severity.ERROR
    tried = [finding for finding in diagnosis if finding.check.startswith("mechanism.")]
    assert {finding.severity for finding in tried} == {Severity.NOTE}


@gcc
def test_rsa_is_tried_with_a_key_from_outside_where_none_can_be_generated(
    odd_uri: OddUri, open_driver: OpenDriver
) -> None:
    diagnosis = trials(open_driver, odd_uri(hidden=",0,"))
    assert "SHA-1 works" in only(diagnosis, "mechanism.CKM_RSA_PKCS_OAEP").found


@gcc
def test_what_is_listed_and_refused_is_a_warning(odd_uri: OddUri, open_driver: OpenDriver) -> None:
    refused = ",C_EncryptInit,C_DecryptInit,C_WrapKey,C_SetAttributeValue,C_GenerateKeyPair,"
    diagnosis = trials(open_driver, odd_uri(refused=refused))
    for mechanism in ("RSA_PKCS_KEY_PAIR_GEN", "RSA_PKCS_OAEP", "AES_KEY_WRAP", "AES_GCM"):
        finding = only(diagnosis, f"mechanism.CKM_{mechanism}")
        assert finding.severity is Severity.WARNING
        assert "CKR_FUNCTION_FAILED" in f"{finding.native} {finding.found}"
    assert only(diagnosis, "attributes.changeable").severity is Severity.NOTE
    assert only(diagnosis, "attributes.unwrapped").severity is Severity.NOTE


@gcc
def test_a_token_that_takes_no_key_from_outside_is_tried_by_round_trips(
    odd_uri: OddUri, open_driver: OpenDriver
) -> None:
    diagnosis = trials(open_driver, odd_uri(refused=",C_CreateObject,"))
    assert "as far as a round trip shows" in only(diagnosis, "mechanism.CKM_AES_GCM").found
    assert "nothing shows" in only(diagnosis, "mechanism.CKM_AES_KEY_WRAP_PAD").found


@gcc
def test_what_cannot_be_destroyed_goes_with_its_session(
    odd_uri: OddUri, open_driver: OpenDriver
) -> None:
    diagnosis = trials(open_driver, odd_uri(refused=",C_DestroyObject,"))
    cleared = only(diagnosis, "trials")
    assert (cleared.severity, cleared.native) == (
        Severity.ERROR,
        "C_DestroyObject: CKR_FUNCTION_FAILED",
    )
    odd_uri(refused=",")
    assert only(trials(open_driver, odd_uri()), "trials").severity is Severity.OK


@gcc
def test_a_module_that_others_may_change_gets_no_pin(odd_uri: OddUri, odd_module: Path) -> None:
    odd_module.chmod(0o777)
    try:
        diagnosis = keyhier.examine(odd_uri(), pin=lambda _: pytest.fail("it was asked for"))
    finally:
        odd_module.chmod(0o755)
    assert only(diagnosis, "module.file").severity is Severity.ERROR
    assert not found(diagnosis, "login")
