"""Opening tokens: which module, which token, which PIN."""

from __future__ import annotations

import _ctypes
import ctypes
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import (
    CreateKey,
    Driver,
    OpenOptions,
    SupportsBackup,
    SupportsImport,
    SupportsLifecycle,
    SupportsRandom,
    SupportsRotation,
    SupportsSoftDelete,
)
from keyhier.errors import (
    AmbiguousError,
    AuthenticationError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from keyhier.secret import SecretBytes
from keyhier.testing.faults import Ckr, Native
from keyhier.uri import VaultUri
from keyhier_pkcs11 import backend
from keyhier_pkcs11.address import TokenAddress
from keyhier_pkcs11.module import Module, load_module
from keyhier_pkcs11.token import choose_token

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.p11_kit import NetworkHsm
    from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver

LOGIN_REQUIRED = 0x004
PROTECTED_AUTHENTICATION_PATH = 0x100

THROUGH_P11_KIT = """
import sys, keyhier
from keyhier.errors import UnsupportedError
try:
    keyhier.open(sys.argv[1] + "&init-args=anything")
except UnsupportedError as error:
    refusal = error.message.partition("and ")[2]
with keyhier.open(sys.argv[1]) as vault:
    key = vault.create_key("remote", "RSA-2048")
    with key.unwrap(key.wrap(b"secret")) as secret:
        print("the same" if secret == b"secret" else "another")
    key.delete(confirm=key.name)
print(refusal)
"""


def without_pin(token: SoftHsmToken) -> str:
    return token.uri.partition("&pin-source")[0]


def test_importing_the_backend_loads_no_pkcs11() -> None:
    program = (
        "import sys, keyhier_pkcs11; keyhier_pkcs11.backend.unavailable(); "
        "sys.exit(any(name.split('.')[0] == 'pkcs11' for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_without_python_pkcs11_the_backend_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['pkcs11'] = None\n"
        "import keyhier\n"
        "from keyhier.driver import OpenOptions\n"
        "from keyhier.uri import VaultUri\n"
        "from keyhier_pkcs11 import backend\n"
        "print(backend.unavailable())\n"
        "try:\n"
        "    uri = VaultUri.parse('pkcs11:token=a?module-path=/m.so')\n"
        "    backend.open(uri, OpenOptions())\n"
        "except keyhier.UnsupportedError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert done.stdout.count("keyhier[pkcs11]") == 2


@pytest.mark.parametrize(
    ("code", "kind", "native"),
    [
        (0x00A, UnsupportedError, "C_Initialize: CKR_CANT_LOCK"),
        (Ckr.GENERAL_ERROR, UnavailableError, "C_Initialize: 0x5"),
    ],
)
def test_a_module_that_does_not_initialise_is_told(
    softhsm: SoftHsm, code: int, kind: type[KeyhierError], native: str, faults: Faults
) -> None:
    with faults.answer("C_Initialize", code), pytest.raises(kind) as caught:
        Module(str(softhsm.module_path))
    assert caught.value.native == native


def test_the_driver_can_what_it_implements(driver: Pkcs11Driver) -> None:
    for can in (Driver, SupportsImport, SupportsRotation, SupportsLifecycle, SupportsRandom):
        assert isinstance(driver, can)
    for cannot in (SupportsBackup, SupportsSoftDelete):
        assert not isinstance(driver, cannot)
    assert driver.scheme == "pkcs11"
    assert backend.unavailable() is None


def test_a_token_opens_by_label_and_by_serial(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    query = softhsm_token.uri.partition("?")[2]
    assert open_driver(softhsm_token.uri).vault == softhsm_token.label
    assert open_driver(f"pkcs11:serial={softhsm_token.serial}?{query}").vault == softhsm_token.label


def test_promise_9_two_tokens_with_one_label_are_told_apart_by_serial(
    softhsm: SoftHsm, softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    twin = softhsm.new_token(softhsm_token.label)
    try:
        with pytest.raises(AmbiguousError) as caught:
            open_driver(softhsm_token.uri)
        assert len(caught.value.candidates) == 2
        for token in (softhsm_token, twin):
            assert any(token.serial in candidate for candidate in caught.value.candidates)
        uri = softhsm_token.uri.replace("?", f";serial={softhsm_token.serial}?")
        assert open_driver(uri).vault == softhsm_token.label
        wrong_model = uri.replace("?", ";model=other?")
        with pytest.raises(NotFoundError):
            open_driver(wrong_model)
    finally:
        softhsm.remove(twin)


def test_a_missing_token_is_told_with_those_that_are_there(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    uri = softhsm_token.uri.replace(f"token={softhsm_token.label}", "token=elsewhere")
    with pytest.raises(NotFoundError) as caught:
        open_driver(uri)
    assert softhsm_token.label in str(caught.value)


def test_a_missing_module_is_told(open_driver: OpenDriver, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no PKCS#11 module"):
        open_driver(f"pkcs11:token=a?module-path={tmp_path}/none.so")


def test_what_is_no_module_is_told(open_driver: OpenDriver, tmp_path: Path) -> None:
    text = tmp_path / "text.so"
    text.write_text("no library")
    with pytest.raises(InvalidInputError, match="cannot be loaded"):
        open_driver(f"pkcs11:token=a?module-path={text}")
    with pytest.raises(InvalidInputError, match="no C_GetFunctionList"):
        open_driver(f"pkcs11:token=a?module-path={_ctypes.__file__}")


def test_a_module_is_loaded_once(softhsm: SoftHsm, tmp_path: Path) -> None:
    link = tmp_path / "link.so"
    link.symlink_to(softhsm.module_path)
    assert load_module(softhsm.module_path) is load_module(link)


def test_a_module_with_a_new_function_list_at_each_call_is_initialised_its_own_way(
    network_hsm: NetworkHsm,
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", THROUGH_P11_KIT, network_hsm.uri],
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.stdout, done.stderr) == ("the same\ncannot be given init-args\n", "")


def test_a_vault_is_opened_after_the_network_hsm_was_started_anew(
    network_hsm: NetworkHsm, open_driver: OpenDriver
) -> None:
    for _ in range(2):
        driver = open_driver(network_hsm.uri)
        assert len(driver.random_bytes(3)) == 3
        driver.close()
        network_hsm.restart()
    assert len(open_driver(network_hsm.uri).random_bytes(3)) == 3


def test_a_network_hsm_that_went_is_away_and_not_unknown(
    network_hsm: NetworkHsm, open_driver: OpenDriver
) -> None:
    open_driver(network_hsm.uri).close()
    network_hsm.kill()
    try:
        with pytest.raises(UnavailableError, match="CKR_DEVICE_ERROR"):
            open_driver(network_hsm.uri)
        # A module that was initialised while the HSM is away knows of none.
        with pytest.raises(NotFoundError):
            open_driver(network_hsm.uri)
    finally:
        network_hsm.start()
    assert len(open_driver(network_hsm.uri).random_bytes(3)) == 3


def test_a_vault_is_opened_after_other_code_has_finalised_the_module(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    open_driver(softhsm_token.uri).close()
    assert ctypes.CDLL(str(softhsm_token.module_path)).C_Finalize(None) == 0
    assert len(open_driver(softhsm_token.uri).random_bytes(3)) == 3


def test_the_pin_comes_from_file_environment_and_callback(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def callback(what: str) -> str:
        asked.append(what)
        return softhsm_token.pin

    monkeypatch.setenv("KEYHIER_TEST_PIN", softhsm_token.pin)
    open_driver(softhsm_token.uri).close()
    open_driver(f"{without_pin(softhsm_token)}&pin-source=env:KEYHIER_TEST_PIN").close()
    open_driver(without_pin(softhsm_token), callback).close()
    assert asked == [f"token {softhsm_token.label!r}"]


def test_promise_7_a_wrong_pin_is_tried_once_and_never_shown(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with pytest.raises(AuthenticationError) as caught:
        open_driver(without_pin(softhsm_token), lambda _: "wrong-pin-91")
    assert faults.count("C_Login") == 1
    assert caught.value.native == "C_Login: CKR_PIN_INCORRECT"
    assert "wrong-pin-91" not in f"{caught.value!r} {caught.value} {caught.value.__context__!r}"


def test_a_wrong_pin_is_refused_also_where_the_process_is_logged_in(
    softhsm_token: SoftHsmToken, driver: Pkcs11Driver, open_driver: OpenDriver
) -> None:
    with pytest.raises(AuthenticationError) as caught:
        open_driver(without_pin(softhsm_token), lambda _: "wrong-pin-92")
    assert "wrong-pin-92" not in str(caught.value)
    assert open_driver(softhsm_token.uri).vault == driver.vault
    assert len(driver.random_bytes(5)) == 5


def test_no_pin_at_all_is_told(softhsm_token: SoftHsmToken, open_driver: OpenDriver) -> None:
    with pytest.raises(AuthenticationError, match="no terminal to ask at"):
        open_driver(without_pin(softhsm_token))


def test_vaults_on_one_token_share_the_login_until_the_last_is_closed(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    first, second = open_driver(softhsm_token.uri), open_driver(softhsm_token.uri)
    key = first.create_key(CreateKey("shared", KeySpec.AES_256, WrapAlgorithm.A256KW))
    first.close()
    first.close()
    wrapped = second.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))
    assert second.unwrap(key, WrapAlgorithm.A256KW, wrapped) == bytes(32)


def test_a_key_version_outlives_the_login_it_was_read_in(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    first = open_driver(softhsm_token.uri)
    key = first.create_key(CreateKey("kept", KeySpec.AES_256, WrapAlgorithm.A256KW))
    wrapped = first.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))
    first.close()
    again = open_driver(softhsm_token.uri)
    # Another object may have the old number now.
    again.create_key(CreateKey("other", KeySpec.AES_256, WrapAlgorithm.A256KW))
    assert again.unwrap(key, WrapAlgorithm.A256KW, wrapped) == bytes(32)


def test_a_closed_vault_says_so(driver: Pkcs11Driver) -> None:
    key = driver.create_key(CreateKey("closed", KeySpec.AES_256, WrapAlgorithm.A256KW))
    driver.close()
    for operation in (
        lambda: driver.get_key("closed"),
        lambda: list(driver.list_keys()),
        lambda: driver.list_versions("closed"),
        lambda: driver.create_key(CreateKey("x", KeySpec.AES_256, WrapAlgorithm.A256KW)),
        lambda: driver.rotate_key("closed"),
        lambda: driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32))),
        lambda: driver.unwrap(key, WrapAlgorithm.A256KW, bytes(40)),
        lambda: driver.set_enabled(key, enabled=False),
        lambda: driver.delete_key(key),
        lambda: driver.random_bytes(1),
        lambda: driver.algorithms,
        lambda: driver.key_specs,
    ):
        with pytest.raises(InvalidStateError, match="closed"):
            operation()


def test_promise_7_no_pin_in_any_repr(driver: Pkcs11Driver, softhsm_token: SoftHsmToken) -> None:
    shared = driver._shared
    for shown in (driver, shared, vars(shared), softhsm_token, vars(shared._authentication)):
        assert softhsm_token.pin not in repr(shown)


def test_a_token_with_a_keypad_is_logged_in_to_without_a_pin(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    pin = softhsm_token.pin.encode()
    given: list[object] = []

    def keypad(login: Native, session: int, user: int, data: int | None, length: int) -> int:
        given.append(data)
        buffer = ctypes.create_string_buffer(pin, len(pin))
        return login(session, user, ctypes.addressof(buffer), len(pin))

    def never(_: str) -> str:
        pytest.fail("a PIN was asked for")

    with (
        faults.change_token_flags(add=PROTECTED_AUTHENTICATION_PATH),
        faults.replace("C_Login", keypad),
    ):
        first = open_driver(without_pin(softhsm_token), never)
        second = open_driver(without_pin(softhsm_token), never)
    assert given == [None]
    first.create_key(CreateKey("pad", KeySpec.AES_256, WrapAlgorithm.A256KW))
    assert second.get_key("pad").enabled


def test_a_token_without_login_is_used_without_one(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with faults.change_token_flags(remove=LOGIN_REQUIRED):
        driver = open_driver(without_pin(softhsm_token))
        key = driver.create_key(CreateKey("open", KeySpec.AES_256, WrapAlgorithm.A256KW))
        wrapped = driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))
        assert driver.unwrap(key, WrapAlgorithm.A256KW, wrapped) == bytes(32)
        assert not faults.count("C_Login")
        with pytest.raises(InvalidStateError, match="without a PIN"):
            open_driver(softhsm_token.uri)


def test_a_pin_cannot_be_checked_where_other_code_is_logged_in(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    address = TokenAddress.from_uri(VaultUri.parse(softhsm_token.uri), None)
    token = choose_token(load_module(softhsm_token.module_path), address)
    other = token.open(user_pin=softhsm_token.pin)
    try:
        with pytest.raises(AuthenticationError) as caught:
            open_driver(softhsm_token.uri)
    finally:
        other.close()
    assert caught.value.native == "C_Login: CKR_USER_ALREADY_LOGGED_IN"
    assert open_driver(softhsm_token.uri).vault == softhsm_token.label


def test_opening_tries_again_while_another_process_writes(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    fault = faults.answer("C_OpenSession", Ckr.GENERAL_ERROR, times=2)
    assert len(driver.random_bytes(3)) == 3
    assert len(fault.hits) == 2


def test_a_token_that_fails_is_told_with_its_native_code(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with faults.answer("C_GetSlotList", Ckr.DEVICE_ERROR), pytest.raises(UnavailableError) as one:
        open_driver(softhsm_token.uri)
    assert one.value.native == "C_GetSlotList: CKR_DEVICE_ERROR"
    driver = open_driver(softhsm_token.uri)
    with faults.answer("C_OpenSession", Ckr.DEVICE_ERROR), pytest.raises(UnavailableError) as two:
        driver.random_bytes(3)
    assert two.value.native == "C_OpenSession: CKR_DEVICE_ERROR"


def test_one_broken_token_does_not_hide_the_others(
    softhsm: SoftHsm, softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    softhsm.remove(softhsm.new_token())
    assert open_driver(softhsm_token.uri).vault == softhsm_token.label


def test_the_backend_says_how_it_is_named() -> None:
    assert backend.description
    for form in backend.uri_forms:
        assert VaultUri.parse(form).scheme == "pkcs11"
    with pytest.raises(NotFoundError):
        backend.open(VaultUri.parse(backend.uri_forms[0]), OpenOptions())
