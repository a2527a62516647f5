"""`keyhier wrap`, `unwrap`, `inspect` and `volume-key new`: files in, files out."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest

from keyhier import BitLockerKey, LinuxPassphrase, WrappedKey
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
