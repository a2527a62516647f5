"""Azure Disk Encryption end to end: secrets in a Key Vault, and the disks that they open.

What is protected goes through the Azure SDK over TLS and is recovered by `keyhier ade recover` in a
fresh process, which logs in with azure-identity; what comes out opens a real BitLocker volume and
a LUKS2 volume.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import keyhier
from keyhier.azure_disk import DiskKey, DiskSecret, Placing, protect, recover
from keyhier.volume import BitLockerKey, LinuxPassphrase
from keyhier.volume.bitlocker import ADE_DESCRIPTION
from tests.integration.programs import format_luks, opens_luks, opens_with_cryptsetup

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault

pytestmark = [
    pytest.mark.requires_module("azure.keyvault.keys"),
    pytest.mark.requires_tool("cryptsetup"),
]

COMMAND = Path(sys.executable).with_name("keyhier")
FORMS = [
    pytest.param(False, None, id="single-pass"),
    pytest.param(False, "RSA-OAEP", id="single-pass, RSA-OAEP"),
    pytest.param(False, "RSA-OAEP-256", id="single-pass, RSA-OAEP-256"),
    pytest.param(False, "RSA1_5", id="single-pass, RSA1_5"),
    pytest.param(True, None, id="dual-pass"),
    pytest.param(True, "RSA-OAEP", id="dual-pass, RSA-OAEP"),
]


@pytest.fixture
def uri(keyvault: KeyVault) -> str:
    return f"{keyvault.url}?ca-file={keyvault.ca_file}"


@pytest.fixture
def vault(keyvault: KeyVault, uri: str) -> Iterator[keyhier.Vault]:
    with keyhier.open(uri, credential=keyvault.credential()) as opened:
        yield opened


@pytest.fixture
def kek(vault: keyhier.Vault) -> keyhier.Key:
    return vault.create_key("disk-kek", "RSA-3072")


def keep(
    vault: keyhier.Vault,
    disk_key: DiskKey,
    placing: Placing,
    kek: keyhier.Key | None = None,
    algorithm: str | None = None,
) -> str:
    """Protect a disk key into a vault and return the secret's URL."""
    request = protect(disk_key, placing, kek=kek, algorithm=algorithm)
    with request.value as value:
        made = vault.secrets.set(
            request.name, value, content_type=request.content_type, tags=request.tags
        )
    return str(made.id)


def command(keyvault: KeyVault, uri: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run the command as a user who logs in by the environment."""
    tenant = keyvault.tenant
    login = {
        "KEYHIER_VAULT": uri,
        "AZURE_AUTHORITY_HOST": tenant.authority,
        "AZURE_TENANT_ID": tenant.tenant_id,
        "AZURE_CLIENT_ID": tenant.client_id,
        "AZURE_CLIENT_SECRET": tenant.client_secret,
    }
    return subprocess.run(
        [COMMAND, "ade", *map(str, arguments), "--json"],
        env=os.environ | login,
        capture_output=True,
        text=True,
        check=False,
    )


def done(process: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert (process.stderr, process.returncode) == ("", 0)
    document: dict[str, Any] = json.loads(process.stdout)
    return document


@pytest.mark.parametrize(("dual_pass", "algorithm"), FORMS)
def test_a_windows_disk_opens_with_what_is_recovered(
    keyvault: KeyVault,
    uri: str,
    vault: keyhier.Vault,
    kek: keyhier.Key,
    real: BitLockerKey,
    image: Path,
    tmp_path: Path,
    dual_pass: bool,
    algorithm: str | None,
) -> None:
    with real.key as key:
        bek = BitLockerKey.from_parts(real.identifier, key, description=ADE_DESCRIPTION)
    placing = Placing("web-01", "C:", dual_pass)
    secret = keep(vault, bek, placing, kek if algorithm else None, algorithm)
    back = done(command(keyvault, uri, "recover", secret, "--out", tmp_path))
    written = tmp_path / real.filename
    assert Path(back["written"]) == written
    assert BitLockerKey.read(written) == bek
    assert opens_with_cryptsetup(written, image)
    assert back["kek"] == (str(kek.id) if algorithm else None)


def test_the_real_file_comes_back_byte_for_byte_by_machine_and_volume(
    keyvault: KeyVault,
    uri: str,
    vault: keyhier.Vault,
    kek: keyhier.Key,
    real: BitLockerKey,
    image: Path,
    tmp_path: Path,
) -> None:
    keep(vault, real, Placing("web-01", "C:"), kek)
    kek.rotate()
    keyvault.requests.clear()
    found = ("--machine", "WEB-01", "--volume", "c")
    back = done(command(keyvault, uri, "recover", *found, "--out", tmp_path / "again.BEK"))
    assert back["kek"] == str(kek.id)
    again = tmp_path / "again.BEK"
    with real.to_secret() as content:
        assert content == again.read_bytes()
    assert opens_with_cryptsetup(again, image)
    asked = [each.route for each in keyvault.requests.all() if each.status == 200]
    assert [asked.count(route) for route in ("get_secret", "get_key", "unwrap_key")] == [1, 1, 1]


@pytest.mark.parametrize(("dual_pass", "algorithm"), FORMS)
def test_a_linux_disk_opens_with_what_is_recovered(
    keyvault: KeyVault,
    uri: str,
    vault: keyhier.Vault,
    kek: keyhier.Key,
    tmp_path: Path,
    dual_pass: bool,
    algorithm: str | None,
) -> None:
    placing = Placing("" if dual_pass else "db-01", "os", dual_pass)
    with LinuxPassphrase.generate() as passphrase:
        passphrase.write(tmp_path / "made.key")
        secret = keep(vault, passphrase, placing, kek if algorithm else None, algorithm)
    volume = format_luks(tmp_path / "volume.img", tmp_path / "made.key")
    # The older extension's secrets on Linux do not name their KEK.
    named = ("--kek", kek.id, "--algorithm", algorithm) if dual_pass and algorithm else ()
    out = tmp_path / "recovered.key"
    back = done(command(keyvault, uri, "recover", secret, *named, "--out", out))
    assert back["type"] == "luks"
    assert opens_luks(volume, out)


def test_what_the_command_protects_is_what_the_extension_would_have_written(
    keyvault: KeyVault,
    uri: str,
    vault: keyhier.Vault,
    kek: keyhier.Key,
    real: BitLockerKey,
    tmp_path: Path,
) -> None:
    file = real.write(tmp_path)
    options = ("--machine", "web-01", "--volume", "C:", "--kek", "disk-kek")
    made = done(command(keyvault, uri, "protect", "--in", file, *options))
    stored = vault.secrets.get(file.stem)
    assert str(stored.id) == made["secret"]
    assert stored.content_type == "Wrapped BEK"
    assert stored.tags == {
        "DiskEncryptionKeyFileName": file.name,
        "DiskEncryptionKeyEncryptionAlgorithm": "RSA-OAEP",
        "DiskEncryptionKeyEncryptionKeyURL": str(kek.id),
        "MachineName": "web-01",
        "VolumeLetter": "C:\\",
    }
    assert DiskSecret.read(stored).wrapped
    with recover(stored, [vault]) as back:
        assert back == real


def test_promise_4_a_kek_in_another_vault_is_used_only_where_that_vault_is_named(
    keyvault: KeyVault,
    uri: str,
    real: BitLockerKey,
    image: Path,
    tmp_path: Path,
) -> None:
    file, again = real.write(tmp_path), tmp_path / "again.BEK"
    with type(keyvault)(beside=keyvault) as other:
        theirs = f"{other.url}?ca-file={other.ca_file}"
        with keyhier.open(theirs, credential=other.credential()) as their_vault:
            kek = their_vault.create_key("their-kek", "RSA-3072")
        named = ("--kek-vault", theirs)
        protecting = ("protect", "--in", file, "--machine", "web-01", "--volume", "C:")
        made = done(command(keyvault, uri, *protecting, "--kek", str(kek.id), *named))
        other.requests.clear()
        refused = command(keyvault, uri, "recover", made["secret"], "--out", again)
        assert refused.returncode == 3
        assert "--kek-vault" in json.loads(refused.stderr)["error"]["remedy"]
        assert other.requests.count() == 0
        done(command(keyvault, uri, "recover", made["secret"], "--out", again, *named))
        assert other.requests.count("unwrap_key", 200) == 1
    assert again.read_bytes() == file.read_bytes()
    assert opens_with_cryptsetup(again, image)


def test_the_inventory_tells_a_disk_that_cannot_be_opened_any_more(
    keyvault: KeyVault,
    uri: str,
    vault: keyhier.Vault,
    kek: keyhier.Key,
    real: BitLockerKey,
    tmp_path: Path,
) -> None:
    keep(vault, real, Placing("web-01", "C:"), kek)
    (item,) = done(command(keyvault, uri, "inventory"))["secrets"]
    assert (item["state"], item["kek"], item["machine"]) == ("opens", str(kek.id), "web-01")
    kek.disable()
    keyvault.requests.clear()
    listed = command(keyvault, uri, "inventory")
    (item,) = json.loads(listed.stdout)["secrets"]
    assert (listed.returncode, item["state"]) == (21, "lost")
    refused = command(
        keyvault, uri, "recover", "--machine", "web-01", "--out", tmp_path / "again.BEK"
    )
    assert refused.returncode == 9
    assert "is disabled" in json.loads(refused.stderr)["error"]["message"]
    assert keyvault.requests.count("unwrap_key") == 0
    assert not (tmp_path / "again.BEK").exists()


def test_a_value_that_the_kek_rejects_says_nothing_about_why(
    keyvault: KeyVault, vault: keyhier.Vault, kek: keyhier.Key
) -> None:
    value = base64.urlsafe_b64encode(b"\x01" * 384).rstrip(b"=").decode()
    for algorithm in ("RSA-OAEP", "RSA-OAEP-256", "RSA1_5"):
        tags = {
            "DiskEncryptionKeyFileName": "LinuxPassPhraseFileName",
            "DiskEncryptionKeyEncryptionAlgorithm": algorithm,
            "DiskEncryptionKeyEncryptionKeyURL": str(kek.id),
        }
        vault.secrets.set("damaged", value, content_type="Wrapped BEK", tags=tags)
        with pytest.raises(keyhier.UnwrapError) as caught:
            recover(vault.secrets.get("damaged"), [vault])
        assert caught.value.__context__ is None
