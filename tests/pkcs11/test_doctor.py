"""Tokens examined: SoftHSM as it is, and what does not open."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pkcs11.constants import Attribute

import keyhier
from keyhier.doctor import Finding, Severity
from keyhier.errors import InvalidInputError, UnavailableError
from keyhier_pkcs11 import doctor
from keyhier_pkcs11.doctor.workbench import open_workbench
from keyhier_pkcs11.driver import Pkcs11Driver
from tests.pkcs11.findings import found, only
from tests.pkcs11.pkcs11_tool import pkcs11_tool

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver


def test_a_sound_token_has_no_warning(softhsm_token: SoftHsmToken) -> None:
    with keyhier.open(softhsm_token.uri) as vault:
        vault.create_key("rsa", "RSA-2048")
        vault.create_key("aes", "AES-256")
        diagnosis = vault.doctor()
    assert diagnosis.worst is Severity.NOTE
    checks = {finding.check for finding in diagnosis}
    assert checks >= {
        *("pin-source", "module", "token", "login", "clock", "sessions", "abilities", "random"),
        *("mechanism.CKM_RSA_PKCS_OAEP", "mechanism.CKM_AES_KEY_WRAP", "mechanism.CKM_AES_GCM"),
        *("attributes.made", "attributes.one-way", "attributes.usages", "attributes.unwrapped"),
        *("trials", "threads", "keys", "keys.id", "keys.label", "keys.public", "left-over"),
    }
    assert "SoftHSM" in only(diagnosis, "module").found
    assert softhsm_token.serial in only(diagnosis, "token").found
    assert "SHA-256 fails" in only(diagnosis, "mechanism.CKM_RSA_PKCS_OAEP").found
    assert "multiples of 8" in only(diagnosis, "mechanism.CKM_AES_KEY_WRAP_PAD").found
    assert "none failed" in only(diagnosis, "threads").found
    assert only(diagnosis, "keys").found.startswith("2 keys of keyhier's in 2 versions")


def test_examining_by_uri_finds_the_same_as_examining_an_open_vault(
    softhsm_token: SoftHsmToken,
) -> None:
    by_uri = keyhier.examine(softhsm_token.uri)
    with keyhier.open(softhsm_token.uri) as vault:
        opened = vault.doctor()
    assert [each.check for each in by_uri] == [each.check for each in opened]


@pytest.mark.requires_tool("pkcs11-tool")
def test_nothing_is_left_on_the_token(softhsm_token: SoftHsmToken) -> None:
    with keyhier.open(softhsm_token.uri) as vault:
        vault.create_key("mine", "RSA-2048")
        before = pkcs11_tool(softhsm_token, "--list-objects")
        vault.doctor()
    assert pkcs11_tool(softhsm_token, "--list-objects") == before


def test_promise_7_the_pin_is_neither_in_findings_nor_in_a_process_list(
    softhsm_token: SoftHsmToken,
) -> None:
    program = "import os, keyhier; print(repr(keyhier.examine(os.environ['URI'])))"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "URI": softhsm_token.uri},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as child:
        pin, seen, trials = softhsm_token.pin.encode(), b"", 0
        while child.poll() is None:
            for process in Path("/proc").glob("[0-9]*"):
                try:
                    line = (process / "cmdline").read_bytes()
                    if b"thread_trial" in line:
                        trials += 1
                        line += (process / "environ").read_bytes()
                except OSError:
                    continue
                seen += line
            time.sleep(0.02)
        assert child.stdout is not None
        output = child.stdout.read()
    assert trials
    assert b"Finding(" in output
    assert pin not in seen
    assert pin not in output


def test_a_pin_from_a_callback_reaches_the_thread_check(
    softhsm_token: SoftHsmToken, capfd: pytest.CaptureFixture[str]
) -> None:
    uri = softhsm_token.uri.partition("&pin-source")[0]
    asked: list[str] = []

    def pin(what: str) -> str:
        asked.append(what)
        return softhsm_token.pin

    diagnosis = keyhier.examine(uri, pin=pin)
    assert only(diagnosis, "threads").severity is Severity.OK
    assert len(asked) == 2
    assert not found(diagnosis, "pin-source")
    assert softhsm_token.pin not in "".join(capfd.readouterr())


def test_another_pin_at_the_second_asking_is_not_tried(softhsm_token: SoftHsmToken) -> None:
    uri = softhsm_token.uri.partition("&pin-source")[0]
    answers = iter([softhsm_token.pin, "wrong"])
    diagnosis = keyhier.examine(uri, pin=lambda _: next(answers))
    threads = only(diagnosis, "threads")
    assert threads.severity is Severity.ERROR
    assert "not the one this process is logged in with" in threads.found
    # SoftHSM would say so, had the PIN been tried.
    assert not found(keyhier.examine(softhsm_token.uri), "pin")


def test_a_wrong_pin_is_a_finding_and_is_tried_once(softhsm_token: SoftHsmToken) -> None:
    softhsm_token.pin_file.write_text("wrong")
    diagnosis = keyhier.examine(softhsm_token.uri)
    login = only(diagnosis, "login")
    assert (login.severity, login.native) == (Severity.ERROR, "C_Login: CKR_PIN_INCORRECT")
    assert login.remedy
    assert only(diagnosis, "module").severity is Severity.OK
    assert only(diagnosis, "token").severity is Severity.OK
    softhsm_token.pin_file.write_text(softhsm_token.pin)
    again = keyhier.examine(softhsm_token.uri)
    assert again.worst is Severity.NOTE


def test_a_module_that_is_missing_or_none_is_a_finding(softhsm: SoftHsm, tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("this is no module")
    for path in (tmp_path / "missing.so", text):
        diagnosis = keyhier.examine(f"pkcs11:token=disks?module-path={path}")
        assert [finding.check for finding in diagnosis] == ["module"]
        assert diagnosis.worst is Severity.ERROR


def test_a_token_that_is_missing_is_a_finding(softhsm: SoftHsm) -> None:
    diagnosis = keyhier.examine(f"pkcs11:token=nobody?module-path={softhsm.module_path}")
    assert only(diagnosis, "token").severity is Severity.ERROR
    assert not found(diagnosis, "login")


def test_a_uri_that_is_wrong_is_no_finding(softhsm: SoftHsm) -> None:
    with pytest.raises(InvalidInputError, match="unknown attribute"):
        keyhier.examine(f"pkcs11:nonsense=1?module-path={softhsm.module_path}")


def test_a_pin_file_that_others_may_read_is_a_warning(softhsm_token: SoftHsmToken) -> None:
    softhsm_token.pin_file.chmod(0o644)
    pin_source = only(keyhier.examine(softhsm_token.uri), "pin-source")
    assert pin_source.severity is Severity.WARNING
    assert pin_source.remedy == f"chmod 600 {softhsm_token.pin_file}"


def test_a_vault_with_a_deadline_and_few_sessions_is_examined(softhsm_token: SoftHsmToken) -> None:
    uri = f"{softhsm_token.uri}&timeout=30&max-sessions=2"
    diagnosis = keyhier.examine(uri)
    assert diagnosis.worst is Severity.NOTE
    assert only(diagnosis, "threads").severity is Severity.OK


def test_a_check_that_takes_too_long_is_told(
    softhsm_token: SoftHsmToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    hang = threading.Event()

    def hanging(_: object) -> list[Finding]:
        hang.wait(60)
        return []

    monkeypatch.setattr(doctor, "examine_inventory", hanging)
    try:
        diagnosis = keyhier.examine(f"{softhsm_token.uri}&timeout=5")
    finally:
        hang.set()
    keys = only(diagnosis, "keys")
    assert keys.severity is Severity.ERROR
    assert "did not answer within 5 seconds" in keys.found
    assert only(diagnosis, "trials").severity is Severity.OK


def test_a_token_that_is_lost_after_an_examination_asks_for_its_pin_as_before(
    softhsm_token: SoftHsmToken,
) -> None:
    uri = softhsm_token.uri.partition("&pin-source")[0]
    with keyhier.open(uri, pin=lambda _: softhsm_token.pin) as vault:
        key = vault.create_key("kek", "AES-256")
        assert only(vault.doctor(), "threads").severity is Severity.OK
        driver = vault._opened.driver
        assert isinstance(driver, Pkcs11Driver)
        driver.connection.login().end()
        with vault.unwrap(str(key.wrap(b"as before"))) as opened:
            assert opened == b"as before"


def test_objects_of_a_lost_login_are_not_tried_with_in_the_next(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    connection = open_driver(softhsm_token.uri).connection
    with open_workbench(connection) as bench:
        key = bench.known_aes_key(Attribute.WRAP)
        connection.login().end()
        with pytest.raises(UnavailableError, match="lost during the examination"):
            bench.attempt("C_WrapKey", key.handle, lambda _: None)
        bench._made.clear()
