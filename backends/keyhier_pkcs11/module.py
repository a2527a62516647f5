"""PKCS#11 modules: loaded once in a process, initialised for use from several threads.

python-pkcs11 calls ``C_Initialize(NULL)``, which tells a module that only one thread will use
it, and then releases the GIL. SoftHSM takes that at its word and crashes under two threads. So
the module is initialised here, with ``CKF_OS_LOCKING_OK`` (PKCS#11 v3.1, section 5.4).
"""

from __future__ import annotations

import ctypes
import os
import threading
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Final, Self

from pkcs11._pkcs11 import lib
from pkcs11.exceptions import FunctionNotSupported, OperationActive, PKCS11Error

from keyhier.errors import (
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
)
from keyhier_pkcs11.calls import Calls
from keyhier_pkcs11.errors import translated
from keyhier_pkcs11.fork import held_by_forks
from keyhier_pkcs11.profile import LibraryInfo, choose_profile

__all__ = ["Module", "load_module"]

# PKCS#11 v3.1, pkcs11t.h.
_CKR_OK: Final = 0x000
_CKR_CANT_LOCK: Final = 0x00A
_CKR_OPERATION_ACTIVE: Final = 0x090
_CKR_CRYPTOKI_ALREADY_INITIALIZED: Final = 0x191
_CKF_OS_LOCKING_OK: Final = 0x2
_RESTART_PATIENCE_SECONDS: Final = 5.0
# The places of functions in CK_FUNCTION_LIST, in the order of pkcs11f.h.
_PLACES: Final = {"C_EncryptInit": 29, "C_Encrypt": 30, "C_WrapKey": 60}


class _InitializeArgs(ctypes.Structure):
    _fields_: ClassVar = [
        ("mutex_functions", ctypes.c_void_p * 4),
        ("flags", ctypes.c_ulong),
        ("reserved", ctypes.c_char_p),
    ]


class _FunctionList(ctypes.Structure):
    """The head of CK_FUNCTION_LIST: its first two functions."""

    _fields_: ClassVar = [
        ("version", ctypes.c_ubyte * 2),
        (
            "C_Initialize",
            ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.POINTER(_InitializeArgs)),
        ),
        ("C_Finalize", ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)),
    ]


class Module(lib):
    """A PKCS#11 module that this process has initialised.

    It is finalised only when it is found dead, or when the process is a fork of the one that
    initialised it: other code of the process may use it too, and the module lets everything go
    when the process ends.

    Attributes:
        init_args: what it was told when it was initialised (CK_C_INITIALIZE_ARGS.pReserved).
        calls: those in flight.
        era: how often it was initialised anew; sessions and handles belong to one era.
        process: the id of the process that initialised it.
        fresh: whether it was initialised here, just now, and no token of it was chosen yet, so that
            nobody in the process can be using it.
        empty: whether it was found dead, and has shown no token that was asked for since.
        turn: held during an operation where the module does not keep threads apart by itself.
    """

    def __new__(cls, path: str, _: str = "") -> Self:
        """Load the module; python-pkcs11 wants to be given its path and nothing else."""
        made: Self = super().__new__(cls, path)  # type: ignore[call-arg]  # Not in the stubs.
        return made

    def __init__(self, path: str, init_args: str = "") -> None:
        """Initialise the module.

        Raises:
            UnsupportedError: the module cannot be used from several threads, or takes no
                ``init_args`` from here.
            UnavailableError: it does not initialise.
        """
        self.init_args = init_args
        self.calls = Calls()
        self.era = 0
        self.process = os.getpid()
        self.fresh = False
        self.empty = False
        self.turn = threading.RLock()
        held_by_forks(self.calls)
        with self.calls:
            super().__init__(path)

    @property
    def info(self) -> LibraryInfo:
        """What the module says of itself (CK_INFO)."""
        return LibraryInfo(self.manufacturer_id, self.library_description, self.library_version)

    @property
    def finalizes(self) -> bool:
        """Whether it can be finalised without harm to the program, as far as is known."""
        return choose_profile(self.info).finalizes is not False

    def initialize(self) -> None:
        """Initialise the module for several threads; python-pkcs11 calls this when it loads it."""
        functions = self._function_list
        if functions is None:
            if self.init_args:
                raise UnsupportedError(
                    f"{self.so} hands out a new function list at each call, and cannot be given "
                    "init-args",
                    remedy="leave init-args out of the URI",
                )
            super().initialize()
            return
        code = self._begin(functions)
        if code not in (_CKR_OK, _CKR_CRYPTOKI_ALREADY_INITIALIZED):
            raise UnavailableError(
                "the PKCS#11 module cannot be initialised",
                native=f"C_Initialize: {code:#x}",
                remedy="see the module's own configuration and log, and init-args in the URI",
            )
        self.fresh = code == _CKR_OK and self.era == 0

    def call(self, function: str, *arguments: object) -> None:
        """Call a function past python-pkcs11, where that does not call it as is needed.

        Raises:
            PKCS11Error: it fails.
        """
        functions = self._function_list
        if functions is None:
            raise FunctionNotSupported
        # The version stands before the first function and takes a pointer's place.
        table = ctypes.cast(ctypes.pointer(functions), ctypes.POINTER(ctypes.c_void_p))
        address = table[1 + _PLACES[function]]
        code = ctypes.CFUNCTYPE(ctypes.c_ulong)(address)(*arguments)
        if code == _CKR_OPERATION_ACTIVE:
            raise OperationActive
        if code != _CKR_OK:
            # As python-pkcs11 words a code that it does not know.
            raise PKCS11Error(f"Unmapped error code {code:#x}")

    def restart(self) -> None:
        """Initialise the module anew, for it is dead, or another process's; see :meth:`calls`.

        To be called when nothing else of the module runs (:meth:`Calls.alone`). All sessions
        and handles are gone then.

        Raises:
            UnavailableError, UnsupportedError: it does not initialise, or is not to be finalised.
        """
        functions = self._function_list
        forked = self.process != os.getpid()
        if functions is not None and not self.finalizes:
            self._require_finalised(functions)
        self.era += 1
        self.process = os.getpid()
        if functions is None:
            with suppress(PKCS11Error):
                self.finalize()
        # A module that knows of forks is initialised in the child without having been finalised.
        elif self.finalizes and (
            not forked or self._begin(functions) == _CKR_CRYPTOKI_ALREADY_INITIALIZED
        ):
            functions.C_Finalize(None)
        try:
            self.initialize()
        except PKCS11Error as error:
            raise translated(error, "C_Initialize", "connecting again") from error

    def _require_finalised(self, functions: _FunctionList) -> None:
        """Raise unless others have finalised it, or it knows of the fork that this process is."""
        if self._begin(functions) == _CKR_CRYPTOKI_ALREADY_INITIALIZED:
            raise UnavailableError(
                "the PKCS#11 module is dead, and finalising it would harm this program",
                native="C_Initialize: CKR_CRYPTOKI_ALREADY_INITIALIZED",
                remedy="start the program anew",
            )

    def restart_since(self, era: int) -> None:
        """Initialise a dead module anew, unless that was done since ``era``.

        Raises:
            UnavailableError: it does not initialise, or calls of it hang.
        """
        with self.calls.alone(_RESTART_PATIENCE_SECONDS) as alone:
            if self.era != era and self.process == os.getpid():
                return
            if not alone:
                raise UnavailableError(
                    "the PKCS#11 module is dead, and cannot be initialised anew while calls of it "
                    "hang",
                    remedy="start the program anew",
                )
            self.restart()

    def _begin(self, functions: _FunctionList) -> int:
        told = self.init_args.encode()
        arguments = _InitializeArgs(flags=_CKF_OS_LOCKING_OK, reserved=told or None)
        code: int = functions.C_Initialize(ctypes.byref(arguments))
        if code == _CKR_CANT_LOCK:
            raise UnsupportedError(
                "the PKCS#11 module cannot be used from several threads",
                native="C_Initialize: CKR_CANT_LOCK",
            )
        return code

    @cached_property
    def _function_list(self) -> _FunctionList | None:
        """Return the module's function list, or None where it hands out a new one at each call.

        Such a module (p11-kit-client.so) keeps its state in the list, so that another list's
        C_Initialize would be of no use to python-pkcs11; its plain initialisation is safe for
        several threads.
        """
        library = ctypes.CDLL(self.so)
        first, second = (ctypes.POINTER(_FunctionList)() for _ in range(2))
        for found in (first, second):
            library.C_GetFunctionList(ctypes.byref(found))
        same = ctypes.addressof(first.contents) == ctypes.addressof(second.contents)
        return first.contents if same else None


class _Modules:
    """The modules of this process; a child of it keeps them, and initialises them at first use."""

    def __init__(self) -> None:
        self.loaded: dict[Path, Module] = {}
        self.renew_in_child()
        # The hook also keeps the modules to the very end of the process: python-pkcs11 cannot
        # let go of one that the garbage collector takes together with its class.
        os.register_at_fork(after_in_child=self.renew_in_child)

    def renew_in_child(self) -> None:
        """Take new locks; a thread of the parent may have held the old ones."""
        self.lock = threading.Lock()
        for module in self.loaded.values():
            module.turn = threading.RLock()


_modules: Final = _Modules()


def load_module(path: Path, init_args: str = "") -> Module:
    """Return the module at ``path``, loaded and initialised once for the whole process.

    Raises:
        NotFoundError: there is no such file.
        InvalidInputError: it is no PKCS#11 module.
        InvalidStateError: the process has initialised it with other ``init_args``.
        UnsupportedError: the module cannot be used from several threads, or takes no
            ``init_args`` from here.
        UnavailableError: it does not initialise.
    """
    if not path.is_file():
        raise NotFoundError(
            f"there is no PKCS#11 module {path}",
            remedy="install the HSM's client software, or correct module-path",
        )
    real = path.resolve()
    with _modules.lock:
        if real not in _modules.loaded:
            _modules.loaded[real] = _load(real, init_args)
        module = _modules.loaded[real]
    if module.init_args != init_args:
        raise InvalidStateError(
            f"{path} is initialised in this process with other init-args",
            remedy="a module has one configuration for a process: use another process",
        )
    return module


def _load(path: Path, init_args: str) -> Module:
    try:
        # Asked first, because python-pkcs11 tells a file that is no module from a module that
        # fails by a sentence alone.
        entry = getattr(ctypes.CDLL(str(path)), "C_GetFunctionList", None)
    except OSError as error:
        raise InvalidInputError(f"{path} cannot be loaded as a PKCS#11 module: {error}") from None
    if entry is None:
        raise InvalidInputError(f"{path} is no PKCS#11 module: it has no C_GetFunctionList")
    try:
        module = Module(str(path), init_args)
    except PKCS11Error as error:
        raise translated(error, "C_Initialize", f"loading {path}") from error
    # Never let go, not even when the interpreter ends: python-pkcs11 would unload the library
    # under whoever else uses it, and by then has lost the method for it.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(module))
    return module
