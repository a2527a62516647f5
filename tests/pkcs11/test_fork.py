"""Forked and spawned children: each initialises the module anew, and uses no parent's handle."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.pkcs11.network_hsm import SERVER, NetworkHsm

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken

# The children of a parent whose threads are inside the module nearly always. The shim writes
# down which functions of the module the child calls, and with which sessions.
BUSY_PARENT = """
import os, signal, sys, threading, time
from pathlib import Path
import keyhier
from keyhier.testing.faults import Faults

COUNT = int(os.environ["COUNT"])
MODULE = Path(os.environ["MODULE"])
def check_child(vault, envelopes):
    with Faults(MODULE, after_fork=True) as faults:
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

def work(vault, envelopes, stopped, failures):
    try:
        while not stopped.is_set():
            for envelope in envelopes:
                with vault.unwrap(envelope) as secret:
                    assert secret == b"secret"
            vault.random_bytes(16)
            vault.key("aes")
    except BaseException as error:
        failures.append(repr(error))
        raise

with keyhier.open(os.environ["URI"]) as vault:
    keys = [vault.create_key("rsa", "RSA-2048"), vault.create_key("aes", "AES-256")]
    envelopes = [str(key.wrap(b"secret")) for key in keys]
    stopped, failures = threading.Event(), []
    threads = [
        threading.Thread(target=work, args=(vault, envelopes, stopped, failures)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    ends, slowest = [], 0.0
    for _ in range(COUNT):
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            signal.alarm(30)
            code = 1
            try:
                check_child(vault, envelopes)
                code = 0
            finally:
                if code:
                    sys.excepthook(*sys.exc_info())
                os._exit(code)
        slowest = max(slowest, time.monotonic() - began)
        ends.append(os.waitpid(child, 0)[1])
    stopped.set()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert ends == [0] * COUNT, ends
    assert slowest < 4, slowest
    with vault.unwrap(envelopes[0]) as secret:
        assert secret == b"secret"
"""

POOL = """
import multiprocessing, os, sys
import keyhier

vault = None

def begin():
    global vault
    vault = keyhier.open(os.environ["URI"])

def unwrap(envelope):
    with (vault or keyhier.open(os.environ["URI"])).unwrap(envelope) as secret:
        return os.getpid(), secret.reveal()

if __name__ == "__main__":
    method = sys.argv[1]
    begin()
    key = vault.create_key("kek", "RSA-2048")
    envelopes = [str(key.wrap(b"secret")) for _ in range(12)]
    context = multiprocessing.get_context(method)
    # With fork the children use the vault that their parent has open.
    started = {} if method == "fork" else {"initializer": begin}
    with context.Pool(3, **started) as pool:
        found = pool.map(unwrap, envelopes, chunksize=1)
    assert {value for _, value in found} == {b"secret"}
    assert os.getpid() not in {process for process, _ in found}
    with vault.unwrap(envelopes[0]) as secret:
        assert secret == b"secret"
    vault.close()
"""

PREFORK = """
import os, sys
import keyhier

vault = keyhier.open(os.environ["URI"])
key = vault.create_key("kek", "RSA-2048")
envelope = str(key.wrap(b"secret"))
children = []
for number in range(4):
    child = os.fork()
    if child == 0:
        for _ in range(10):
            with key.unwrap(envelope) as secret:
                assert secret == b"secret"
        grandchild = os.fork()
        if grandchild == 0:
            with key.unwrap(envelope) as secret:
                assert secret == b"secret"
            os._exit(0)
        status = os.waitpid(grandchild, 0)[1]
        with key.unwrap(envelope) as secret:
            assert secret == b"secret"
        os._exit(0 if status == 0 else 1)
    children.append(child)
ends = [os.waitpid(child, 0)[1] for child in children]
with key.unwrap(envelope) as secret:
    assert secret == b"secret"
vault.close()
assert ends == [0] * 4, ends
"""


def run(*command: str, **environment: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", *command],
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
    )
    told = [line for line in done.stdout.splitlines() if not line.startswith("p11-kit: ")]
    assert (done.returncode, told) == (0, [])


def test_children_of_a_busy_threaded_parent_all_work_and_use_nothing_of_its(
    softhsm_token: SoftHsmToken,
) -> None:
    run(
        "-c",
        BUSY_PARENT,
        URI=softhsm_token.uri,
        MODULE=str(softhsm_token.module_path),
        COUNT=os.environ.get("KEYHIER_FORKS", "20"),
    )


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
def test_multiprocessing_works_with_every_start_method(
    softhsm_token: SoftHsmToken, tmp_path: Path, method: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(POOL)
    run(str(program), method, URI=softhsm_token.uri)


@pytest.mark.parametrize("query", ["", "&timeout=20"])
def test_a_vault_that_was_opened_before_the_fork_serves_parent_children_and_grandchildren(
    softhsm_token: SoftHsmToken, query: str
) -> None:
    run("-c", PREFORK, URI=f"{softhsm_token.uri}{query}")


@pytest.mark.requires_tool(SERVER)
def test_the_children_of_a_network_hsms_client_have_connections_of_their_own(
    softhsm_token: SoftHsmToken, tmp_path: Path
) -> None:
    hsm = NetworkHsm(softhsm_token, tmp_path / "socket")
    hsm.start()
    try:
        run("-c", PREFORK, **hsm.environment)
    finally:
        hsm.kill()
