"""Promise 7: the PIN is in no output of any kind, whatever goes wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from keyhier.testing.prepared import PreparedToken
    from keyhier.testing.softhsm import SoftHsmToken

# Everything that a careless program would show, shown: to be run in a child process.
CARELESS = """
import gc, logging, os, re, sys, traceback, warnings
from contextlib import nullcontext
from pathlib import Path

logging.basicConfig(level=logging.DEBUG)
logging.captureWarnings(True)
warnings.simplefilter("always")

import keyhier
from keyhier.testing.faults import Ckr, Faults

uri, pin_file = os.environ["URI"], os.environ["PIN_FILE"]
bare = re.sub("&pin-source=[^&]*", "", uri)

def ask(what):
    return Path(pin_file).read_text()

def show(error):
    while error is not None:
        print(repr(error), error, vars(error))
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        print("".join(told.format()))
        error = error.__cause__ or error.__context__

def attempt(**how):
    try:
        with keyhier.open(**how, audit=print) as vault:
            vault.random_bytes(4)
    except Exception as error:
        show(error)

module = uri.partition("module-path=")[2].partition("&")[0]
# Before the faults: opencryptoki fills its function list anew whenever it is asked for it.
with keyhier.open(bare, pin=ask, audit=print) as vault:
    diagnosis = vault.doctor()
# p11-kit hands out new function lists, which take no faults.
faults = Faults(module) if os.environ["FAULTS"] else None
with faults or nullcontext():
    with keyhier.open(bare, pin=ask, audit=print) as vault:
        specs = [str(spec) for spec in vault.capabilities.key_specs]
        key = vault.create_key("shown", "AES-256" if "AES-256" in specs else "RSA-2048")
        for shown in (vault, key, key.wrap(b"secret"), diagnosis, diagnosis.as_dict(), faults):
            print(repr(shown), str(shown))
        print(faults and faults.calls)
        for shown in gc.get_objects():
            if str(type(shown).__module__).startswith(("keyhier", "pkcs11._pkcs11")):
                print(repr(shown))
                logging.debug("%r", getattr(shown, "__dict__", None))
        key.delete(confirm="shown")
    codes = [code for code in Ckr if code.name.startswith(("PIN_", "USER_", "DEVICE_", "GENERAL"))]
    # A PIN that was refused is not tried again, so that comes last.
    codes.sort(key=lambda code: code.name.startswith("PIN_"))
    for code in codes if faults else ():
        for function in ("C_Login", "C_GenerateRandom"):
            with faults.answer(function, code, times=8):
                attempt(uri=uri)
                attempt(uri=bare, pin=ask)
    attempt(uri=bare, pin=lambda _: "wrong-93")
    print("ready", flush=True)
    # Whoever serves the token may be gone now.
    sys.stdin.readline()
    attempt(uri=uri)
    attempt(uri=bare, pin=ask)
"""

FAILING = """
import logging
from pathlib import Path
import pytest
import keyhier
from keyhier.testing.faults import Ckr, Faults

def bare(token):
    return token.uri.partition("&pin-source")[0]

@pytest.fixture(autouse=True)
def keep(softhsm_token, nss_token, network_hsm):
    with Path(__file__).with_name("pins").open("a") as pins:
        print(softhsm_token.pin, softhsm_token.so_pin, file=pins)
        print(nss_token.pin, network_hsm.token.pin, file=pins)

@pytest.mark.parametrize("way", ["found", "closed", "killed"])
def test_another_token(nss_token, network_hsm, way):
    tokens = [nss_token, network_hsm.token]
    logging.getLogger().warning("%r %s %r", tokens, nss_token, network_hsm)
    with keyhier.open(nss_token.uri) as one, keyhier.open(network_hsm.uri) as other:
        if way == "found":
            assert one.key("missing") == other
    if way == "closed":
        one.random_bytes(3)
    network_hsm.kill()
    try:
        keyhier.open(network_hsm.uri)
    finally:
        network_hsm.start()

def test_a_token(softhsm_token):
    logging.getLogger().warning("%r %s", softhsm_token, softhsm_token)
    assert softhsm_token is None

def test_a_vault(softhsm_vault, softhsm_token):
    key = softhsm_vault.create_key("kek", "AES-256")
    assert key == softhsm_token

@pytest.mark.parametrize("code", [Ckr.PIN_INCORRECT, Ckr.PIN_LOCKED, Ckr.DEVICE_ERROR])
@pytest.mark.parametrize("given", ["file", "callback"])
def test_a_login(softhsm_token, code, given):
    with Faults(softhsm_token.module_path) as faults:
        faults.answer("C_Login", code)
        if given == "file":
            keyhier.open(softhsm_token.uri)
        else:
            keyhier.open(bare(softhsm_token), pin=lambda _: softhsm_token.pin_file.read_text())
"""


def command_lines() -> bytes:
    """Return the arguments of every process there is."""
    found = b""
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += process.read_bytes()
        except OSError:
            # It has ended meanwhile.
            continue
    return found


@pytest.mark.parametrize(
    "fixture", ["softhsm_token", "nss_token", "network_hsm", "opencryptoki_token"]
)
def test_promise_7_the_pin_is_in_nothing_that_a_careless_program_shows(
    request: pytest.FixtureRequest, fixture: str
) -> None:
    lent: Any = request.getfixturevalue(fixture)
    network = fixture == "network_hsm"
    token: PreparedToken = lent.token if network else lent
    pin = token.pin
    child = subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-X", "dev", "-c", CARELESS],
        env={
            **os.environ,
            "URI": token.uri,
            "PIN_FILE": str(token.pin_file),
            "FAULTS": "" if network else "1",
        },
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    lines: list[str] = []
    for line in child.stdout:
        lines.append(line)
        if line == "ready\n":
            break
    assert pin.encode() not in command_lines()
    if network:
        lent.kill()
    try:
        rest, _ = child.communicate("\n")
    finally:
        if network:
            lent.start()
    output = "".join(lines) + rest
    assert child.returncode == 0, output.replace(pin, "(the PIN)")[-3000:]
    # It did show what it was to show.
    for expected in ("CKR_PIN_", "CKR_DEVICE_ERROR", "AuditEvent(", "Pkcs11Driver", "DEBUG:root:"):
        assert expected in output
    for secret in (pin, "wrong-93"):
        encoded = secret.encode()
        for form in (secret, repr(encoded), encoded.hex(), repr(list(encoded))):
            assert form not in output


def test_promise_7_the_pin_is_in_no_argument_or_output_of_the_command(
    softhsm_token: SoftHsmToken, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.touch(mode=0o600)
    wrong.write_text("wrong-pin-93")
    uris = (softhsm_token.uri, softhsm_token.uri.partition("file:")[0] + f"file:{wrong}")
    outputs = b""
    for uri in uris:
        for arguments in (["key", "create", "kek", "--spec", "AES-256"], ["key", "list"]):
            child = subprocess.Popen(
                [sys.executable, "-c", "from keyhier.cli.main import main; main()", *arguments],
                env={**os.environ, "KEYHIER_VAULT": uri},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
            )
            assert softhsm_token.pin.encode() not in command_lines()
            outputs += child.communicate()[0]
    assert b"kek" in outputs
    assert b"CKR_PIN_INCORRECT" in outputs
    for pin in (softhsm_token.pin, "wrong-pin-93"):
        assert pin.encode() not in outputs


def test_promise_7_the_pin_is_not_in_the_output_of_failing_tests(
    pytester: pytest.Pytester,
) -> None:
    test = pytester.makepyfile(FAILING)
    result = pytester.runpytest_subprocess(
        *("--showlocals", "--full-trace", "-vv", "--log-level=DEBUG", "-p", "no:randomly")
    )
    result.assert_outcomes(failed=11)
    output = "\n".join([*result.outlines, *result.errlines])
    assert "SoftHsmToken(" in output
    pins = test.with_name("pins").read_text().split()
    assert len(pins) == 44
    assert not [pin for pin in pins if pin in output]
