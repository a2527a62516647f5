"""The network HSM: it can be killed, stopped and restarted."""

from __future__ import annotations

import subprocess
import sys

import pytest

from keyhier.testing.p11_kit import NetworkHsm
from keyhier.testing.softhsm import SoftHsm

# In a process of their own, because a process has one network HSM, which other tests use.
SETUP = """
import threading, time
import keyhier
from keyhier.errors import InvalidStateError, KeyhierError
from keyhier.testing.p11_kit import NetworkHsm
from keyhier.testing.softhsm import SoftHsm
hsm = NetworkHsm(SoftHsm.current().new_token())
"""
KILLED = """
with hsm, keyhier.open(hsm.uri) as vault:
    assert len(vault.random_bytes(3)) == 3
    hsm.kill()
    try:
        vault.random_bytes(3)
    except KeyhierError:
        print("gone")
"""
FROZEN = """
with hsm, keyhier.open(hsm.uri) as vault:
    hsm.stop()
    drawn = []
    caller = threading.Thread(target=lambda: drawn.append(len(vault.random_bytes(3))))
    caller.start()
    caller.join(0.3)
    print(drawn)
    hsm.resume()
    caller.join()
    print(drawn)
"""
RESTARTED = """
with hsm, keyhier.open(hsm.uri) as vault:
    vault.create_key("kek", "RSA-2048")
    hsm.restart()
# A new process is a new client.
import os, subprocess, sys
again = "import keyhier, sys; print([key.name for key in keyhier.open(sys.argv[1]).keys()])"
with hsm:
    subprocess.run([sys.executable, "-c", again, hsm.uri], check=True)
"""
TWO = """
with hsm:
    try:
        NetworkHsm(SoftHsm.current().new_token()).start()
    except InvalidStateError:
        print("one at a time")
try:
    hsm.stop()
except InvalidStateError:
    print("not running")
print(hsm.socket.exists())
"""


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        (KILLED, "gone\n"),
        (FROZEN, "[]\n[3]\n"),
        (RESTARTED, "['kek']\n"),
        (TWO, "one at a time\nnot running\nFalse\n"),
    ],
    ids=["killed", "frozen", "restarted", "two"],
)
def test_the_network_hsm_does_what_it_is_told(
    network_hsm: NetworkHsm, program: str, printed: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SETUP + program], check=False, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == (printed, "")


def test_its_uri_shows_no_pin(network_hsm: NetworkHsm) -> None:
    assert network_hsm.token.pin not in f"{network_hsm.uri} {network_hsm.token!r}"


def test_where_p11_kit_is_not_installed_that_is_said(
    softhsm: SoftHsm, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keyhier.testing.p11_kit._CLIENTS", ("/nowhere",))
    with pytest.raises(Exception, match="install p11-kit"):
        NetworkHsm(softhsm.new_token())
