"""Faults: what a PKCS#11 module answers when the HSM fails, at the call that you choose.

No compiled shim is needed. The functions of a module that is loaded in this process are replaced
in its function list, which works with SoftHSM, NSS and opencryptoki; everything else, the token,
its keys and the answers of the calls that are left alone, is real::

    with Faults(module_path) as faults:
        fault = faults.answer("C_Decrypt", Ckr.DEVICE_ERROR, at=3, times=1)
        ...
        assert fault.hits

At the end of the block the list is again as it was. Blocks may be nested, and threads may call
the module, and enter and leave blocks, at any time. A child that is forked within a block has
the same faults, and its own copy of what was recorded.

Functions are named as in the standard; ``C_*`` and other patterns of :mod:`fnmatch` stand for
several. Those of PKCS#11 2.40 can be named, which are the ones that python-pkcs11 calls.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import threading
import time
from collections.abc import Callable
from fnmatch import fnmatchcase
from functools import partial
from pathlib import Path
from typing import Any, Final, Self

import attrs

from keyhier.errors import InvalidInputError, InvalidStateError
from keyhier.testing.function_list import FUNCTIONS, CkAttribute, Function, FunctionList, Native
from keyhier.testing.return_codes import Ckr

__all__ = ["Call", "CkAttribute", "Ckr", "Fault", "Faults", "Hang", "Native", "StandIn"]

StandIn = Callable[..., int]
"""Called in place of a function, with the function itself and then the call's arguments: numbers,
and addresses or None. It returns a code. An exception in it is reported by pytest as an
unraisable one, because no exception passes through C."""

# CK_TOKEN_INFO: label, manufacturer, model and serial number stand before the flags.
_TOKEN_FLAGS_OFFSET: Final = 32 + 32 + 16 + 16
# What still answers in a module whose HSM is gone.
_ALWAYS_THERE: Final = {"C_Initialize", "C_Finalize", "C_GetInfo", "C_GetFunctionList"}


@attrs.define
class Call:
    """One call of a function of the module. It holds no argument that could be a secret.

    Attributes:
        function: its name.
        sessions: the sessions that it was given.
        objects: the object handles that it was given.
        pid: the process that made it.
        thread: the thread that did, as :func:`threading.get_ident` counts.
        inherited: whether one of the sessions or objects was not given to this process, but to
            one that it was forked from.
        code: what it answered, None while it is under way.
    """

    function: str
    sessions: tuple[int, ...]
    objects: tuple[int, ...]
    pid: int
    thread: int
    inherited: bool
    code: int | None = None


class Fault:
    """What happens at certain calls of certain functions: until the block of the faults ends, or,
    where it is used as a context manager itself, until its own block does.

    Attributes:
        functions: the names of the functions.
        hits: the calls that it has met. A test of a fault that was not met tested nothing.
    """

    def __init__(
        self,
        among: Faults,
        functions: frozenset[str],
        stand_in: StandIn,
        at: int = 1,
        times: int | None = None,
    ) -> None:
        """Become one more fault of a block; the methods of :class:`Faults` are the way in."""
        self.functions = functions
        self.hits: list[Call] = []
        self._stand_in = stand_in
        self._first = at
        self._end = None if times is None else at + times
        # Counting and appending are single steps of the interpreter and need no lock.
        self._numbers = itertools.count(1)
        self._among = among
        among.add(self)

    def __enter__(self) -> Self:
        """Begin a block that ends before that of the other faults."""
        return self

    def __exit__(self, *_: object) -> None:
        """Take the fault away."""
        self.remove()

    def remove(self) -> None:
        """Leave the calls alone from now on."""
        self._among.discard(self)

    def meet(self, call: Call, proceed: Native, arguments: tuple[Any, ...]) -> int:
        """Answer a call, if it is one of those meant, and else let it proceed."""
        if call.function not in self.functions:
            return proceed(*arguments)
        number = next(self._numbers)
        if number < self._first or (self._end is not None and number >= self._end):
            return proceed(*arguments)
        self.hits.append(call)
        return self._stand_in(proceed, *arguments)


class _Dead(Fault):
    """A module that is of no use before it is finalised and initialised."""

    def __init__(self, among: Faults, code: int) -> None:
        self._finalised = False
        self._alive = False
        super().__init__(among, frozenset(FUNCTIONS) - _ALWAYS_THERE, lambda *_: code)

    def meet(self, call: Call, proceed: Native, arguments: tuple[Any, ...]) -> int:
        if self._alive:
            return proceed(*arguments)
        code = super().meet(call, proceed, arguments)
        if code == Ckr.OK and call.function == "C_Finalize":
            self._finalised = True
        if code == Ckr.OK and call.function == "C_Initialize":
            self._alive = self._finalised
        return code


class Hang(Fault):
    """Calls that do not return until they are let go, at the latest when the block ends.

    The thread waits inside the module's function, as it does when a network HSM is silent;
    other threads run on.
    """

    def __init__(
        self, among: Faults, functions: frozenset[str], at: int, times: int | None
    ) -> None:
        """As for every fault."""
        self._reached = threading.Event()
        self._released = threading.Event()
        super().__init__(among, functions, self._hold, at, times)

    def remove(self) -> None:
        """Leave the calls alone from now on, those too that hang."""
        super().remove()
        self.release()

    def wait(self, seconds: float) -> bool:
        """Wait until a call hangs; False if none does for so long."""
        return self._reached.wait(seconds)

    def release(self) -> None:
        """Let every call go that hangs; those that come later do not hang any more."""
        self._released.set()

    def _hold(self, proceed: Native, *arguments: Any) -> int:
        self._reached.set()
        self._released.wait()
        return proceed(*arguments)


class Faults:
    """The faults of one module while a ``with`` block runs, and a record of its calls.

    A fault that was added later meets a call first; what it answers does not reach the others.

    Attributes:
        calls: every call since the block was entered, in the order in which they began.
    """

    def __init__(self, module_path: Path | str, *, after_fork: bool = False) -> None:
        """Prepare faults for the module at ``module_path``; they begin with the block.

        Args:
            module_path: the module, by the path that the program loads it from.
            after_fork: the block is entered in a child that was just forked: sessions and
                objects that it is not given within the block were its parent's.

        Raises:
            NotFoundError: there is no such file.
            UnsupportedError: the module's functions cannot be replaced.
        """
        self.calls: list[Call] = []
        self._list = FunctionList.of(module_path)
        self._faults: tuple[Fault, ...] = ()
        self._lock = threading.Lock()
        self._after_fork = after_fork
        self._entered = False
        # Who was given what was there before the block.
        self._earlier = 0
        self._owners: dict[tuple[str, int], int] = {}

    def __enter__(self) -> Self:
        """Begin to record calls, and to meet them with faults."""
        if self._entered:
            raise InvalidStateError("a block of faults is entered once")
        self._entered = True
        self._earlier = 0 if self._after_fork else os.getpid()
        self._list.add(self._answer)
        return self

    def __exit__(self, *_: object) -> None:
        """Put the module's functions back and let every call go that hangs."""
        self._list.remove(self._answer)
        self.clear()

    def answer(
        self,
        function: str,
        code: int,
        *,
        at: int = 1,
        times: int | None = None,
        carried_out: bool = False,
    ) -> Fault:
        """Answer ``code`` from the ``at``-th call on.

        Args:
            function: a name, or a pattern such as ``C_*``.
            code: any return code: of :class:`Ckr`, or a vendor's.
            at: which call of these functions from now on is the first to be met; 1 is the next.
            times: how many calls are met from there on, None for all.
            carried_out: the module does what it is asked, and only its answer is replaced, as
                when the connection breaks after the HSM has made a key. Else it is not called.
                An operation that was begun (``C_DecryptInit``) is then left active, as some
                modules leave it.

        Raises:
            InvalidInputError: ``function`` means no function of the list.
        """

        def stand_in(proceed: Native, *arguments: Any) -> int:
            if carried_out:
                proceed(*arguments)
            return code

        return Fault(self, _meant(function), stand_in, at, times)

    def delay(
        self, function: str, seconds: float, *, at: int = 1, times: int | None = None
    ) -> Fault:
        """Let calls wait before the module carries them out; the rest as in :meth:`answer`."""

        def stand_in(proceed: Native, *arguments: Any) -> int:
            time.sleep(seconds)
            return proceed(*arguments)

        return Fault(self, _meant(function), stand_in, at, times)

    def hang(self, function: str, *, at: int = 1, times: int | None = None) -> Hang:
        """Let calls hang until they are let go; the rest as in :meth:`answer`."""
        return Hang(self, _meant(function), at, times)

    def replace(
        self, function: str, stand_in: StandIn, *, at: int = 1, times: int | None = None
    ) -> Fault:
        """Call ``stand_in`` in place of a function; the rest as in :meth:`answer`."""
        return Fault(self, _meant(function), stand_in, at, times)

    def kill(self, code: int = Ckr.DEVICE_ERROR) -> Fault:
        """Let the module answer ``code`` to everything until it is finalised and initialised.

        So does p11-kit's client when its server is gone.
        """
        return _Dead(self, code)

    def lose_sessions(self) -> None:
        """Close all sessions of the process behind its back, and with them its logins.

        No fault is needed for it: the module itself knows the sessions no more.
        """
        count = ctypes.c_ulong()
        self.call("C_GetSlotList", 1, None, ctypes.addressof(count))
        slots = (ctypes.c_ulong * count.value)()
        self.call("C_GetSlotList", 1, ctypes.addressof(slots), ctypes.addressof(count))
        for slot in slots[: count.value]:
            self.call("C_CloseAllSessions", slot)

    def change_token_flags(self, *, add: int = 0, remove: int = 0) -> Fault:
        """Let tokens show other flags (CKF_LOGIN_REQUIRED and the like) than they have."""

        def stand_in(proceed: Native, slot: int, info: int) -> int:
            code = proceed(slot, info)
            if code == Ckr.OK:
                flags = ctypes.c_ulong.from_address(info + _TOKEN_FLAGS_OFFSET)
                flags.value = flags.value & ~remove | add
            return code

        return self.replace("C_GetTokenInfo", stand_in)

    def hide_mechanisms(self, *hidden: int) -> Fault:
        """Leave mechanisms out of the list that tokens show; they can still be used."""

        def stand_in(proceed: Native, slot: int, found: int | None, count: int) -> int:
            code = proceed(slot, found, count)
            if code == Ckr.OK and found is not None:
                length = ctypes.c_ulong.from_address(count)
                listed = (ctypes.c_ulong * length.value).from_address(found)
                length.value = 0
                for mechanism in list(listed):
                    if mechanism not in hidden:
                        listed[length.value] = mechanism
                        length.value += 1
            return code

        return self.replace("C_GetMechanismList", stand_in)

    def clear(self) -> None:
        """Take every fault away, and let every call go that hangs; go on recording."""
        for fault in self._faults:
            fault.remove()

    def count(self, function: str) -> int:
        """Return how often functions were called, in this process and before it was forked."""
        meant = _meant(function)
        return sum(call.function in meant for call in self.calls)

    def under_way(self) -> list[Call]:
        """Return the calls of this process that have not returned."""
        pid = os.getpid()
        return [call for call in self.calls if call.code is None and call.pid == pid]

    def inherited(self) -> list[Call]:
        """Return the calls for which a forked child used what its parent was given.

        To be asked in the child, whose calls the parent does not see. PKCS#11 v3.1, section
        5.6.1, has a child initialise the module anew and take nothing over.
        """
        return [call for call in self.calls if call.inherited]

    def call(self, function: str, *arguments: Any) -> int:
        """Call the module itself, within the block, past all faults and without a record."""
        return self._list.call(function, *arguments)

    def add(self, fault: Fault) -> None:
        """Let calls meet ``fault``; faults do this themselves."""
        with self._lock:
            self._faults = (*self._faults, fault)

    def discard(self, fault: Fault) -> None:
        """Let calls meet ``fault`` no more."""
        with self._lock:
            self._faults = tuple(each for each in self._faults if each is not fault)

    def _answer(self, function: Function, arguments: tuple[Any, ...], proceed: Native) -> int:
        """Record a call and let it meet the faults; what a layer of the function list does."""
        pid = os.getpid()
        sessions = function.sessions_used(arguments)
        objects = function.objects_used(arguments)
        used = [*(("s", each) for each in sessions), *(("o", each) for each in objects)]
        inherited = any(self._owners.get(each, self._earlier) != pid for each in used)
        call = Call(function.name, sessions, objects, pid, threading.get_ident(), inherited)
        self.calls.append(call)
        for fault in self._faults:
            proceed = partial(_meet, fault, call, proceed)
        call.code = proceed(*arguments)
        if call.code == Ckr.OK:
            for session in function.sessions_given(arguments):
                self._owners["s", session] = pid
            for found in function.objects_given(arguments):
                self._owners["o", found] = pid
        return call.code


def _meet(fault: Fault, call: Call, proceed: Native, *arguments: Any) -> int:
    return fault.meet(call, proceed, arguments)


def _meant(function: str) -> frozenset[str]:
    meant = frozenset(name for name in FUNCTIONS if fnmatchcase(name, function))
    if not meant:
        raise InvalidInputError(f"{function!r} means no function of PKCS#11 2.40")
    return meant
