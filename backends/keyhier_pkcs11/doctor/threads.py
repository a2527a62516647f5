"""Whether the module stands several threads, tried in a child process, which may crash."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

from pkcs11.constants import TokenFlag

from keyhier.doctor import Finding, Severity

if TYPE_CHECKING:
    from keyhier.secret import SecretBytes
    from keyhier_pkcs11.address import TokenAddress
    from keyhier_pkcs11.session import Connection

__all__ = ["examine_threads"]

_CHECK: Final = "threads"
_THREADS: Final = 4
_SECONDS: Final = 1.0
# Loading Python and the module, and logging in to an HSM that is far away.
_PATIENCE_SECONDS: Final = 30.0
_REMEDY: Final = "use the vault from one thread only, and ask the vendor about CKF_OS_LOCKING_OK"


def examine_threads(connection: Connection, address: TokenAddress) -> Iterator[Finding]:
    """Use the token from several threads of another process, with a login of its own there.

    The child reads a PIN from a file or the environment by itself; another PIN goes to it through
    a pipe, and is the same that this process is logged in with.

    Raises:
        AuthenticationError: the PIN, asked for once more, is not that one.
    """
    if TokenFlag.PROTECTED_AUTHENTICATION_PATH in connection.token.flags:
        found = "not tried: a second process would ask for a PIN at the token's keypad"
        remedy = "try your own program's threads before you rely on them"
        yield Finding(_CHECK, Severity.NOTE, found, remedy)
        return
    if not (connection.logged_in and address.pin.by_person):
        yield _judged(*_run(address.uri, None))
        return
    with _asked_again(connection, address) as pin:
        yield _judged(*_run(address.uri, pin))


def _asked_again(connection: Connection, address: TokenAddress) -> SecretBytes:
    """Return the PIN that the child cannot get by itself."""
    pin = address.pin.read(f"token {connection.token.label!r}, for the thread check")
    with ExitStack() as stack:
        stack.callback(pin.wipe)
        # The child's login with a wrong PIN would be one of the few tries that an HSM allows.
        connection.check_pin(pin)
        stack.pop_all()
    return pin


def _run(uri: str, pin: SecretBytes | None) -> tuple[int | None, bytes]:
    """Run the child; return how it ended, None if it had to be killed, and what it said."""
    task = {"uri": uri, "pin": pin is not None, "threads": _THREADS, "seconds": _SECONDS}
    message = json.dumps(task).encode() + b"\n" + (pin.reveal() if pin else b"")
    # -P keeps the working directory out of the child's path: nothing is loaded from there.
    command = [sys.executable, "-P", "-m", "keyhier_pkcs11.doctor.thread_trial"]
    path = os.pathsep.join(each for each in sys.path if each)
    with subprocess.Popen(  # noqa: S603  # This interpreter and a module of this package.
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    ) as child:
        try:
            said, _ = child.communicate(message, timeout=_PATIENCE_SECONDS + _SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            return None, b""
        return child.returncode, said


def _judged(ended: int | None, said: bytes) -> Finding:
    where = f"{_THREADS} threads, in a process of its own"
    if ended is None:
        found = f"{where} did not come to an end; the process was killed"
        return Finding(_CHECK, Severity.ERROR, found, _REMEDY)
    if ended < 0:
        name = signal.Signals(-ended).name
        return Finding(_CHECK, Severity.ERROR, f"the module crashes ({name}) with {where}", _REMEDY)
    result = _read(said)
    if result is None:
        found = f"{where}, were not started: Python ended with {ended}"
        remedy = f"see whether {sys.executable} can import keyhier_pkcs11"
        return Finding(_CHECK, Severity.WARNING, found, remedy)
    if "error" in result:
        found = f"{where}, were not started: {result['error']}"
        return Finding(_CHECK, Severity.WARNING, found, result["remedy"], result["native"])
    failures: dict[str, int] = result["failures"]
    if failures:
        counted = ", ".join(f"{code} {count} times" for code, count in sorted(failures.items()))
        found = f"of {result['rounds']} rounds with {where}, some failed: {counted}"
        return Finding(_CHECK, Severity.ERROR, found, _REMEDY)
    found = f"{result['rounds']} rounds in {_SECONDS:g} s with {where}, and none failed"
    return Finding(_CHECK, Severity.OK, found)


def _read(said: bytes) -> dict[str, Any] | None:
    try:
        result: dict[str, Any] = json.loads(said)
    except ValueError:
        return None
    return result
