"""`keyhier ade`: disk keys into secrets and out of them, and what is said of each."""

from __future__ import annotations

import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from keyhier.azure_disk import Placing, protect
from keyhier.volume import BitLockerKey, LinuxPassphrase
from tests.azure_disk.forms import GUID, VERSION, ade_bek, base64_of
from tests.cli.conftest import Process, Run, VaultFile

ELSEWHERE = f"https://fabrikam.vault.azure.net/keys/kek/{VERSION}"


@pytest.fixture
def uri(vault_file: VaultFile, monkeypatch: pytest.MonkeyPatch) -> str:
    """The usual vault, with the RSA key ``kek`` of 2,048 bits."""
    monkeypatch.setenv("KEYHIER_VAULT", vault_file.uri)
    return vault_file.uri


@pytest.fixture
def bek_file(tmp_path: Path) -> Path:
    with ade_bek() as bek:
        return bek.write(tmp_path)


@pytest.fixture
def passphrase_file(tmp_path: Path) -> Path:
    with LinuxPassphrase.generate() as passphrase:
        passphrase.write(tmp_path / "passphrase.key")
    return tmp_path / "passphrase.key"


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def shown(result: Result) -> dict[str, Any]:
    assert result.exit_code == 0, result.stderr
    document: dict[str, Any] = json.loads(result.stdout)
    return document


def failed(result: Result, exit_code: int) -> str:
    """Return the one line of a refusal."""
    assert result.exit_code == exit_code, result.output
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    return line


# ---------------------------------------------------------------------- there and back


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


# ---------------------------------------------------------------------- refusals


def put(vault_file: VaultFile, value: str, content_type: str | None, **tags: str) -> str:
    with vault_file.open() as vault:
        return str(vault.secrets.set(GUID, value, content_type=content_type, tags=tags).id)


def test_promise_4_a_kek_in_another_vault_is_refused_and_the_way_is_told(
    run: Run, uri: str, vault_file: VaultFile, out: Path
) -> None:
    with vault_file.open() as vault, ade_bek() as bek:
        request = protect(bek, Placing(), kek=vault.key("kek"))
        value = request.value.reveal().decode()
    tags = {**request.tags, "DiskEncryptionKeyEncryptionKeyURL": ELSEWHERE}
    put(vault_file, value, "Wrapped BEK", **tags)
    line = failed(run("ade", "recover", GUID, "--out", out), 3)
    assert "fabrikam.vault.azure.net" in line
    assert "--kek-vault" in line
    assert not list(out.iterdir())


def test_a_kek_vault_that_is_named_is_used(
    run: Run, uri: str, vault_file: VaultFile, bek_file: Path, out: Path, tmp_path: Path
) -> None:
    # Two memory vaults have ids alike, so that the other one is asked only for another key.
    other = VaultFile(tmp_path / "other", vault_file.passphrase)
    with other.open() as vault:
        vault.create_key("their-kek", "RSA-2048")
    named = ("--kek", "their-kek", "--kek-vault", other.uri)
    assert "set memory:secrets/" in run("ade", "protect", "--in", bek_file, *named).stdout


def test_a_disabled_kek_is_told_as_such(
    run: Run, uri: str, vault_file: VaultFile, bek_file: Path, out: Path
) -> None:
    run("ade", "protect", "--in", bek_file, "--kek", "kek")
    with vault_file.open() as vault:
        vault.key("kek").disable()
    assert "is disabled" in failed(run("ade", "recover", bek_file.stem, "--out", out), 9)


def test_a_kek_that_is_gone_is_told_as_such(
    run: Run, uri: str, vault_file: VaultFile, bek_file: Path, out: Path
) -> None:
    run("ade", "protect", "--in", bek_file, "--kek", "kek")
    with vault_file.open() as vault:
        vault.key("kek").delete(confirm="kek")
        vault.purge_key("kek", confirm="kek")
    assert "is gone" in failed(run("ade", "recover", bek_file.stem, "--out", out), 3)


def test_a_passphrase_decoded_twice_is_told_as_such(
    run: Run, uri: str, vault_file: VaultFile, passphrase_file: Path, out: Path
) -> None:
    once = passphrase_file.read_text()
    put(vault_file, once, "BEK", DiskEncryptionKeyFileName="LinuxPassPhraseFileName")
    line = failed(run("ade", "recover", GUID, "--out", out / "key"), 8)
    assert "decoded once too often" in line
    assert once not in line


def test_a_kek_too_small_is_refused_and_nothing_is_set(
    run: Run, uri: str, vault_file: VaultFile, bek_file: Path
) -> None:
    options = ("--kek", "kek", "--algorithm", "RSA-OAEP-256")
    assert "RSA-3072" in failed(run("ade", "protect", "--in", bek_file, *options), 12)
    with vault_file.open() as vault:
        assert not list(vault.secrets.list())


def test_a_machine_with_several_volumes_is_ambiguous(
    run: Run, uri: str, tmp_path: Path, out: Path
) -> None:
    for volume in ("C:", "D:"):
        with ade_bek() as bek:
            path = bek.write(tmp_path)
        run("ade", "protect", "--in", path, "--machine", "web-01", "--volume", volume)
    result = run("ade", "recover", "--machine", "web-01", "--out", out)
    line = failed(result, 11)
    assert "C:\\, D:\\" in line
    assert "--volume" in line


def test_a_file_that_is_there_stays(run: Run, uri: str, bek_file: Path) -> None:
    run("ade", "protect", "--in", bek_file)
    before = bek_file.read_bytes()
    asked = ("ade", "recover", bek_file.stem, "--out", bek_file.parent)
    assert "--force" in failed(run(*asked), 4)
    assert bek_file.read_bytes() == before
    assert run(*asked, "--force").exit_code == 0


@pytest.mark.parametrize(
    ("command", "exit_code"),
    [
        (("recover", "--out", "x"), 8),
        (("recover", GUID, "--machine", "web-01", "--out", "x"), 8),
        (("recover", GUID, "--volume", "C:", "--out", "x"), 8),
        (("recover", GUID, "--algorithm", "RSA-OAEP", "--out", "x"), 8),
        (("recover", GUID, "--kek", "kek", "--out", "x"), 8),
        (("recover", GUID, "--kek", "memory:kek", "--out", "x"), 8),
        (("recover", GUID), 2),
        (("recover", GUID, "--out", "x"), 3),
        (("recover", f"{GUID}/{VERSION}", "--out", "x"), 3),
        (("recover", "memory:keys/x", "--out", "x"), 8),
        (("recover", f"http://contoso.vault.azure.net/secrets/{GUID}", "--out", "x"), 8),
        (("recover", "--machine", "web-01", "--out", "x"), 3),
        (("recover", "--backup-config", "absent", "--out", "x"), 3),
        (("protect",), 8),
        (("protect", "--in", "a", "--backup-config", "b"), 8),
        (("protect", "--backup-config", "b", "--dual-pass"), 8),
        (("protect", "--in", "absent.BEK"), 3),
        (("protect", "--in", "passphrase.key", "--algorithm", "RSA-OAEP"), 8),
        (("protect", "--in", "passphrase.key", "--kek", "absent"), 3),
        (("protect", "--in", "passphrase.key", "--kek", ELSEWHERE), 3),
        (("protect", "--in", "passphrase.key", "--type", "bitlocker"), 8),
        (("protect", "--in", "passphrase.key", "--machine", "a b"), 8),
    ],
)
def test_bad_input_is_one_line(
    run: Run,
    uri: str,
    passphrase_file: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: tuple[str, ...],
    exit_code: int,
) -> None:
    monkeypatch.chdir(passphrase_file.parent)
    failed(run("ade", *command), exit_code)
    assert not Path("x").exists()


def test_a_secret_of_another_vault_than_the_one_named_is_refused(
    run: Run, uri: str, out: Path
) -> None:
    url = f"https://contoso.vault.azure.net/secrets/{GUID}/{VERSION}"
    result = run("ade", "recover", url, "--vault", uri, "--out", out)
    assert "is not in the vault memory:" in failed(result, 3)


# ---------------------------------------------------------------------- inventory


def test_an_inventory_tells_what_opens_each_and_whether_it_still_can(
    run: Run, uri: str, vault_file: VaultFile, bek_file: Path, passphrase_file: Path
) -> None:
    assert run("ade", "inventory").stdout == "no secrets of Azure Disk Encryption\n"
    run("ade", "protect", "--in", bek_file, "--kek", "kek", "--machine", "web-01", "--volume", "C:")
    run("ade", "protect", "--in", passphrase_file, "--machine", "db-01")
    with vault_file.open() as vault:
        vault.secrets.set("another", "secret of no disk")
        kek = str(vault.key("kek").id)
    document = shown(run("ade", "inventory", "--json"))
    assert document["retirement"] == "2028-09-15"
    listed = {secret["machine"]: secret for secret in document["secrets"]}
    assert listed.keys() == {"web-01", "db-01"}
    assert [listed[name]["state"] for name in ("web-01", "db-01")] == ["opens", "opens"]
    assert (listed["web-01"]["kek"], listed["web-01"]["algorithm"]) == (kek, "RSA-OAEP")
    assert (listed["db-01"]["kek"], listed["db-01"]["wrapped"]) == (None, False)
    table = run("ade", "inventory").stdout
    assert bek_file.stem in table
    assert "opens" in table

    with vault_file.open() as vault:
        vault.key("kek").disable()
    result = run("ade", "inventory")
    assert result.exit_code == 21
    assert "lost" in result.stdout
    assert f"{bek_file.stem}: the KEK {kek} is disabled" in result.stdout


def test_an_inventory_that_does_not_know_says_so(run: Run, uri: str, vault_file: VaultFile) -> None:
    tags = {
        "DiskEncryptionKeyFileName": f"{GUID}.BEK",
        "DiskEncryptionKeyEncryptionAlgorithm": "RSA-OAEP",
        "DiskEncryptionKeyEncryptionKeyURL": ELSEWHERE,
    }
    put(vault_file, "a value that is not looked at", "Wrapped BEK", **tags)
    result = run("ade", "inventory", "--json")
    assert result.exit_code == 20
    (item,) = json.loads(result.stdout)["secrets"]
    assert (item["state"], item["kek"]) == ("unknown", ELSEWHERE)


def test_an_inventory_of_all_versions_has_the_older_ones(
    run: Run, uri: str, bek_file: Path
) -> None:
    for _ in range(2):
        run("ade", "protect", "--in", bek_file)
    assert len(shown(run("ade", "inventory", "--json"))["secrets"]) == 1
    assert len(shown(run("ade", "inventory", "--all-versions", "--json"))["secrets"]) == 2


# ---------------------------------------------------------------------- Azure Backup


@pytest.fixture(params=["windows", "linux"])
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """A disk key's file."""
    if request.param == "windows":
        with ade_bek() as bek:
            yield bek.write(tmp_path)
    else:
        with LinuxPassphrase.generate() as passphrase:
            passphrase.write(tmp_path / "passphrase.key")
        yield tmp_path / "passphrase.key"


def backup(path: Path, value: str, kek: str | None) -> Path:
    details = {
        "SecretData": value,
        "SecretUrl": f"https://contoso.vault.azure.net/secrets/{GUID}/{VERSION}",
        "KeyUrl": kek,
    }
    path.write_text(json.dumps({"OsDiskKeyAndSecretDetails": details}))
    return path


def test_a_backup_without_a_kek_is_recovered_without_a_vault(
    run: Run, kept: Path, tmp_path: Path, out: Path
) -> None:
    config = backup(tmp_path / "config.json", base64_of(kept.read_bytes()), None)
    back = shown(run("ade", "recover", "--backup-config", config, "--out", out / "key", "--json"))
    assert Path(back["written"]).read_bytes() == kept.read_bytes()


def test_a_wrapped_backup_is_recovered_and_restored_verbatim(
    run: Run, uri: str, vault_file: VaultFile, kept: Path, tmp_path: Path, out: Path
) -> None:
    with vault_file.open() as vault:
        read = BitLockerKey.read if kept.suffix == ".BEK" else LinuxPassphrase.read
        key = vault.key("kek")
        with read(kept) as disk_key:
            value = protect(disk_key, Placing(), kek=key).value.reveal().decode()
    config = backup(tmp_path / "config.json", value, str(key.id))
    shown(run("ade", "recover", "--backup-config", config, "--out", out / "key", "--json"))
    assert (out / "key").read_bytes() == kept.read_bytes()

    made = shown(run("ade", "protect", "--backup-config", config, "--machine", "w1", "--json"))
    assert made["secret"].startswith(f"memory:secrets/{GUID}/")
    with vault_file.open() as vault:
        stored = vault.secrets.get(GUID)
        assert stored.value == value.encode()
        assert stored.tags["MachineName"] == "w1"
    back = shown(run("ade", "recover", GUID, "--out", out / "again", "--json"))
    assert (out / "again").read_bytes() == kept.read_bytes()
    assert back["kek"] == str(key.id)


def test_a_backup_that_does_not_open_is_not_restored(
    run: Run, uri: str, vault_file: VaultFile, tmp_path: Path
) -> None:
    config = backup(tmp_path / "config.json", base64_of(b"\0 no key"), None)
    failed(run("ade", "protect", "--backup-config", config), 8)
    with vault_file.open() as vault:
        assert not list(vault.secrets.list())
