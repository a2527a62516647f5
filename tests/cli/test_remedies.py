"""What an error says to do next can be done at the command."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyhier.records import open_records
from keyhier.testing.softhsm import SoftHsmToken
from tests.cli.conftest import Process, Run, VaultFile


def test_a_file_that_is_there(run: Run, vault_file: VaultFile, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"mine")
    wrap = run("wrap", "kek", "--in", secret, "--out", secret, "--vault", vault_file.uri)
    new = run("volume-key", "new", "luks", "--out", secret)
    for result in (wrap, new):
        assert result.stderr.endswith("; choose another name, or add --force\n")


def test_an_algorithm_that_no_envelope_has(run: Run, vault_file: VaultFile, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"mine")
    asked = ("wrap", "kek", "--in", secret, "--vault", vault_file.uri)
    result = run(*asked, "--algorithm", "RSA1_5")
    assert "wrap_raw" not in result.stderr
    assert "; leave --algorithm out, or name one that `keyhier key show` lists" in result.stderr


def test_no_pin_and_no_terminal(process: Process, softhsm_token: SoftHsmToken) -> None:
    done = process("key", "list", "--vault", softhsm_token.uri.partition("&")[0])
    assert b"callback" not in done.stderr
    assert done.stderr.endswith(b"or run it at a terminal\n")


def test_a_pin_source_that_is_none(run: Run) -> None:
    result = run("key", "list", "--vault", "memory:?file=/v&pin-value=1234")
    assert "callback" not in result.stderr
    assert result.stderr.endswith("or pin-source=prompt:\n")


@pytest.mark.parametrize("asked", [["show", "kek"], ["create", "kek"]])
def test_a_key_that_is_deleted(run: Run, vault_file: VaultFile, asked: list[str]) -> None:
    with vault_file.open() as vault:
        vault.key("kek").delete(confirm="kek")
    result = run("key", *asked, "--vault", vault_file.uri)
    assert "_key" not in result.stderr
    assert "`keyhier key recover`" in result.stderr
    assert "`keyhier key purge`" in result.stderr
    assert "`keyhier key recover`" in run("key", *asked, "--vault", vault_file.uri, "--json").stderr


@pytest.mark.parametrize(
    ("asked", "command"),
    [
        (["show", "none"], "keyhier key list"),
        (["rotate", "none"], "keyhier key list"),
        (["show", "kek", "--version", "none"], "keyhier key list --all-versions"),
    ],
)
def test_a_key_that_is_missing(
    run: Run, vault_file: VaultFile, asked: list[str], command: str
) -> None:
    result = run("key", *asked, "--vault", vault_file.uri)
    assert result.exit_code == 3
    assert result.stderr.endswith(f"; `{command}` shows what there is\n")


def test_a_key_that_an_earlier_command_made_in_memory(run: Run) -> None:
    result = run("key", "show", "kek", "--vault", "memory:")
    assert result.stderr.endswith("; memory: without ?file= is new and empty for every command\n")


@pytest.mark.parametrize(
    ("asked", "lists"),
    [
        (["records", "show", "none"], "keyhier records list"),
        (["recover", "--record", "none", "--out", "OUT"], "keyhier records list"),
        (["recover", "--vm", "none", "--volume", "C:", "--out", "OUT"], "keyhier records list"),
        (["set", "show", "none"], "keyhier set list"),
        (["jobs", "show", "none"], "keyhier jobs list"),
        (["jobs", "finalize", "none"], "keyhier jobs list"),
        (["census", "none"], "keyhier tree"),
        (["rotate", "none"], "keyhier tree"),
        (["retire", "kek", "--version", "none"], "keyhier key list --all-versions"),
        (["retire", "kek"], "keyhier key list --all-versions"),
    ],
)
def test_what_is_not_there_is_listed_by_a_command(
    asked: list[str], lists: str, run: Run, vault_file: VaultFile, tmp_path: Path
) -> None:
    env = {"KEYHIER_VAULT": vault_file.uri, "KEYHIER_RECORDS": f"sqlite:{tmp_path}/records.db"}
    open_records(env["KEYHIER_RECORDS"]).close()
    out = str(tmp_path / "out")
    result = run(*(out if each == "OUT" else each for each in asked), env=env)
    assert result.exit_code in (3, 8)
    assert f"`{lists}`" in result.stderr


def test_a_folder_that_is_missing_is_named(run: Run, tmp_path: Path) -> None:
    result = run("volume-key", "new", "luks", "--out", tmp_path / "none" / "key")
    assert result.exit_code == 3
    assert result.stderr.endswith(f"make the folder {tmp_path / 'none'} first\n")
