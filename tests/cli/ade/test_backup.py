"""`keyhier ade` with what Azure Backup kept."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from keyhier.azure_disk import Placing, protect
from keyhier.volume import BitLockerKey, LinuxPassphrase
from tests.azure_disk.forms import GUID, VERSION, ade_bek, base64_of
from tests.cli.ade.conftest import failed, shown
from tests.cli.conftest import Run, VaultFile


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
