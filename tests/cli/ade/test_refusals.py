"""`keyhier ade`: what is refused, with one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from keyhier.azure_disk import Placing, protect
from tests.azure_disk.forms import GUID, VERSION, ade_bek
from tests.cli.ade.conftest import ELSEWHERE, failed, put
from tests.cli.conftest import Run, VaultFile


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
    assert "C:, D:" in line
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
        (("recover", GUID, "--kek", ELSEWHERE.rpartition("/")[0], "--out", "x"), 8),
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


def test_a_key_url_without_a_version_is_told_to_need_one(run: Run, uri: str, out: Path) -> None:
    versionless = ELSEWHERE.rpartition("/")[0]
    line = failed(run("ade", "recover", GUID, "--kek", versionless, "--out", out / "key"), 8)
    assert f"{versionless} names a KEK without its version" in line
    assert "Azure Disk Encryption follows no rotation" in line


def test_a_secret_of_another_vault_than_the_one_named_is_refused(
    run: Run, uri: str, out: Path
) -> None:
    url = f"https://contoso.vault.azure.net/secrets/{GUID}/{VERSION}"
    result = run("ade", "recover", url, "--vault", uri, "--out", out)
    assert "is not in the vault memory:" in failed(result, 3)
