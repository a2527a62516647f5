"""A lost session, login, token or module: the next operation connects and goes on."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, ImportKey, KeyVersion
from keyhier.errors import (
    AuthenticationError,
    NotFoundError,
    UnavailableError,
    UnwrapError,
)
from keyhier.secret import SecretBytes
from keyhier.testing.faults import Native
from keyhier_pkcs11.module import Module

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver

GENERAL_ERROR = 0x005
DEVICE_ERROR = 0x030
LOST = {
    "DEVICE_ERROR": DEVICE_ERROR,
    "DEVICE_REMOVED": 0x032,
    "OPERATION_ACTIVE": 0x090,
    "SESSION_CLOSED": 0x0B0,
    "SESSION_HANDLE_INVALID": 0x0B3,
    "TOKEN_NOT_PRESENT": 0x0E0,
    "USER_NOT_LOGGED_IN": 0x101,
    "CRYPTOKI_NOT_INITIALIZED": 0x190,
}
KW, GCM = WrapAlgorithm.A256KW, WrapAlgorithm.A256GCMKW


class Used:
    """A vault with keys, and what can be done with it twice over."""

    def __init__(self, driver: Pkcs11Driver) -> None:
        self.driver = driver
        self.kw = driver.create_key(CreateKey("kw", KeySpec.AES_256, KW))
        self.gcm = driver.create_key(CreateKey("gcm", KeySpec.AES_256, GCM))
        self._wrapped = {
            key.id: driver.wrap(key, algorithm, SecretBytes(b"s" * 32))
            for key, algorithm in ((self.kw, KW), (self.gcm, GCM))
        }

    def opens(self, key: KeyVersion, algorithm: WrapAlgorithm) -> bool:
        return self.driver.unwrap(key, algorithm, self._wrapped[key.id]) == b"s" * 32

    def wraps(self, key: KeyVersion, algorithm: WrapAlgorithm) -> bool:
        wrapped = self.driver.wrap(key, algorithm, SecretBytes(b"t" * 32))
        return self.driver.unwrap(key, algorithm, wrapped) == b"t" * 32

    def works(self) -> bool:
        return (
            self.opens(self.kw, KW)
            and self.opens(self.gcm, GCM)
            and self.wraps(self.kw, KW)
            and len(self.driver.random_bytes(7)) == 7
            and [key.id.name for key in self.driver.list_keys()] == ["gcm", "kw"]
        )


TWICE: dict[str, tuple[str, Callable[[Used], bool]]] = {
    "unwrap, C_UnwrapKey": ("C_UnwrapKey", lambda used: used.opens(used.kw, KW)),
    "unwrap, C_Decrypt": ("C_Decrypt", lambda used: used.opens(used.gcm, GCM)),
    "unwrap, C_DecryptInit": ("C_DecryptInit", lambda used: used.opens(used.gcm, GCM)),
    "wrap, C_WrapKey": ("C_WrapKey", lambda used: used.wraps(used.kw, KW)),
    "wrap, C_CreateObject": ("C_CreateObject", lambda used: used.wraps(used.kw, KW)),
    "wrap, C_Encrypt": ("C_Encrypt", lambda used: used.wraps(used.gcm, GCM)),
    "random": ("C_GenerateRandom", lambda used: len(used.driver.random_bytes(9)) == 9),
    "find, C_FindObjectsInit": (
        "C_FindObjectsInit",
        lambda used: used.driver.get_key("kw") == used.kw,
    ),
    "find, C_GetAttributeValue": (
        "C_GetAttributeValue",
        lambda used: used.driver.get_key("kw") == used.kw,
    ),
    "list": ("C_FindObjectsInit", lambda used: len(list(used.driver.list_keys())) == 2),
    "disable": (
        "C_SetAttributeValue",
        lambda used: not used.driver.set_enabled(used.kw, enabled=False).enabled,
    ),
}


@pytest.fixture
def used(driver: Pkcs11Driver) -> Used:
    """A vault with two keys."""
    return Used(driver)


@pytest.fixture
def module_not_to_be_finalised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let SoftHSM's module stand for one that its profile says this of."""
    monkeypatch.setattr(Module, "finalizes", False)


def module_of(token: SoftHsmToken) -> ctypes.CDLL:
    return ctypes.CDLL(str(token.module_path))


def number_of(session: Any) -> int:
    number: int = session.handle
    return number


def slot_of(driver: Pkcs11Driver) -> ctypes.c_ulong:
    return ctypes.c_ulong(driver._shared.token.slot.slot_id)


@pytest.mark.parametrize("operation", TWICE)
@pytest.mark.parametrize("code", LOST)
def test_what_may_be_done_twice_is_tried_again_once(
    used: Used, operation: str, code: str, faults: Faults
) -> None:
    function, perform = TWICE[operation]
    with faults.answer(function, LOST[code], times=1) as fault:
        assert perform(used)
    assert len(fault.hits) == 1
    assert used.driver.set_enabled(used.kw, enabled=True).enabled
    assert used.works()


@pytest.mark.parametrize(
    "operation", ["unwrap, C_UnwrapKey", "unwrap, C_Decrypt", "wrap, C_WrapKey", "wrap, C_Encrypt"]
)
def test_what_is_lost_a_second_time_is_told_and_not_tried_a_third(
    used: Used, operation: str, faults: Faults
) -> None:
    function, perform = TWICE[operation]
    with (
        faults.answer(function, DEVICE_ERROR) as fault,
        # Of a token that shows to be alive, an unwrap is told as one that the key rejected.
        pytest.raises((UnavailableError, UnwrapError)),
    ):
        perform(used)
    assert len(fault.hits) == 2
    assert used.works()


@pytest.mark.parametrize("code", LOST)
def test_a_token_that_stays_away_is_told_and_comes_back(
    used: Used, code: str, faults: Faults
) -> None:
    with ExitStack() as shims:
        for function in ("C_UnwrapKey", "C_OpenSession", "C_GenerateRandom"):
            shims.enter_context(faults.answer(function, LOST[code]))
        for _ in range(3):
            with pytest.raises((UnavailableError, AuthenticationError)) as caught:
                used.opens(used.kw, KW)
            assert caught.value.native is not None
            assert caught.value.native.startswith(("C_OpenSession: CKR", "C_Login: CKR"))
    assert used.works()


def test_an_ambiguous_code_of_a_dead_token_is_not_bad_input(used: Used, faults: Faults) -> None:
    with (
        faults.answer("C_Decrypt", GENERAL_ERROR, times=1),
        faults.answer("C_GenerateRandom", GENERAL_ERROR, times=1),
    ):
        assert used.opens(used.gcm, GCM)
    with (
        faults.answer("C_Decrypt", GENERAL_ERROR),
        faults.delay("C_GenerateRandom", 0) as probes,
        pytest.raises(UnwrapError),
    ):
        used.opens(used.gcm, GCM)
    assert len(probes.hits) == 1


def test_one_dead_session_does_not_take_the_others_down(
    used: Used, softhsm_token: SoftHsmToken, faults: Faults
) -> None:
    shared = used.driver._shared
    with shared.session() as one, shared.session() as other:
        handles = {number_of(one), number_of(other)}
    login = shared.login()
    # The one that is used next.
    dead = number_of(login._idle[-1])
    assert dead in handles
    assert module_of(softhsm_token).C_CloseSession(ctypes.c_ulong(dead)) == 0
    with faults.delay("C_Login", 0) as logins:
        assert used.works()
    assert not logins.hits
    assert shared.login() is login
    assert handles & {number_of(session) for session in login._idle}


@pytest.mark.parametrize(
    "operation", ["works", "unwraps", "finds", "creates", "rotates", "disables", "deletes"]
)
@pytest.mark.parametrize("loss", ["sessions", "login", "module"])
def test_what_other_code_takes_away_comes_back_with_one_login(
    used: Used, softhsm_token: SoftHsmToken, loss: str, operation: str, faults: Faults
) -> None:
    driver = used.driver
    library = module_of(softhsm_token)
    if loss == "sessions":
        assert library.C_CloseAllSessions(slot_of(driver)) == 0
    elif loss == "login":
        assert library.C_Logout(ctypes.c_ulong(number_of(driver._shared.login()._anchor))) == 0
    else:
        assert library.C_Finalize(None) == 0
    request = CreateKey("new", KeySpec.AES_256, KW)
    with faults.delay("C_Login", 0) as logins:
        if operation == "works":
            assert used.works()
        elif operation == "unwraps":
            assert used.opens(used.kw, KW)
        elif operation == "finds":
            assert driver.get_key("kw") == used.kw
        elif operation == "creates":
            assert driver.create_key(request).enabled
        elif operation == "rotates":
            assert driver.rotate_key("kw").id != used.kw.id
        elif operation == "disables":
            assert not driver.set_enabled(used.gcm, enabled=False).enabled
        else:
            driver.delete_key(used.gcm)
            with pytest.raises(NotFoundError):
                driver.get_key("gcm")
    assert len(logins.hits) == 1
    assert used.opens(used.kw, KW)


def test_a_number_of_an_earlier_login_is_never_used_for_a_key(
    used: Used, softhsm_token: SoftHsmToken
) -> None:
    before = used.driver._shared.login()
    assert used.works()
    assert before.handles
    assert module_of(softhsm_token).C_Finalize(None) == 0
    assert used.works()
    after = used.driver._shared.login()
    assert after is not before
    assert after.handles is not before.handles


@pytest.mark.parametrize("spec", [KeySpec.AES_256, KeySpec.RSA_2048])
@pytest.mark.parametrize("made", [True, False])
def test_promise_8_a_creation_is_not_repeated_but_looked_up(
    used: Used, spec: KeySpec, faults: Faults, *, made: bool
) -> None:
    aes = spec is KeySpec.AES_256
    function = "C_GenerateKey" if aes else "C_GenerateKeyPair"
    request = CreateKey("new", spec, KW if aes else None)
    with faults.answer(function, DEVICE_ERROR, times=1, carried_out=made) as fault:
        if made:
            assert used.driver.create_key(request).id.name == "new"
        else:
            with pytest.raises(UnavailableError) as caught:
                used.driver.create_key(request)
            assert caught.value.native == f"{function}: CKR_DEVICE_ERROR"
    assert len(fault.hits) == 1
    present = [key.id.name for key in used.driver.list_keys()]
    assert present == (["gcm", "kw", "new"] if made else ["gcm", "kw"])


def test_promise_8_an_import_is_not_repeated_but_looked_up(used: Used, faults: Faults) -> None:
    request = ImportKey("new", KeySpec.AES_256, SecretBytes(bytes(range(32))), KW)
    with faults.answer("C_CreateObject", DEVICE_ERROR, times=1, carried_out=True):
        key = used.driver.import_key(request)
    assert used.wraps(key, KW)
    assert len(used.driver.list_versions("new")) == 1


@pytest.mark.parametrize("done", [True, False])
def test_a_key_that_was_destroyed_although_the_token_failed_is_gone(
    used: Used, faults: Faults, *, done: bool
) -> None:
    with faults.answer("C_DestroyObject", DEVICE_ERROR, times=1, carried_out=done):
        used.driver.delete_key(used.gcm)
    assert [key.id.name for key in used.driver.list_keys()] == ["kw"]
    with pytest.raises(NotFoundError):
        used.driver.delete_key(used.gcm)


def test_a_pin_that_changed_meanwhile_is_tried_once(
    used: Used, softhsm_token: SoftHsmToken, faults: Faults
) -> None:
    softhsm_token.pin_file.write_text("another-pin-5")
    assert module_of(softhsm_token).C_CloseAllSessions(slot_of(used.driver)) == 0
    with faults.delay("C_Login", 0) as logins:
        for _ in range(3):
            with pytest.raises(AuthenticationError) as caught:
                used.opens(used.kw, KW)
            assert "another-pin-5" not in str(caught.value)
        assert len(logins.hits) == 1
        softhsm_token.pin_file.write_text(softhsm_token.pin)
        assert used.works()
    assert len(logins.hits) == 2


def test_a_module_is_not_restarted_under_a_token_that_works(
    used: Used,
    softhsm: SoftHsm,
    softhsm_token: SoftHsmToken,
    open_driver: OpenDriver,
    faults: Faults,
) -> None:
    twin = softhsm.new_token()
    other = Used(open_driver(twin.uri))
    slot = used.driver._shared.token.slot.slot_id
    assert module_of(softhsm_token).C_CloseAllSessions(slot_of(used.driver)) == 0

    def one_slot_is_away(open_session: Native, asked: int, *others: object) -> int:
        return DEVICE_ERROR if asked == slot else open_session(asked, *others)

    with (
        faults.delay("C_Finalize", 0) as ends,
        faults.replace("C_OpenSession", one_slot_is_away),
    ):
        with pytest.raises(UnavailableError):
            used.opens(used.kw, KW)
        assert other.works()
    assert not ends.hits
    assert used.works()
    other.driver.close()
    softhsm.remove(twin)


@pytest.mark.usefixtures("module_not_to_be_finalised")
def test_a_module_that_is_not_to_be_finalised_never_is(used: Used, faults: Faults) -> None:
    dead = faults.kill()
    for _ in range(2):
        with pytest.raises(UnavailableError, match="finalising it would harm") as caught:
            used.opens(used.kw, KW)
        assert caught.value.remedy == "start the program anew"
    assert faults.count("C_Finalize") == 0
    dead.remove()
    assert used.works()


@pytest.mark.usefixtures("module_not_to_be_finalised")
def test_a_module_that_others_finalised_is_initialised_again(
    used: Used, softhsm_token: SoftHsmToken
) -> None:
    assert module_of(softhsm_token).C_Finalize(None) == 0
    assert used.works()
