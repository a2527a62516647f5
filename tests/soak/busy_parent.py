"""The children of a parent whose threads are inside the module nearly always: python -m this.

It takes URI, MODULE and CHILDREN from the environment; standard output takes what came of it, as
JSON. Each child has the shim write down which functions of the module it calls, and with which
sessions and objects.
"""

from __future__ import annotations

import faulthandler
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Final

import keyhier
from keyhier.testing.faults import Faults

_THREADS: Final = 4
_CHILD_SECONDS: Final = 60


def _use_as_child(vault: keyhier.Vault, envelopes: list[str]) -> None:
    with Faults(Path(os.environ["MODULE"]), after_fork=True) as faults:
        for envelope in envelopes:
            with vault.unwrap(envelope) as secret:
                assert secret == b"secret"
        assert len(vault.random_bytes(5)) == 5
        assert vault.key("rsa").wrap(b"again")
        vault.close()
    assert not faults.inherited(), faults.inherited()
    seen = [call.function for call in faults.calls]
    # SoftHSM knows nothing of forks, so it answers "already initialised" first.
    assert seen[:3] == ["C_Initialize", "C_Finalize", "C_Initialize"], seen
    assert "C_Login" in seen, seen


def _use_as_parent(
    vault: keyhier.Vault, envelopes: list[str], stopped: threading.Event, failures: list[str]
) -> None:
    while not stopped.is_set():
        try:
            for envelope in envelopes:
                with vault.unwrap(envelope) as secret:
                    if secret != b"secret":
                        failures.append("wrong value")
            vault.random_bytes(16)
            vault.key("aes")
        except keyhier.KeyhierError as error:
            failures.append(repr(error))


def _fork(vault: keyhier.Vault, envelopes: list[str]) -> tuple[float, float, int]:
    """Have a child; return how long the fork and the child took, and how the child ended."""
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        # Whoever hangs is ended by it, and tells on standard error where.
        faulthandler.dump_traceback_later(_CHILD_SECONDS, exit=True)
        code = 1
        try:
            _use_as_child(vault, envelopes)
            code = 0
        finally:
            if code:
                sys.excepthook(*sys.exc_info())
            os._exit(code)
    forked = time.monotonic()
    status = os.waitpid(child, 0)[1]
    return forked - began, time.monotonic() - forked, os.waitstatus_to_exitcode(status)


def main() -> None:
    """Have the children one after the other, and tell what became of them."""
    with keyhier.open(os.environ["URI"]) as vault:
        keys = [vault.create_key("rsa", "RSA-2048"), vault.create_key("aes", "AES-256")]
        envelopes = [str(key.wrap(b"secret")) for key in keys]
        stopped = threading.Event()
        failures: list[str] = []
        threads = [
            threading.Thread(target=_use_as_parent, args=(vault, envelopes, stopped, failures))
            for _ in range(_THREADS)
        ]
        for thread in threads:
            thread.start()
        children = [_fork(vault, envelopes) for _ in range(int(os.environ["CHILDREN"]))]
        stopped.set()
        for thread in threads:
            thread.join()
        with vault.unwrap(envelopes[0]) as secret:
            assert secret == b"secret"
    told = {
        "failures": failures,
        "ends": [end for _, _, end in children],
        "slowest_fork": max(fork for fork, _, _ in children),
        "slowest_child": max(child for _, child, _ in children),
    }
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
