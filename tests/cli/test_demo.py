"""`keyhier demo` and `keyhier backends`."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from keyhier import LinuxPassphrase, WrappedKey
from keyhier.cli.cryptsetup import LuksProof, prove
from tests.cli.conftest import Process, Run


def test_the_demonstration_holds_and_leaves_nothing(
    process: Process, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    done = process("demo")
    assert (done.stderr, done.returncode) == (b"", 0)
    shown = done.stdout.decode()
    assert "Everything came back" in shown
    assert "the vault was asked for nothing" in shown
    assert "FAILED" not in shown
    assert max(map(len, shown.splitlines())) < 130
    assert not list(temporary.iterdir())


def test_the_report_says_what_was_done(process: Process) -> None:
    report = json.loads(process("demo", "--json").stdout)
    assert report["ok"] is True
    assert len(report["runs"]) + len(report["skipped"]) == 2
    for done in report["runs"]:
        assert all(secret["same"] for secret in done["secrets"])
        assert done["context_bound"] is True
        assert (done["luks"]["opened"] is True) or done["luks"]["skipped"]
        for secret in done["secrets"]:
            assert str(WrappedKey.parse(secret["wrapped"]).kid) == done["kek"]
    plans = report["plans"]
    assert "ade-vault-region" in plans["error"]
    assert plans["asked"] == []
    assert plans["refused"]["worst"] == "error"
    assert plans["corrected"]["worst"] == "warning"
    assert plans["key"].startswith("memory:disk-kek/")


def test_what_is_not_installed_is_skipped_with_its_reason(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    # This is how Python marks a module that cannot be imported.
    monkeypatch.setitem(sys.modules, "pkcs11", None)
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    result = run("demo")
    assert result.exit_code == 0, result.stderr
    assert "cryptsetup is not installed" in result.stdout
    assert "skipped: the same on a PKCS#11 token, as" in result.stdout
    assert "FAILED" not in result.stdout


@pytest.mark.requires_tool("cryptsetup")
def test_another_passphrase_proves_nothing(tmp_path: Path) -> None:
    with LinuxPassphrase.generate() as made, LinuxPassphrase.generate() as other:
        assert prove(tmp_path, made, other) == LuksProof(opened=False)


def test_where_no_volume_can_be_formatted_the_proof_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Some kernels lack what cryptsetup needs; here a program of its name fails as it would.
    program = tmp_path / "cryptsetup"
    program.write_text("#!/bin/sh\necho 'the kernel has no such cipher' >&2\nexit 1\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with LinuxPassphrase.generate() as made:
        proof = prove(tmp_path, made, made)
    assert proof == LuksProof(
        skipped="cryptsetup cannot format a file here: the kernel has no such cipher"
    )


def test_a_demonstration_that_fails_ends_as_an_error(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A program that claims to format, and then does not open.
    program = tmp_path / "cryptsetup"
    program.write_text('#!/bin/sh\ntest "$1" = luksFormat\n')
    program.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    result = run("demo")
    assert result.exit_code == 14
    assert "FAILED" in result.stdout
    assert "Everything came back" not in result.stdout
    assert "the demonstration failed" in result.stderr


def test_the_backends_are_listed_with_their_uris(run: Run) -> None:
    found = {
        each["scheme"]: each for each in json.loads(run("backends", "--json").stdout)["backends"]
    }
    assert found["memory"]["usable"] is True
    assert "memory:" in found["memory"]["uri_forms"]
    shown = run("backends").stdout
    for each in found.values():
        assert each["description"] in shown


def test_a_backend_that_cannot_be_used_says_why(process: Process, tmp_path: Path) -> None:
    information = tmp_path / "broken-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text("[keyhier.backends]\nbroken = nowhere:backend\n")
    (tmp_path / "sitecustomize.py").touch()
    done = process("backends", env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"})
    assert done.returncode == 0
    assert b"no: it failed to load: ModuleNotFoundError" in done.stdout
