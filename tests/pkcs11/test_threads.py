"""Many threads and several processes at once; in child processes, so that a crash is counted."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import attrs

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver

BUSY = """
import os, threading, time
import keyhier
from keyhier.errors import UnwrapError

def work(vault, number, until, failures, done):
    rsa, aes, gcm = (vault.key(name) for name in ("rsa", "aes", "gcm"))
    sealed = rsa.wrap_raw(b"r" * 32, "RSA-OAEP")
    try:
        while time.monotonic() < until:
            name = f"own-{number}-{done[number]}"
            for key in (aes, gcm):
                secret = os.urandom(32)
                with key.unwrap(key.wrap(secret)) as opened:
                    assert opened == secret
            with rsa.unwrap_raw(sealed, "RSA-OAEP") as opened:
                assert opened == b"r" * 32
            try:
                rsa.unwrap_raw(bytes(256), "RSA-OAEP")
            except UnwrapError:
                pass
            assert len(vault.random_bytes(16)) == 16
            own = vault.create_key(name, "AES-256")
            with vault.unwrap(own.wrap(secret)) as opened:
                assert opened == secret
            own.rotate()
            assert len(own.versions()) == 2
            assert vault.key("aes") is aes
            own.disable()
            own.delete(confirm=name)
            done[number] += 1
    except BaseException as error:
        failures.append(repr(error))
        raise

uri, seconds, count = os.environ["URI"], float(os.environ["SECONDS"]), 4
failures, done = [], [0] * count
with keyhier.open(uri) as vault:
    vault.create_key("rsa", "RSA-2048")
    vault.create_key("aes", "AES-256")
    vault.create_key("gcm", "AES-256", algorithm="A256GCMKW")
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=work, args=(vault, number, until, failures, done))
        for number in range(count)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    left = sorted(key.name for key in vault.keys())
assert not failures, failures
assert left == ["aes", "gcm", "rsa"], left
assert all(done), done
"""

MAKE_NAMES = """
import os, keyhier
with keyhier.open(os.environ["URI"]) as vault:
    for number in range(10):
        name = f"{os.environ['PREFIX']}-{number}"
        key = vault.create_key(name, "AES-256", algorithm="A256KW")
        with key.unwrap(key.wrap(b"secret")) as secret:
            assert secret == b"secret"
"""


def start(program: str, token: SoftHsmToken, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-c", program],
        env={**os.environ, "URI": token.uri, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_threads_mix_every_operation_without_a_crash_or_a_wrong_value(
    softhsm_token: SoftHsmToken,
) -> None:
    child = start(BUSY, softhsm_token, SECONDS="2")
    output, _ = child.communicate()
    assert (child.returncode, output) == (0, "")


def test_processes_use_one_token_at_the_same_time(
    driver: Pkcs11Driver, softhsm_token: SoftHsmToken
) -> None:
    children = [start(MAKE_NAMES, softhsm_token, PREFIX=prefix) for prefix in ("one", "two")]
    request = CreateKey("mine", KeySpec.AES_256, WrapAlgorithm.A256KW)
    for number in range(10):
        driver.create_key(attrs.evolve(request, name=f"mine-{number}"))
    for child in children:
        output, _ = child.communicate()
        assert (child.returncode, output) == (0, "")
    # SoftHSM notices what others made with the next change that is not its own.
    child = start(MAKE_NAMES, softhsm_token, PREFIX="last")
    output, _ = child.communicate()
    assert (child.returncode, output) == (0, "")
    names = {key.id.name for key in driver.list_keys()}
    assert len(names) == 40
