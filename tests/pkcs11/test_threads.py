"""Several processes at once on one token; tests/soak has the threads."""

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
