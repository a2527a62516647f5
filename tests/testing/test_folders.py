"""Folders of test processes: there as long as the process, and not much longer."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from keyhier.testing.folders import new_folder

MAKE = """
import os, signal, sys
from keyhier.testing.folders import new_folder
folder = new_folder("kind")
(folder / "token").write_text("something")
print(folder, flush=True)
"""
KILLED = "os.kill(os.getpid(), signal.SIGKILL)"
FORKED = """
if os.fork() == 0:
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


def run(tmp_path: Path, ending: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", MAKE + ending],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_folder_is_its_owner_s_alone() -> None:
    folder = new_folder("kind")
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    folder.rmdir()


def test_it_is_gone_when_the_process_ends(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert Path(done.stdout.strip()).parent == tmp_path
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_leaves_is_deleted_by_the_next(tmp_path: Path) -> None:
    done = run(tmp_path, KILLED)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == [Path(done.stdout.strip())]
    run(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_a_process_or_its_child_uses_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    mine = new_folder("mine")
    with subprocess.Popen(
        [sys.executable, "-c", MAKE + FORKED],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        theirs = Path(parent.stdout.readline().strip())
        assert parent.wait() == -signal.SIGKILL
        run(tmp_path)
        assert {*tmp_path.iterdir()} == {mine, theirs}
    mine.rmdir()


def test_what_is_no_folder_of_ours_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "keyhier-test-file"
    file.touch()
    target = tmp_path / "target"
    target.mkdir()
    link = tmp_path / "keyhier-test-link"
    link.symlink_to(target)
    run(tmp_path)
    assert {*tmp_path.iterdir()} == {file, link, target}
