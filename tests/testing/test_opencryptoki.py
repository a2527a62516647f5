"""opencryptoki tokens, and that the machine's configuration is put back."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import keyhier
from keyhier.errors import KeyhierError
from keyhier.testing import opencryptoki as module

if TYPE_CHECKING:
    from keyhier.testing.plugin import OpencryptokiToken

PLACES = ("/etc", "/var/lib", "/run", "/run/lock", "/dev/shm")

KILLED = """
import os, signal
from keyhier.testing.opencryptoki import opencryptoki_token
with opencryptoki_token():
    os.kill(os.getpid(), signal.SIGKILL)
"""
NOBODY = """
import os
from keyhier.errors import AccessDeniedError
from keyhier.testing.opencryptoki import opencryptoki_token
os.setuid(65534)
try:
    with opencryptoki_token():
        pass
except AccessDeniedError:
    print("refused")
"""
LOANS = """
import os
import keyhier
from keyhier.testing.opencryptoki import opencryptoki_token
opened = [os.open(".", os.O_RDONLY)]
for _ in range(3):
    with opencryptoki_token() as token, keyhier.open(token.uri) as vault:
        vault.random_bytes(3)
        opened += [os.dup(opened[0]) for _ in range(20)]
    for each in opened:
        os.fstat(each)
    opened += [os.dup(opened[0]) for _ in range(20)]
"""


@contextmanager
def nobody_else() -> Iterator[None]:
    """Wait until no other process has the machine's token."""
    folder = os.open("/etc/opencryptoki", os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def system() -> dict[str, tuple[int, int, int, bytes]]:
    """What is at opencryptoki's places, with modes, owners and contents."""
    found = {}
    for place in PLACES:
        for path in (*Path(place).glob("*opencryptoki*"), *Path(place).glob("pkcsslotd*")):
            found.update({str(each): _state(each) for each in (path, *path.rglob("*"))})
    return found


def _state(path: Path) -> tuple[int, int, int, bytes]:
    status = path.lstat()
    content = path.read_bytes() if path.is_file() else b""
    return status.st_mode, status.st_uid, status.st_gid, content


def test_a_token_is_fresh_and_the_machine_is_as_before(opencryptoki: OpencryptokiToken) -> None:
    with nobody_else():
        before = system()
    labels = []
    for _ in range(2):
        with opencryptoki() as token, keyhier.open(token.uri) as vault:
            labels.append(token.label)
            assert list(vault.keys()) == []
            key = vault.create_key("kek", "RSA-2048")
            with vault.unwrap(key.wrap(b"secret")) as opened:
                assert opened == b"secret"
            assert module._daemons()
            assert token.pin not in f"{token!r} {token.uri}"
    assert labels[0] != labels[1]
    with nobody_else():
        assert system() == before
        assert not module._daemons()


@pytest.mark.usefixtures("opencryptoki")
def test_no_loan_closes_a_file_of_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOANS], check=False, capture_output=True, text=True
    )
    assert done.stderr == ""


def test_what_a_killed_process_left_is_put_back(
    opencryptoki: OpencryptokiToken, tmp_path: Path
) -> None:
    with nobody_else():
        before = system()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", KILLED], env=environment, check=False)
    assert done.returncode == -signal.SIGKILL
    with opencryptoki() as token, keyhier.open(token.uri) as vault:
        assert len(vault.random_bytes(3)) == 3
    with nobody_else():
        assert system() == before
        assert not module._daemons()


@pytest.mark.usefixtures("opencryptoki")
def test_only_root_gets_one() -> None:
    done = subprocess.run(
        [sys.executable, "-c", NOBODY], check=True, capture_output=True, text=True
    )
    assert done.stdout == "refused\n"


def test_a_daemon_that_does_not_start_leaves_nothing_behind(
    opencryptoki: OpencryptokiToken, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nobody_else():
        before = system()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises((KeyhierError, OSError)), opencryptoki():
        pass
    with nobody_else():
        assert system() == before
