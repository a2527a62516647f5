"""The shipped faults, held to what they say, on SoftHSM."""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keyhier.errors import (
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from keyhier.testing.faults import Ckr, Faults, Native
from keyhier.testing.function_list import FUNCTIONS, FunctionList, _writable

if TYPE_CHECKING:
    from keyhier.key import Key
    from keyhier.testing.softhsm import SoftHsm
    from keyhier.vault import Vault

SECRET = bytes(range(32))


@pytest.fixture
def faults(softhsm: SoftHsm) -> Iterator[Faults]:
    with Faults(softhsm.module_path) as block:
        yield block


@pytest.fixture
def kek(softhsm_vault: Vault) -> Key:
    return softhsm_vault.create_key("kek", "AES-256", algorithm="A256GCM")


def unwrap(key: Key, wrapped: bytes) -> None:
    """Call C_DecryptInit once, and C_Decrypt twice, and check the result."""
    with key.unwrap_raw(wrapped, "A256GCM") as secret:
        assert secret == SECRET


def entries(module: Path) -> list[int | None]:
    pointer = ctypes.c_void_p()
    ctypes.CDLL(str(module)).C_GetFunctionList(ctypes.byref(pointer))
    assert pointer.value is not None
    return list((ctypes.c_void_p * 69).from_address(pointer.value))


def test_the_table_is_that_of_the_standard() -> None:
    assert len(FUNCTIONS) == 68
    places = {name: function.place for name, function in FUNCTIONS.items()}
    # Numbers counted in pkcs11f.h of PKCS#11 2.40.
    assert {name: places[name] for name in ("C_Initialize", "C_Login", "C_Decrypt")} == {
        "C_Initialize": 0,
        "C_Login": 18,
        "C_Decrypt": 34,
    }
    assert (places["C_UnwrapKey"], places["C_WaitForSlotEvent"]) == (61, 67)


# A token that is short of memory is told of at once; to one that is lost the backend connects anew.


def test_a_code_is_answered_at_the_nth_call_and_for_so_many(kek: Key, faults: Faults) -> None:
    wrapped = kek.wrap_raw(SECRET, "A256GCM")
    fault = faults.answer("C_DecryptInit", Ckr.DEVICE_MEMORY, at=2, times=2)
    answered = []
    for _ in range(5):
        try:
            unwrap(kek, wrapped)
            answered.append("right")
        except UnavailableError as error:
            answered.append(str(error.native))
    failed = "C_Decrypt: CKR_DEVICE_MEMORY"
    assert answered == ["right", failed, failed, "right", "right"]
    assert [hit.function for hit in fault.hits] == ["C_DecryptInit"] * 2
    assert {hit.code for hit in fault.hits} == {Ckr.DEVICE_MEMORY}


def test_calls_are_counted_and_hold_no_argument(
    softhsm_vault: Vault, kek: Key, faults: Faults
) -> None:
    softhsm_vault.random_bytes(7)
    assert faults.count("C_GenerateRandom") == faults.count("C_Generate*") == 1
    (call,) = (call for call in faults.calls if call.function == "C_GenerateRandom")
    assert (call.pid, call.thread, call.code) == (os.getpid(), threading.get_ident(), Ckr.OK)
    assert len(call.sessions) == 1
    kek.wrap_raw(SECRET, "A256GCM")
    (call,) = (call for call in faults.calls if call.function == "C_EncryptInit")
    assert len(call.objects) == 1
    assert faults.under_way() == faults.inherited() == []


def test_a_pattern_stands_for_several_functions(softhsm_vault: Vault, faults: Faults) -> None:
    softhsm_vault.random_bytes(7)
    with faults.answer("C_*", Ckr.DEVICE_MEMORY) as fault:
        with pytest.raises(UnavailableError, match="DEVICE_MEMORY"):
            softhsm_vault.random_bytes(7)
        assert fault.hits
    assert len(softhsm_vault.random_bytes(7)) == 7


@pytest.mark.parametrize("name", ["", "C_Decript", "c_decrypt", "Decrypt", "D*"])
def test_a_function_that_there_is_not_is_refused(faults: Faults, name: str) -> None:
    with pytest.raises(InvalidInputError, match="no function"):
        faults.answer(name, Ckr.DEVICE_ERROR)


def test_an_answer_can_be_lost_after_the_call_was_carried_out(
    softhsm_vault: Vault, kek: Key, faults: Faults
) -> None:
    with (
        faults.answer("C_DestroyObject", Ckr.DEVICE_MEMORY, carried_out=True),
        pytest.raises(UnavailableError),
    ):
        kek.delete(confirm="kek")
    with pytest.raises(NotFoundError):
        softhsm_vault.key("kek")


def test_the_fault_added_last_meets_a_call_first(softhsm_vault: Vault, faults: Faults) -> None:
    first = faults.answer("C_GenerateRandom", Ckr.DEVICE_REMOVED)
    with (
        faults.answer("C_GenerateRandom", Ckr.DEVICE_MEMORY),
        pytest.raises(UnavailableError, match="DEVICE_MEMORY"),
    ):
        softhsm_vault.random_bytes(7)
    assert not first.hits
    with pytest.raises(UnavailableError, match="DEVICE_REMOVED"):
        softhsm_vault.random_bytes(7)
    first.remove()
    assert len(softhsm_vault.random_bytes(7)) == 7


def test_blocks_may_be_nested_and_each_records(
    softhsm: SoftHsm, softhsm_vault: Vault, faults: Faults
) -> None:
    with Faults(softhsm.module_path) as inner:
        inner.answer("C_GenerateRandom", Ckr.DEVICE_MEMORY, times=1)
        with pytest.raises(UnavailableError):
            softhsm_vault.random_bytes(7)
        softhsm_vault.random_bytes(7)
    softhsm_vault.random_bytes(7)
    assert inner.count("C_GenerateRandom") == 2
    assert faults.count("C_GenerateRandom") == 2


def test_everything_is_put_back(softhsm: SoftHsm, softhsm_vault: Vault) -> None:
    before = entries(softhsm.module_path)
    with contextlib.suppress(ZeroDivisionError), Faults(softhsm.module_path) as faults:
        during = entries(softhsm.module_path)
        assert len([place for place in range(69) if during[place] != before[place]]) == 68
        faults.answer("C_*", Ckr.DEVICE_ERROR)
        raise ZeroDivisionError
    assert entries(softhsm.module_path) == before
    assert len(softhsm_vault.random_bytes(7)) == 7
    with pytest.raises(InvalidStateError, match="entered once"), faults:
        pass


def test_calls_can_be_delayed(softhsm_vault: Vault, faults: Faults) -> None:
    faults.delay("C_GenerateRandom", 0.2, at=2, times=1)
    times = []
    for _ in range(3):
        begun = time.monotonic()
        softhsm_vault.random_bytes(7)
        times.append(time.monotonic() - begun)
    assert times[1] >= 0.2


def test_a_call_hangs_until_it_is_let_go_and_other_threads_run_on(
    softhsm_vault: Vault, faults: Faults
) -> None:
    hang = faults.hang("C_GenerateRandom", times=1)
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(len(softhsm_vault.random_bytes(7))))
    assert not hang.wait(0)
    thread.start()
    assert hang.wait(30)
    assert len(softhsm_vault.random_bytes(9)) == 9
    assert [call.function for call in faults.under_way()] == ["C_GenerateRandom"]
    assert not done
    hang.release()
    thread.join(30)
    assert done == [7]
    assert faults.under_way() == []


def test_a_call_that_hangs_is_let_go_when_the_block_ends(
    softhsm: SoftHsm, softhsm_vault: Vault
) -> None:
    done: list[int] = []
    thread = threading.Thread(target=lambda: done.append(len(softhsm_vault.random_bytes(7))))
    with Faults(softhsm.module_path) as faults:
        hang = faults.hang("C_GenerateRandom")
        thread.start()
        assert hang.wait(30)
    thread.join(30)
    assert done == [7]


def test_a_function_can_be_replaced(softhsm_vault: Vault, faults: Faults) -> None:
    def zeros(generate: Native, session: int, address: int, length: int) -> int:
        code = generate(session, address, length)
        ctypes.memset(address, 0, length)
        return code

    with faults.replace("C_GenerateRandom", zeros):
        assert softhsm_vault.random_bytes(7) == bytes(7)
    assert softhsm_vault.random_bytes(7) != bytes(7)


def test_a_dead_module_answers_when_it_was_finalised_and_initialised(
    softhsm: SoftHsm, faults: Faults
) -> None:
    library = FunctionList.of(softhsm.module_path)

    def through(name: str, *arguments: Any) -> int:
        """Call as a user of the list does, through what stands in it."""
        function = FUNCTIONS[name]
        address = entries(softhsm.module_path)[1 + function.place]
        assert address is not None
        return int(function.prototype(address)(*arguments))

    count = ctypes.c_ulong()
    question = (1, None, ctypes.addressof(count))
    faults.kill(Ckr.DEVICE_REMOVED)
    assert through("C_GetSlotList", *question) == Ckr.DEVICE_REMOVED
    assert through("C_Initialize", None) == Ckr.CRYPTOKI_ALREADY_INITIALIZED
    assert through("C_GetSlotList", *question) == Ckr.DEVICE_REMOVED
    assert library.call("C_GetSlotList", *question) == Ckr.OK
    assert through("C_Finalize", None) == Ckr.OK
    assert through("C_GetSlotList", *question) == Ckr.DEVICE_REMOVED
    softhsm.remove(softhsm.new_token())  # This initialises the module, past the list.
    assert through("C_Finalize", None) == Ckr.OK
    assert through("C_Initialize", None) == Ckr.OK
    assert through("C_GetSlotList", *question) == Ckr.OK
    # It was not initialised for threads.
    assert through("C_Finalize", None) == Ckr.OK
    softhsm.remove(softhsm.new_token())


def test_lost_sessions_are_lost_to_the_module_itself(
    softhsm: SoftHsm, softhsm_vault: Vault, faults: Faults
) -> None:
    softhsm_vault.random_bytes(7)
    sessions = {session for call in faults.calls for session in call.sessions}
    faults.lose_sessions()
    for session in sessions:
        info = (ctypes.c_ulong * 4)()
        code = faults.call("C_GetSessionInfo", session, ctypes.addressof(info))
        assert code == Ckr.SESSION_HANDLE_INVALID


IN_A_CHILD = """
import os, sys
import keyhier
from keyhier.testing.faults import Faults
from keyhier.testing.softhsm import SoftHsm

softhsm = SoftHsm.current()
token = softhsm.new_token()
with Faults(softhsm.module_path) as faults, keyhier.open(token.uri) as vault:
    kek = vault.create_key("kek", "AES-256", algorithm="A256GCM")
    pid = os.fork()
    if not pid:
        own = len(faults.calls)
        {use}
        assert {{call.pid for call in faults.calls[own:]}} == {{os.getpid()}}
        os._exit(len({{call.function for call in faults.inherited()}}))
    _, status = os.waitpid(pid, 0)
    assert faults.inherited() == []
    sys.exit(os.waitstatus_to_exitcode(status))
"""


def in_a_child(use: str) -> int:
    done = subprocess.run([sys.executable, "-c", IN_A_CHILD.format(use=use)], check=False)
    return done.returncode


def test_a_forked_child_that_uses_what_it_inherited_is_seen() -> None:
    use_parents_session = """
        session = next(call.sessions[0] for call in faults.calls if call.function == "C_Login")
        import ctypes
        from keyhier.testing.function_list import FUNCTIONS
        address = ctypes.c_void_p()
        ctypes.CDLL(str(token.module_path)).C_GetFunctionList(ctypes.byref(address))
        place = address.value + 8 * (1 + FUNCTIONS["C_GetSessionInfo"].place)
        info = (ctypes.c_ulong * 4)()
        function = FUNCTIONS["C_GetSessionInfo"].prototype(
            ctypes.c_void_p.from_address(place).value
        )
        assert function(session, ctypes.addressof(info)) == 0
    """
    assert in_a_child(use_parents_session.strip()) == 1


def test_a_forked_child_that_opens_sessions_of_its_own_is_not() -> None:
    opens_its_own = """
        import ctypes
        from keyhier.testing.function_list import FUNCTIONS
        address = ctypes.c_void_p()
        ctypes.CDLL(str(token.module_path)).C_GetFunctionList(ctypes.byref(address))
        def call(name, *arguments):
            place = address.value + 8 * (1 + FUNCTIONS[name].place)
            function = FUNCTIONS[name].prototype(ctypes.c_void_p.from_address(place).value)
            assert function(*arguments) == 0, name
        call("C_Finalize", None)
        call("C_Initialize", None)
        slots, count = (ctypes.c_ulong * 8)(), ctypes.c_ulong(8)
        call("C_GetSlotList", 1, ctypes.addressof(slots), ctypes.addressof(count))
        session = ctypes.c_ulong()
        call("C_OpenSession", slots[0], 4, None, None, ctypes.addressof(session))
        call("C_GenerateRandom", session.value, ctypes.addressof(slots), 8)
    """
    assert in_a_child(opens_its_own.strip()) == 0


def test_in_a_block_of_its_own_a_child_may_use_only_what_it_was_given_there(
    softhsm: SoftHsm, softhsm_vault: Vault
) -> None:
    softhsm_vault.random_bytes(7)
    with Faults(softhsm.module_path, after_fork=True) as faults:
        softhsm_vault.random_bytes(7)
    (call,) = faults.inherited()
    assert call.function == "C_GenerateRandom"


def test_what_is_no_module_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        Faults(tmp_path / "none.so")


def test_what_cannot_be_written_to_is_known() -> None:
    code = ctypes.cast(ctypes.CDLL(None).getpid, ctypes.c_void_p).value
    data = (ctypes.c_ulong * 4)()
    assert code is not None
    assert not _writable(code)
    assert _writable(ctypes.addressof(data))


@pytest.mark.requires_tool("/usr/libexec/p11-kit/p11-kit-server")
def test_a_module_with_a_new_list_at_each_call_is_refused() -> None:
    client = next(Path("/usr/lib").glob("*/pkcs11/p11-kit-client.so"))
    with pytest.raises(UnsupportedError, match="new function list"):
        Faults(client)


def test_threads_may_enter_and_leave_blocks_while_others_call(softhsm: SoftHsm, kek: Key) -> None:
    before = entries(softhsm.module_path)
    wrapped = kek.wrap_raw(SECRET, "A256GCM")
    failures: list[BaseException] = []
    until = time.monotonic() + 1.5

    def call() -> None:
        try:
            while time.monotonic() < until:
                unwrap(kek, wrapped)
        except BaseException as error:
            failures.append(error)
            raise

    def enter() -> None:
        while time.monotonic() < until:
            with Faults(softhsm.module_path) as faults:
                faults.delay("C_Decrypt", 0.0001)
                with faults.answer("C_SeedRandom", Ckr.DEVICE_ERROR):
                    time.sleep(0.001)

    threads = [threading.Thread(target=work) for work in (call, call, enter, enter)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert entries(softhsm.module_path) == before
