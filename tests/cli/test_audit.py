"""`keyhier audit`, and commands that are audited."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run, VaultFile


@pytest.fixture
def log(tmp_path: Path, vault_file: VaultFile, run: Run) -> Path:
    path = tmp_path / "audit.jsonl"
    env = {"KEYHIER_AUDIT": str(path), "KEYHIER_VAULT": vault_file.uri}
    assert run("key", "rotate", "kek", env=env).exit_code == 0
    assert run("key", "rotate", "kek", env=env).exit_code == 0
    return path


def test_a_log_is_verified(log: Path, run: Run) -> None:
    found = run("audit", "verify", log)
    assert found.exit_code == 0
    assert found.stdout.endswith("6 entries, no problems\n")
    document = json.loads(run("audit", "verify", log, "--json").stdout)
    assert (document["entries"], document["problems"], document["unfinished"]) == (6, [], [])
    assert len(document["heads"]) == 2
    heads = [part for head in document["heads"] for part in ("--head", head)]
    assert run("audit", "verify", log, *heads).exit_code == 0


def test_a_changed_log_ends_with_14(log: Path, run: Run) -> None:
    document = json.loads(run("audit", "verify", log, "--json").stdout)
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:1], *lines[2:]]))
    changed = run("audit", "verify", log)
    assert changed.exit_code == 14
    assert f"{log}:2: the line does not follow" in changed.stdout
    log.write_bytes(b"".join(lines[:-1]))
    shortened = run("audit", "verify", log, "--head", document["heads"][1])
    assert shortened.exit_code == 14
    assert "does not reach the head" in shortened.stdout
    assert "did not end here" in shortened.stdout


def test_bad_input_is_told(log: Path, run: Run, tmp_path: Path) -> None:
    assert run("audit", "verify", tmp_path / "none").exit_code == 3
    assert run("audit", "verify", log, "--head", "x").exit_code == 8


def test_what_is_done_with_disk_keys_is_audited(
    vault_file: VaultFile, run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "audit.jsonl"
    env = {"KEYHIER_AUDIT": str(path), "KEYHIER_VAULT": vault_file.uri}
    passphrase = tmp_path / "disk.key"
    passphrase.write_text("a passphrase of a disk")
    made = run("ade", "protect", "--in", passphrase, "--kek", "kek", "--json", env=env)
    assert made.exit_code == 0, made.stderr
    secret = json.loads(made.stdout)["secret"]
    assert run("ade", "recover", secret, "--out", tmp_path / "again", env=env).exit_code == 0
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    told = [(each["operation"], each["outcome"]) for each in entries if "operation" in each]
    assert told.count(("unwrap_raw", "ok")) == 2
    assert ("set_secret", "ok") in told
    env["KEYHIER_AUDIT"] = str(tmp_path / "none" / "audit.jsonl")
    refused = run("ade", "recover", secret, "--out", tmp_path / "third", env=env)
    assert refused.exit_code == 3
    assert "audit log" in refused.stderr


def test_what_cannot_be_audited_is_not_done(
    vault_file: VaultFile, run: Run, tmp_path: Path, configuration: Path
) -> None:
    before = run("key", "list", "--all-versions", "--vault", vault_file.uri, "--json").stdout
    missing = tmp_path / "none" / "audit.jsonl"
    configuration.write_text(f'audit = "{missing}"\n')
    configuration.chmod(0o600)
    refused = run("key", "rotate", "kek", "--vault", vault_file.uri)
    assert refused.exit_code == 3
    assert "audit log" in refused.stderr
    configuration.write_text('audit = "relative"\n')
    assert run("key", "list", "--vault", vault_file.uri).exit_code == 8
    configuration.unlink()
    after = run("key", "list", "--all-versions", "--vault", vault_file.uri, "--json").stdout
    assert after == before
