"""`keyhier wrap`, `unwrap` and `inspect`: files in, files out."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from keyhier import BitLockerKey, WrappedKey
from keyhier.cli.envelope import parse_context
from keyhier.errors import InvalidInputError
from keyhier.testing.softhsm import SoftHsmToken
from tests.cli.conftest import Process, Run, VaultFile

SECRET = b"a secret of my own"


@pytest.fixture
def secret_file(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def bek(tmp_path: Path) -> Path:
    return BitLockerKey.generate().write(tmp_path)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_wrapped_is_unwrapped(
    run: Run, vault_file: VaultFile, secret_file: Path, tmp_path: Path
) -> None:
    envelope, again = tmp_path / "e.jwe", tmp_path / "again"
    bound = ("--context", "vm=web-01", "--context", "note=a=b", "--vault", vault_file.uri)
    wrapped = run("wrap", "kek", "--in", secret_file, "--out", envelope, *bound)
    assert wrapped.exit_code == 0, wrapped.stderr
    parsed = WrappedKey.parse(envelope.read_text().removesuffix("\n"))
    assert parsed.context == {"vm": "web-01", "note": "a=b"}
    assert parsed.content_type == "octet-stream"
    unwrapped = run("unwrap", "--in", envelope, "--out", again, *bound)
    assert unwrapped.exit_code == 0, unwrapped.stderr
    assert again.read_bytes() == SECRET
    assert mode(again) == 0o600


def test_the_envelope_goes_to_standard_output_as_one_line(
    run: Run, vault_file: VaultFile, secret_file: Path
) -> None:
    result = run("wrap", "kek", "--in", secret_file, "--vault", vault_file.uri)
    assert str(WrappedKey.parse(result.stdout.removesuffix("\n"))) == result.stdout.rstrip()


def test_the_json_of_a_wrap_holds_the_envelope(
    run: Run, vault_file: VaultFile, secret_file: Path
) -> None:
    asked = ("wrap", "kek", "--in", secret_file, "--algorithm", "RSA-OAEP", "--json")
    document = json.loads(run(*asked, "--vault", vault_file.uri).stdout)
    wrapped = WrappedKey.parse(document["wrapped"])
    assert document["algorithm"] == wrapped.algorithm == "RSA-OAEP"
    assert document["kid"] == str(wrapped.kid)


def test_a_bek_file_is_wrapped_as_what_it_is_and_comes_back_under_its_name(
    run: Run, vault_file: VaultFile, bek: Path, tmp_path: Path
) -> None:
    envelope, folder = tmp_path / "e.jwe", tmp_path / "usb"
    folder.mkdir()
    run("wrap", "kek", "--in", bek, "--out", envelope, "--vault", vault_file.uri)
    assert WrappedKey.parse(envelope.read_text().rstrip()).content_type == "vnd.keyhier.bitlocker"
    unwrap = ("unwrap", "--in", envelope, "--out", folder, "--vault", vault_file.uri)
    result = run(*unwrap, "--json")
    assert json.loads(result.stdout)["written"] == str(folder / bek.name)
    assert (folder / bek.name).read_bytes() == bek.read_bytes()
    assert mode(folder / bek.name) == 0o600
    assert run(*unwrap).exit_code == 4
    assert run(*unwrap, "--force").exit_code == 0
    single = tmp_path / "as-a-file"
    run("unwrap", "--in", envelope, "--out", single, "--vault", vault_file.uri)
    assert single.read_bytes() == bek.read_bytes()


def test_a_passphrase_is_checked_when_it_is_said_to_be_one(
    run: Run, vault_file: VaultFile, tmp_path: Path
) -> None:
    passphrase = tmp_path / "passphrase"
    passphrase.write_bytes(b"correct horse")
    asked = ("wrap", "kek", "--in", passphrase, "--type", "luks", "--vault", vault_file.uri)
    assert WrappedKey.parse(run(*asked).stdout.rstrip()).content_type == "vnd.keyhier.luks"
    passphrase.write_bytes(b"correct horse\n")
    result = run(*asked)
    assert result.exit_code == 8
    assert "horse" not in result.output


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_the_end_of_an_envelopes_line_is_no_part_of_it(
    process: Process, vault_file: VaultFile, secret_file: Path, tmp_path: Path, end: bytes
) -> None:
    with vault_file.open() as vault:
        envelope = str(vault.key("kek").wrap(SECRET)).encode()
    done = process(
        "unwrap", "--in", "-", "--out", "-", "--vault", vault_file.uri, stdin=envelope + end
    )
    assert (done.stdout, done.stderr, done.returncode) == (SECRET, b"", 0)


def test_a_secret_comes_from_a_pipe_and_goes_into_one(
    process: Process, vault_file: VaultFile
) -> None:
    wrapped = process("wrap", "kek", "--in", "-", "--vault", vault_file.uri, stdin=SECRET)
    assert (wrapped.stderr, wrapped.returncode) == (b"", 0)
    again = process(
        "unwrap", "--in", "-", "--out", "-", "--vault", vault_file.uri, stdin=wrapped.stdout
    )
    assert again.stdout == SECRET


def test_nothing_that_is_there_is_overwritten_unless_forced(
    run: Run, vault_file: VaultFile, secret_file: Path, tmp_path: Path
) -> None:
    envelope, there = tmp_path / "e.jwe", tmp_path / "there"
    there.write_bytes(b"mine")
    wrap = ("wrap", "kek", "--in", secret_file, "--vault", vault_file.uri, "--out")
    assert run(*wrap, there).exit_code == 4
    assert run(*wrap, envelope).exit_code == 0
    unwrap = ("unwrap", "--in", envelope, "--vault", vault_file.uri, "--out", there)
    assert run(*unwrap).exit_code == 4
    assert there.read_bytes() == b"mine"
    assert run(*unwrap, "--force").exit_code == 0
    assert there.read_bytes() == SECRET
    assert mode(there) == 0o600
    assert run(*wrap, there, "--force").exit_code == 0
    assert there.read_bytes().startswith(b"ey")


def test_only_a_bitlocker_key_goes_into_a_folder(
    run: Run, vault_file: VaultFile, secret_file: Path, tmp_path: Path
) -> None:
    envelope = tmp_path / "e.jwe"
    run("wrap", "kek", "--in", secret_file, "--out", envelope, "--vault", vault_file.uri)
    result = run("unwrap", "--in", envelope, "--out", tmp_path, "--vault", vault_file.uri)
    assert result.exit_code == 8
    assert "only a BitLocker key has a name of its own" in result.stderr


def test_an_envelope_is_inspected_without_a_vault(
    run: Run, vault_file: VaultFile, tmp_path: Path
) -> None:
    envelope = tmp_path / "e.jwe"
    with vault_file.open() as vault:
        wrapped = vault.key("kek").wrap(SECRET, context={"vm": "\x1b[31mred[/]", "volume": "C:"})
    envelope.write_text(f"{wrapped}\n")
    document = json.loads(run("inspect", envelope, "--json").stdout)
    assert document["kind"] == "wrapped-key"
    assert document["header"]["ctx"] == dict(wrapped.context)
    assert document["segments"]["encrypted_key"] == 256
    assert document["segments"]["ciphertext"] == len(SECRET)
    assert document["opens_with"] == {
        "scheme": "memory",
        "vault": None,
        "name": "kek",
        "version": wrapped.kid.version,
    }
    shown = run("inspect", envelope).stdout
    assert f"key kek, version {wrapped.kid.version}, in a memory: vault" in shown
    # What others wrote rules neither the terminal nor the layout.
    assert "\x1b" not in shown
    assert r"\u001b[31mred[/]" in shown


def test_an_envelope_of_a_token_names_the_token(
    run: Run, softhsm_token: SoftHsmToken, secret_file: Path, tmp_path: Path
) -> None:
    envelope, again = tmp_path / "e.jwe", tmp_path / "again"
    run("key", "create", "kek", "--spec", "AES-256", "--vault", softhsm_token.uri)
    run("wrap", "kek", "--in", secret_file, "--out", envelope, "--vault", softhsm_token.uri)
    assert f"pkcs11: vault {softhsm_token.label}" in run("inspect", envelope).stdout
    run("unwrap", "--in", envelope, "--out", again, "--vault", softhsm_token.uri)
    assert again.read_bytes() == SECRET


def test_a_bek_file_is_inspected_and_its_key_is_not_shown(run: Run, bek: Path) -> None:
    made = BitLockerKey.read(bek)
    document = json.loads(run("inspect", bek, "--json").stdout)
    assert document["kind"] == "bitlocker-key"
    assert document["identifier"] == str(made.identifier).upper()
    assert document["description"] == "ExternalKey"
    assert document["volume_id"] is None
    shown = run("inspect", bek).stdout
    assert bek.name in shown
    for text in (shown, json.dumps(document)):
        assert made.key.reveal().hex() not in text.lower()


def test_a_real_bek_file_is_recognised_by_its_content(
    run: Run, material: Path, tmp_path: Path
) -> None:
    (real,) = (material / "bitlk").glob("*.BEK")
    unnamed = tmp_path / "unnamed"
    unnamed.write_bytes(real.read_bytes())
    document = json.loads(run("inspect", unnamed, "--json").stdout)
    assert document["filename"] == real.name


def test_a_context_is_read() -> None:
    assert parse_context(None) == {}
    assert parse_context(["a=", "b=c=d"]) == {"a": "", "b": "c=d"}


@pytest.mark.parametrize("pairs", [["a"], ["=a"], [""], ["a=1", "a=1"]])
def test_promise_9_a_context_that_is_not_clear_is_refused(pairs: list[str]) -> None:
    with pytest.raises(InvalidInputError):
        parse_context(pairs)
