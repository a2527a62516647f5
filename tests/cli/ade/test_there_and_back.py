"""`keyhier ade`: disk keys into secrets and out of them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.azure_disk.forms import GUID, base64_of
from tests.cli.ade.conftest import failed, put, shown
from tests.cli.conftest import Process, Run, VaultFile


@pytest.mark.parametrize("options", [(), ("--kek", "kek"), ("--kek", "kek", "--dual-pass")])
def test_a_bek_goes_in_and_comes_out(
    run: Run, uri: str, bek_file: Path, out: Path, options: tuple[str, ...]
) -> None:
    named = ("--machine", "web-01", "--volume", "C:")
    made = shown(run("ade", "protect", "--in", bek_file, *named, *options, "--json"))
    assert made["secret"].startswith(f"memory:secrets/{bek_file.stem}/")
    back = shown(run("ade", "recover", made["secret"], "--out", out, "--json"))
    written = Path(back["written"])
    assert written == out / bek_file.name
    assert written.read_bytes() == bek_file.read_bytes()
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert (back["type"], back["machine"], back["volume"]) == ("bitlocker", "web-01", "C:\\")
    assert back["commands"] == [
        f'manage-bde -unlock C: -RecoveryKey "{written}"',
        f"cryptsetup open --type bitlk --key-file {written} /dev/DISK data",
    ]
    assert bool(back["kek"]) == bool(options)


@pytest.mark.parametrize("options", [(), ("--kek", "kek", "--algorithm", "RSA1_5")])
def test_a_passphrase_goes_in_and_comes_out(
    run: Run, uri: str, passphrase_file: Path, out: Path, options: tuple[str, ...]
) -> None:
    named = ("--machine", "db-01", "--volume", "1_0")
    made = shown(run("ade", "protect", "--in", passphrase_file, *named, *options, "--json"))
    assert made["tags"]["DiskEncryptionKeyFileName"] == "LinuxPassPhraseFileName_1_0"
    name = made["secret"].removeprefix("memory:secrets/")
    result = run("ade", "recover", name, "--out", out / "it's", "--json")
    back = shown(result)
    assert (out / "it's").read_bytes() == passphrase_file.read_bytes()
    (command,) = back["commands"]
    assert command == f"cryptsetup open --key-file '{out}/it'\"'\"'s' /dev/DISK data"


def test_a_label_that_is_no_letter_is_no_part_of_a_command(
    run: Run, uri: str, vault_file: VaultFile, bek_file: Path, out: Path
) -> None:
    value = base64_of(bek_file.read_bytes())
    put(vault_file, value, "BEK", VolumeLetter="C: & format D:", MachineName="\x1b[2Jweb")
    result = run("ade", "recover", GUID, "--out", out)
    assert "manage-bde -unlock X: " in result.stdout
    assert "format" not in result.stdout
    assert "\x1b" not in run("ade", "inventory").stdout


def test_a_name_alone_is_the_latest_version(run: Run, uri: str, bek_file: Path, out: Path) -> None:
    run("ade", "protect", "--in", bek_file)
    newer = shown(run("ade", "protect", "--in", bek_file, "--kek", "kek", "--json"))
    back = shown(run("ade", "recover", bek_file.stem, "--out", out, "--json"))
    assert back["secret"] == newer["secret"]


def test_the_newest_of_a_machine_is_recovered_and_the_others_are_listed(
    run: Run, uri: str, tmp_path: Path, out: Path
) -> None:
    made = []
    for number in range(3):
        path = tmp_path / f"{number}.key"
        path.write_text(f"passphrase number {number}")
        options = ("--machine", "db-01", "--volume", "os", "--json")
        made.append(shown(run("ade", "protect", "--in", path, *options))["secret"])
    asked = ("ade", "recover", "--machine", "DB-01", "--volume", "os", "--out")
    back = shown(run(*asked, out / "key", "--json"))
    assert (out / "key").read_text() == "passphrase number 2"
    assert back["secret"] == made[2]
    assert back["others"] == [made[1], made[0]]
    told = run(*asked, out / "again").stdout
    assert f"older, and not used: {made[0]}" in told


def test_a_key_goes_into_a_pipe_when_asked(
    process: Process, run: Run, uri: str, bek_file: Path
) -> None:
    run("ade", "protect", "--in", bek_file, "--kek", "kek")
    done = process("ade", "recover", bek_file.stem, "--out", "-")
    assert (done.stdout, done.stderr, done.returncode) == (bek_file.read_bytes(), b"", 0)


def test_a_dual_pass_wrap_needs_its_kek_named(
    run: Run, uri: str, vault_file: VaultFile, passphrase_file: Path, out: Path
) -> None:
    options = ("--kek", "kek", "--dual-pass", "--json")
    made = shown(run("ade", "protect", "--in", passphrase_file, *options))
    assert made["content_type"] is None
    result = run("ade", "recover", made["secret"], "--out", out / "key")
    assert "its tags name none" in failed(result, 8)
    with vault_file.open() as vault:
        kek = str(vault.key("kek").id)
    shown(run("ade", "recover", made["secret"], "--kek", kek, "--out", out / "key", "--json"))
    assert (out / "key").read_bytes() == passphrase_file.read_bytes()


def test_a_passphrase_has_no_name_of_its_own_in_a_folder(
    run: Run, uri: str, passphrase_file: Path, out: Path
) -> None:
    made = shown(run("ade", "protect", "--in", passphrase_file, "--json"))
    assert "is a folder" in failed(run("ade", "recover", made["secret"], "--out", out), 8)
    assert not list(out.iterdir())


def test_a_kek_is_named_by_its_id_as_well(
    run: Run, uri: str, vault_file: VaultFile, bek_file: Path
) -> None:
    with vault_file.open() as vault:
        kek = str(vault.key("kek").id)
    made = shown(run("ade", "protect", "--in", bek_file, "--kek", kek, "--json"))
    assert made["tags"]["DiskEncryptionKeyEncryptionKeyURL"] == kek


def test_what_is_to_be_known_is_told(run: Run, uri: str, bek_file: Path) -> None:
    result = run("ade", "protect", "--in", bek_file, "--kek", "kek")
    assert "note: Azure Disk Encryption ends on 2028-09-15" in result.stdout
    assert "2048 bits" in result.stdout


def test_a_bek_that_was_stored_for_another_machine_is_told_of(
    run: Run, uri: str, bek_file: Path
) -> None:
    put = ("ade", "protect", "--in", bek_file)
    first = run(*put, "--machine", "web-01", "--volume", "C:").stdout
    assert "already" not in first
    assert "already" not in run(*put, "--machine", "WEB-01", "--volume", "c").stdout
    told = run(*put, "--machine", "web-02", "--volume", "D:").stdout
    assert "for the machine 'WEB-01' already, and it is found under 'web-02' from now on" in told
    assert "for the volume 'C:\\\\' already" in told
    (_, remark, *_) = shown(run(*put, "--volume", "D:", "--json"))["remarks"][1:]
    assert "found under no machine" in remark
