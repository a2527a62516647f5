"""Every way that a token can be lost, in every operation: the right result or the right error.

Each operation is run once to see which PKCS#11 functions it calls, and then again and again with
one fault: at the first and at the last call of each of these functions.
"""

from __future__ import annotations

import tomllib
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
from pkcs11.exceptions import PKCS11Error

from keyhier.errors import KeyhierError, UnavailableError, UnwrapError
from keyhier.testing.faults import Ckr, Fault, Faults, Native
from keyhier.testing.function_list import FUNCTIONS
from tests.pkcs11.operations import KEK, OPERATIONS, RIGHT, SECRET, WRONG, Bench, Operation

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import rsa

    from keyhier.testing.softhsm import SoftHsm

VENDOR: Final = Ckr.VENDOR_DEFINED + 0x57
LOST: Final = (
    Ckr.DEVICE_ERROR,
    Ckr.DEVICE_REMOVED,
    Ckr.SESSION_HANDLE_INVALID,
    Ckr.USER_NOT_LOGGED_IN,
    Ckr.TOKEN_NOT_PRESENT,
    Ckr.CRYPTOKI_NOT_INITIALIZED,
)
"""What tells that the HSM was lost: worth a reconnect."""
UNCLEAR: Final = (Ckr.SESSION_CLOSED, Ckr.GENERAL_ERROR, Ckr.FUNCTION_FAILED, VENDOR)
"""What may tell it, and may as well mean something else."""

UNAVAILABLE = "UnavailableError"


@attrs.frozen
class Event:
    """Something that happens to the token during an operation.

    Attributes:
        strike: lets it happen at the call of this number.
        code: the return code that an error then names, None where several would do.
        everywhere: whether it is tried at other calls than the first.
        passes: whether it is over when the program connects anew.
        clear: whether its code leaves no doubt that the HSM was lost.
    """

    strike: Callable[[Faults, int], Fault]
    code: int | None
    everywhere: bool = True
    passes: bool = True
    clear: bool = True

    def allowed(self, operation: Operation) -> set[str]:
        """Return the outcomes that are right."""
        told = {UNAVAILABLE}
        if self.code == Ckr.USER_NOT_LOGGED_IN:
            told.add("AuthenticationError")
        if not self.passes:
            return told
        if not self.clear:
            return {RIGHT, *told, *({"UnwrapError"} if operation.unwraps else ())}
        # What changes the token is not done twice; what changes nothing is.
        return {RIGHT, *told} if operation.changes else {RIGHT}


def _once(code: int, faults: Faults, at: int, *, carried_out: bool = False) -> Fault:
    return faults.answer("C_*", code, at=at, times=1, carried_out=carried_out)


def _for_good(code: int, faults: Faults, at: int) -> Fault:
    return faults.answer("C_*", code, at=at)


def _sessions_lost(faults: Faults, at: int) -> Fault:
    def lose(proceed: Native, *arguments: Any) -> int:
        faults.lose_sessions()
        return proceed(*arguments)

    return faults.replace("C_*", lose, at=at, times=1)


def _finalised(faults: Faults, at: int) -> Fault:
    def finalise(proceed: Native, *arguments: Any) -> int:
        assert faults.call("C_Finalize", None) == Ckr.OK
        return proceed(*arguments)

    return faults.replace("C_*", finalise, at=at, times=1)


def _dead(faults: Faults, at: int) -> Fault:
    def die(proceed: Native, *arguments: Any) -> int:
        faults.kill(Ckr.DEVICE_ERROR)
        return int(Ckr.DEVICE_ERROR)

    return faults.replace("C_*", die, at=at, times=1)


def _name(code: int) -> str:
    return Ckr(code).name if code in Ckr.__members__.values() else f"{code:#x}"


EVENTS: Final = {
    **{
        f"{_name(code)} once": Event(partial(_once, code), code, clear=code in LOST)
        for code in (*LOST, *UNCLEAR)
    },
    **{
        f"{_name(code)} after it was done": Event(
            partial(_once, code, carried_out=True), code, clear=code in LOST
        )
        for code in (Ckr.DEVICE_ERROR, Ckr.SESSION_HANDLE_INVALID)
    },
    **{
        f"{_name(code)} for good": Event(
            partial(_for_good, code), code, everywhere=False, passes=False
        )
        for code in (*LOST, *UNCLEAR)
    },
    "sessions lost": Event(_sessions_lost, None),
    "module finalised": Event(_finalised, None),
    "module dead": Event(_dead, Ckr.DEVICE_ERROR),
}


def _awaiting_reconnect() -> dict[tuple[str, str], set[str]]:
    table = tomllib.loads(Path(__file__).with_name("awaiting_reconnect.toml").read_text())
    return {
        (row["operation"], event): set(row["today"])
        for row in table.get("awaiting", ())
        for event in row["events"]
    }


AWAITING_RECONNECT: Final = _awaiting_reconnect()


class Benches:
    """The one bench that the tests share, and its faults."""

    def __init__(self, softhsm: SoftHsm, faults: Faults, key: rsa.RSAPrivateKey) -> None:
        self.faults = faults
        self.bench = Bench(softhsm.new_token(), key)
        self._softhsm = softhsm

    def renew(self) -> None:
        """Open the token again, after a fault that the driver did not recover from."""
        self.bench.driver.close()
        self._softhsm._cryptoki.initialize()
        # A session whose C_CloseSession was struck is open yet, and logged in.
        self.faults.lose_sessions()
        self.bench.driver = self.bench.open()


@pytest.fixture(scope="module")
def benches(softhsm: SoftHsm, rsa_key: rsa.RSAPrivateKey) -> Iterator[Benches]:
    with Faults(softhsm.module_path) as faults:
        benches = Benches(softhsm, faults, rsa_key)
        yield benches
        faults.clear()
        benches.bench.driver.close()
        softhsm.remove(benches.bench.token)


def kind_of(error: Exception) -> str:
    return type(error).__name__ if isinstance(error, KeyhierError) else "a raw PKCS11Error"


def check_text(error: Exception, bench: Bench) -> None:
    """What is told is no secret."""
    told = "".join(traceback.format_exception(error)) + repr(error) + str(error)
    for secret in (SECRET, KEK):
        for form in (secret.hex(), repr(secret)[2:-1], str(list(secret))[1:-1]):
            assert form not in told
    assert bench.token.pin not in told
    if isinstance(error, UnwrapError):
        assert (error.__cause__, error.__context__, error.native) == (None, None, None)


def check_native(error: UnavailableError, code: int | None, fault: Fault) -> None:
    """What is told names the function and the return code."""
    function, _, name = (error.native or "").partition(": ")
    assert function in FUNCTIONS
    if code is None:
        return
    # C_Initialize, which python-pkcs11 does not call, fails with a number.
    names = {f"{code:#x}", f"CKR {code:#x}" if code == VENDOR else f"CKR_{Ckr(code).name}"}
    if "C_GetAttributeValue" in {call.function for call in fault.hits}:
        # python-pkcs11 goes on after a failed question for sizes, and then says this.
        names.add("CKR_FUNCTION_FAILED")
    assert name in names


def places(operation: Operation, bench: Bench, faults: Faults) -> list[int]:
    """Return the numbers of the calls to strike at, among those that an operation makes."""
    operation.prepare(bench)
    faults.calls.clear()
    operation.run(bench)
    numbers: dict[str, list[int]] = {}
    for number, call in enumerate(faults.calls, start=1):
        numbers.setdefault(call.function, []).append(number)
    return sorted({each[at] for each in numbers.values() for at in (0, -1)})


def outcome(operation: Operation, event: Event, at: int, benches: Benches) -> str:
    """Let ``event`` strike at the ``at``-th call, and say what came of it."""
    bench, faults = benches.bench, benches.faults
    operation.prepare(bench)
    fault = event.strike(faults, at)
    said, result = RIGHT, None
    try:
        result = operation.run(bench)
    except (KeyhierError, PKCS11Error) as error:
        check_text(error, bench)
        if isinstance(error, UnavailableError):
            check_native(error, event.code, fault)
        said = kind_of(error)
    finally:
        faults.clear()
    try:
        if said == RIGHT and not operation.right(bench, result):
            said = WRONG
        after = operation.follow(bench, said == RIGHT)
        # Some work without a login, and leave it to the next one to find that it is gone.
        if after == RIGHT and bench.driver.get_key("kw") != bench.kw:
            after = WRONG
    except (KeyhierError, PKCS11Error) as error:
        check_text(error, bench)
        after = kind_of(error)
    if after == RIGHT:
        return said
    benches.renew()
    return f"{said}, then {after}"


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_ends_right_or_with_the_right_error_and_the_next_one_works(
    benches: Benches, operation: str, event: str
) -> None:
    doing, happening = OPERATIONS[operation], EVENTS[event]
    struck = places(doing, benches.bench, benches.faults) if happening.everywhere else [1]
    outcomes = {outcome(doing, happening, at, benches) for at in struck}
    if (operation, event) in AWAITING_RECONNECT:
        assert outcomes == AWAITING_RECONNECT[operation, event]
        assert not outcomes <= happening.allowed(doing), "it is as it should be: empty the table"
    else:
        assert outcomes <= happening.allowed(doing)


def test_no_operation_awaits_a_thing_that_is_not_tried() -> None:
    assert {operation for operation, _ in AWAITING_RECONNECT} <= OPERATIONS.keys()
    assert {event for _, event in AWAITING_RECONNECT} <= EVENTS.keys()
