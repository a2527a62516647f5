"""`keyhier volume-key new`: the key, its envelope, and what is left where one of them fails."""

from __future__ import annotations

import json
import os
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from keyhier import BitLockerKey, LinuxPassphrase, WrappedKey
from tests.cli.conftest import COMMAND, Process, Run, VaultFile


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_bek_is_written_under_its_identifier(run: Run, tmp_path: Path) -> None:
    result = run("volume-key", "new", "bitlocker", "--out", tmp_path, "--ade", "--json")
    document = json.loads(result.stdout)
    path = Path(document["written"])
    made = BitLockerKey.read(path)
    assert path == tmp_path / made.filename
    assert document["identifier"] == str(made.identifier).upper()
    assert made.description == "BitLocker Extension Key Protector"
    assert mode(path) == 0o600


def test_a_new_passphrase_is_written_without_a_newline(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "key"
    result = run("volume-key", "new", "luks", "--out", path)
    assert result.stdout == f"wrote {path}\n"
    LinuxPassphrase.read(path)
    assert path.stat().st_size == 172
    assert mode(path) == 0o600


@pytest.mark.parametrize("kind", ["bitlocker", "luks"])
def test_a_new_key_goes_into_a_pipe_when_asked(process: Process, kind: str) -> None:
    done = process("volume-key", "new", kind, "--out", "-")
    assert (done.stderr, done.returncode) == (b"", 0)
    if kind == "luks":
        LinuxPassphrase.from_bytes(done.stdout)
    else:
        BitLockerKey.from_bytes(done.stdout)


def test_a_new_key_goes_straight_into_an_envelope(
    run: Run, vault_file: VaultFile, tmp_path: Path
) -> None:
    before = sorted(tmp_path.rglob("*"))
    asked = ("volume-key", "new", "luks", "--random", "vault", "--wrap-with", "kek")
    result = run(*asked, "--context", "vm=db-01", "--vault", vault_file.uri)
    assert result.exit_code == 0, result.stderr
    assert sorted(tmp_path.rglob("*")) == before
    wrapped = WrappedKey.parse(result.stdout.removesuffix("\n"))
    assert wrapped.content_type == "vnd.keyhier.luks"
    with vault_file.open() as vault, vault.unwrap(wrapped, context={"vm": "db-01"}) as secret:
        LinuxPassphrase.from_bytes(secret)


def test_a_new_key_goes_into_a_file_and_an_envelope(
    run: Run, vault_file: VaultFile, tmp_path: Path
) -> None:
    envelope = tmp_path / "e.jwe"
    asked = ("volume-key", "new", "bitlocker", "--out", tmp_path, "--wrap-with", "kek")
    result = run(*asked, "--out-wrapped", envelope, "--vault", vault_file.uri)
    (path,) = tmp_path.glob("*.BEK")
    assert result.stdout == f"wrote {path}\nwrapped into {envelope}\n"
    with vault_file.open() as vault, vault.unwrap(envelope.read_text().rstrip()) as secret:
        assert secret == path.read_bytes()


def test_where_the_envelope_is_the_output_the_rest_is_told_beside_it(
    run: Run, vault_file: VaultFile, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    asked = ("volume-key", "new", "luks", "--out", key, "--wrap-with", "kek", "--vault")
    result = run(*asked, vault_file.uri)
    WrappedKey.parse(result.stdout.removesuffix("\n"))
    assert result.stderr == f"wrote {key}\n"
    as_json = run(*asked, vault_file.uri, "--force", "--json")
    document = json.loads(as_json.stdout)
    assert not as_json.stderr
    WrappedKey.parse(document["envelope"]["wrapped"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "the key would go nowhere"),
        (["--out", "key", "--context", "a=b"], "go with --wrap-with"),
        (["--out", "key", "--out-wrapped", "e"], "go with --wrap-with"),
        (["--out", "-", "--json"], "both want standard output"),
        (["--out", "-", "--wrap-with", "kek"], "want standard output"),
    ],
)
def test_a_new_key_has_one_place_to_go_to(
    process: Process, tmp_path: Path, options: list[str], message: str
) -> None:
    done = process("volume-key", "new", "luks", *options, "--vault", "memory:", cwd=tmp_path)
    assert done.returncode == 8
    assert message in done.stderr.decode()
    assert not done.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["home"]


def test_a_new_bek_wants_a_folder_that_is_there(run: Run, tmp_path: Path) -> None:
    result = run("volume-key", "new", "bitlocker", "--out", tmp_path / "none")
    assert result.exit_code == 3


# --------------------------------------------------------------------------- all or nothing


def _missing_folder(folder: Path) -> Path:
    return folder / "none" / "key"


def _folder(folder: Path) -> Path:
    (folder / "sub").mkdir()
    return folder / "sub"


def _taken(folder: Path) -> Path:
    (folder / "key").write_bytes(b"mine")
    return folder / "key"


@pytest.mark.parametrize(
    ("make", "force", "exit_code"),
    [
        (_missing_folder, [], 3),
        (_missing_folder, ["--force"], 3),
        (_folder, ["--force"], 8),
        (_taken, [], 4),
    ],
)
def test_a_key_that_cannot_be_written_leaves_the_envelope_that_was_there(
    run: Run,
    vault_file: VaultFile,
    tmp_path: Path,
    make: Callable[[Path], Path],
    force: list[str],
    exit_code: int,
) -> None:
    envelope = tmp_path / "e.jwe"
    if force:
        envelope.write_bytes(b"the only one")
    key = make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    asked = ("volume-key", "new", "luks", "--wrap-with", "kek", "--vault", vault_file.uri, *force)
    result = run(*asked, "--out", key, "--out-wrapped", envelope)
    assert result.exit_code == exit_code, result.output
    assert not result.stdout
    assert sorted(tmp_path.rglob("*")) == before
    if force:
        assert envelope.read_bytes() == b"the only one"


@pytest.mark.parametrize("force", [[], ["--force"]])
def test_an_envelope_that_cannot_be_written_leaves_no_key(
    run: Run, vault_file: VaultFile, tmp_path: Path, force: list[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    asked = ("volume-key", "new", "bitlocker", "--wrap-with", "kek", "--vault", vault_file.uri)
    result = run(*asked, "--out", tmp_path, "--out-wrapped", tmp_path / "none" / "e", *force)
    assert result.exit_code == 3
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "options", [["--out", "key"], ["--out", "key", "--json"], ["--out-wrapped", "e", "--out", "-"]]
)
def test_where_standard_output_is_full_no_file_is_left(
    vault_file: VaultFile, tmp_path: Path, options: list[str]
) -> None:
    before = sorted(tmp_path.rglob("*"))
    asked = ["volume-key", "new", "luks", "--wrap-with", "kek", "--vault", vault_file.uri]
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [COMMAND, *asked, *options],
            stdout=full,
            stderr=subprocess.PIPE,
            cwd=tmp_path,
            check=False,
        )
    assert done.returncode == 16
    assert b"ENOSPC" in done.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_where_nobody_reads_the_envelope_the_old_key_stays(
    vault_file: VaultFile, tmp_path: Path
) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"mine")
    reader, writer = os.pipe()
    os.close(reader)
    asked = ["volume-key", "new", "luks", "--wrap-with", "kek", "--vault", vault_file.uri]
    done = subprocess.run(
        [COMMAND, *asked, "--out", key, "--force"],
        stdout=writer,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writer)
    assert (done.stderr, done.returncode) == (b"", 141)
    assert key.read_bytes() == b"mine"


def _itself(path: Path) -> Path:
    return path


def _by_another_path(path: Path) -> Path:
    return path.parent / "home" / ".." / path.name


def _by_a_link(path: Path) -> Path:
    link = path.with_name("link")
    link.symlink_to(path)
    return link


def _by_a_second_name(path: Path) -> Path:
    path.write_bytes(b"mine")
    name = path.with_name("name")
    name.hardlink_to(path)
    return name


@pytest.mark.parametrize("other", [_itself, _by_another_path, _by_a_link, _by_a_second_name])
def test_one_file_is_not_taken_for_the_key_and_the_envelope(
    run: Run, vault_file: VaultFile, tmp_path: Path, other: Callable[[Path], Path]
) -> None:
    key = tmp_path / "key"
    envelope = other(key)
    before = sorted(tmp_path.rglob("*"))
    asked = ("volume-key", "new", "luks", "--wrap-with", "kek", "--vault", vault_file.uri)
    result = run(*asked, "--out", key, "--out-wrapped", envelope, "--force")
    assert result.exit_code == 8
    assert "--out and --out-wrapped name the same file" in result.stderr
    assert sorted(tmp_path.rglob("*")) == before
