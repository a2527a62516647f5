"""Forked and spawned children, each of which initialises the module anew; see tests/soak too."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from keyhier.testing.p11_kit import NetworkHsm
    from keyhier.testing.softhsm import SoftHsmToken

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
key.delete(confirm="kek")
vault.close()
assert ends == [0] * 4, ends
"""

MISREAD = """
import os
import keyhier
from keyhier.testing.faults import Ckr, Faults

vault = keyhier.open(os.environ["URI"])
envelope = str(vault.create_key("kek", "AES-256").wrap(b"secret"))
child = os.fork()
if child == 0:
    with Faults(os.environ["MODULE"], after_fork=True) as faults:
        # As often as it is tried before the module is initialised again.
        fault = faults.answer("C_Login", Ckr.USER_PIN_NOT_INITIALIZED, times=5)
        with vault.unwrap(envelope) as secret:
            assert secret == b"secret"
        assert len(fault.hits) == 5
    os._exit(0)
assert os.waitpid(child, 0)[1] == 0
vault.close()
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
    assert (done.returncode, told) == (0, []), done.stdout


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


def test_a_child_whose_module_read_the_token_while_another_wrote_to_it_reads_it_again(
    softhsm_token: SoftHsmToken,
) -> None:
    run("-c", MISREAD, URI=softhsm_token.uri, MODULE=str(softhsm_token.module_path))


def test_the_children_of_a_network_hsms_client_have_connections_of_their_own(
    network_hsm: NetworkHsm,
) -> None:
    run("-c", PREFORK, URI=network_hsm.uri)
