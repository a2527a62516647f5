"""Tokens examined: SoftHSM as it is, and with what is wrong with it made on purpose."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType

import keyhier
from keyhier.doctor import Finding, Severity
from keyhier.driver import Driver, OpenOptions
from keyhier.errors import InvalidInputError, UnavailableError
from keyhier.uri import VaultUri
from keyhier_pkcs11 import backend, doctor
from keyhier_pkcs11.doctor import _trials
from keyhier_pkcs11.doctor.inventory import examine_inventory
from keyhier_pkcs11.doctor.threads import _judged
from keyhier_pkcs11.doctor.token import examine_sessions
from keyhier_pkcs11.doctor.token_info import _time, read_token_info
from keyhier_pkcs11.doctor.workbench import open_workbench
from keyhier_pkcs11.driver import Pkcs11Driver
from keyhier_pkcs11.versions import VersionId
from tests.pkcs11.odd_module import compile_odd_module
from tests.pkcs11.pkcs11_tool import pkcs11_tool

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
    from tests.pkcs11.conftest import OpenDriver

OddUri = Callable[..., str]


def put(driver: Driver, object_class: ObjectClass, **attributes: Any) -> None:
    """Create an object on the token, as any program may."""
    template = {Attribute[name.upper()]: value for name, value in attributes.items()}
    kept = {Attribute.TOKEN: True, Attribute.PRIVATE: True, Attribute.CLASS: object_class}
    assert isinstance(driver, Pkcs11Driver)
    with driver._shared.session() as session:
        session.create_object({**kept, **template})


def put_aes(driver: Pkcs11Driver, label: str, key_id: bytes, **attributes: Any) -> None:
    usages = {"wrap": True, "unwrap": True, "encrypt": False, "decrypt": False}
    safe = {"sensitive": True, "extractable": False}
    put(
        driver,
        ObjectClass.SECRET_KEY,
        key_type=KeyType.AES,
        label=label,
        id=key_id,
        value=bytes(range(32)),
        **{**usages, **safe, **attributes},
    )


def put_public(driver: Driver, label: str, key_id: bytes) -> None:
    numbers = rsa.generate_private_key(65537, 2048).public_key().public_numbers()
    put(
        driver,
        ObjectClass.PUBLIC_KEY,
        key_type=KeyType.RSA,
        label=label,
        id=key_id,
        modulus=numbers.n.to_bytes(256),
        public_exponent=numbers.e.to_bytes(3),
    )


def found(findings: Any, check: str) -> list[Finding]:
    return [finding for finding in findings if finding.check == check]


def only(findings: Any, check: str) -> Finding:
    (finding,) = found(findings, check)
    return finding


def preliminary(uri: str) -> list[Finding]:
    """Return what is found without a login."""
    return list(backend.preliminaries(VaultUri.parse(uri), OpenOptions()))


def inventory(driver: Driver) -> list[Finding]:
    """Return what is found among the keys."""
    assert isinstance(driver, Pkcs11Driver)
    return list(examine_inventory(driver._shared))


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


# ---------------------------------------------------------------------- a token as it should be


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


# ---------------------------------------------------------------------- what does not open


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


# ---------------------------------------------------------------------- keys


def test_two_keys_of_one_label_are_named(driver: Pkcs11Driver, softhsm_token: SoftHsmToken) -> None:
    put_aes(driver, "twin", b"\x01")
    put_aes(driver, "twin", b"\x02")
    clash = only(inventory(driver), "keys.label")
    assert clash.severity is Severity.WARNING
    assert "'twin' id 01" in clash.found
    assert "'twin' id 02" in clash.found


def test_one_cka_id_on_two_keys_is_an_error(driver: Pkcs11Driver) -> None:
    put_aes(driver, "one", b"\xab\xcd")
    put_aes(driver, "other", b"\xab\xcd")
    clash = only(inventory(driver), "keys.id")
    assert clash.severity is Severity.ERROR
    assert "abcd" in clash.found
    assert "'one'" in clash.found
    assert "'other'" in clash.found


def test_a_planted_public_key_is_an_error(softhsm_token: SoftHsmToken) -> None:
    with keyhier.open(softhsm_token.uri) as vault:
        key = vault.create_key("victim", "RSA-2048")
        put_public(vault._opened.driver, "planted", bytes.fromhex(key.version))
        planted = only(inventory(vault._opened.driver), "keys.public")
    assert planted.severity is Severity.ERROR
    assert "planted" in planted.found
    assert planted.remedy


def test_keys_that_can_be_read_taken_out_or_misused_are_told(driver: Pkcs11Driver) -> None:
    put_aes(driver, "readable", b"\x01", sensitive=False, extractable=True)
    put_aes(driver, "extractable", b"\x02", extractable=True)
    put_aes(driver, "everything", b"\x03", encrypt=True, decrypt=True)
    put_aes(driver, "nameless", b"")
    findings = inventory(driver)
    assert "'readable'" in only(findings, "keys.sensitive").found
    assert only(findings, "keys.sensitive").severity is Severity.WARNING
    extractable = only(findings, "keys.extractable")
    assert "'extractable'" in extractable.found
    assert "'readable'" not in extractable.found
    misused, nameless = sorted(each.found for each in found(findings, "keys.purpose"))
    assert "'everything'" in misused
    assert "'nameless'" in nameless


def test_what_nobody_needs_is_told_and_stays(driver: Pkcs11Driver) -> None:
    put_public(driver, "orphan", b"\x01")
    put_aes(driver, "keyhier-doctor-0123", b"\x02")
    for _ in range(2):
        left = {each.severity: each.found for each in found(inventory(driver), "left-over")}
        assert "'orphan'" in left[Severity.NOTE]
        assert "'keyhier-doctor-0123'" in left[Severity.WARNING]


def test_a_key_from_the_future_is_told(driver: Pkcs11Driver) -> None:
    now = VersionId.new(None)
    ahead = VersionId.new(None, after=VersionId(now.value, now.milliseconds + 86_400_000, None))
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.private_numbers()
    private = numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp
    names = ("private_exponent", "prime_1", "prime_2", "exponent_1", "exponent_2", "coefficient")
    parts = {n: p.to_bytes((p.bit_length() + 7) // 8) for n, p in zip(names, private, strict=True)}
    put(
        driver,
        ObjectClass.PRIVATE_KEY,
        key_type=KeyType.RSA,
        label="tomorrow",
        id=ahead.value,
        modulus=numbers.public_numbers.n.to_bytes(256),
        public_exponent=b"\x01\x00\x01",
        decrypt=True,
        unwrap=True,
        **parts,
    )
    created = only(inventory(driver), "keys.created")
    assert created.severity is Severity.WARNING
    assert "'tomorrow'" in created.found


# ---------------------------------------------------------------------- modules that do wrong

gcc = pytest.mark.requires_tool("gcc")


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


# ---------------------------------------------------------------------- together with the rest


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
