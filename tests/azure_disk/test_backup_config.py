"""vmencryption_config.json: what Azure Backup kept opens, and goes back as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import keyhier
from keyhier.azure_disk import BackupConfig, DiskSecret, KekReference, Placing, protect, recover
from keyhier.errors import InvalidInputError
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SecretId, StoredSecret
from keyhier.volume import BitLockerKey, LinuxPassphrase
from tests.azure_disk.forms import GUID, KEK_URL, VERSION, ade_bek, base64_of, content_of

URL = f"https://contoso.vault.azure.net/secrets/{GUID}/{VERSION}"


def config(encoding: str = "utf-8", **details: Any) -> SecretBytes:
    document = {"OsDiskKeyAndSecretDetails": {"SecretUrl": URL, **details}, "Version": 1}
    return SecretBytes(json.dumps(document).encode(encoding))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_what_a_backup_says_is_read(encoding: str) -> None:
    content = config(
        encoding,
        SecretData="AAAA",
        KeyUrl=KEK_URL,
        KeyBackupData=base64_of(b"a backup"),
        KeyVaultSecretBackupData="BBBB",
    )
    with BackupConfig.parse(content) as read:
        assert str(read.secret_id) == URL
        assert read.value == b"AAAA"
        assert read.kek() == KekReference.parse(KEK_URL, "RSA-OAEP")
        assert read.kek("RSA1_5") == KekReference.parse(KEK_URL, "RSA1_5")
        assert read.key_backup == b"a backup"
        assert "AAAA" not in repr(read)
    assert read.value.wiped


@pytest.mark.parametrize("details", [{}, {"KeyUrl": None}, {"KeyUrl": "", "KeyBackupData": ""}])
def test_a_backup_without_a_kek(details: dict[str, Any]) -> None:
    with BackupConfig.parse(config(SecretData="AAAA", **details)) as read:
        assert (read.kek(), read.key_backup) == (None, None)


def test_an_unwrapped_key_goes_back_with_the_tags_it_needs() -> None:
    with ade_bek() as bek:
        value = base64_of(content_of(bek))
        with BackupConfig.parse(config(SecretData=value)) as read, read.open(None, []) as opened:
            assert opened == bek
            request = read.as_secret(opened, None, machine="web-01")
        with request.value as kept:
            assert kept == value.encode()
            stored = StoredSecret(
                SecretId("", request.name, VERSION), kept, request.content_type, request.tags
            )
            assert DiskSecret.read(stored).machine == "web-01"
            assert request.name == GUID
            with recover(stored, []) as back:
                assert back == bek


@pytest.mark.parametrize("algorithm", ["RSA-OAEP", "RSA1_5"])
@pytest.mark.parametrize("windows", [True, False])
def test_a_wrapped_key_goes_back_verbatim_and_opens(
    vault: keyhier.Vault, kek: keyhier.Key, algorithm: str, windows: bool
) -> None:
    with ade_bek() if windows else LinuxPassphrase.generate() as disk_key:
        original = protect(disk_key, Placing(), kek=kek, algorithm=algorithm)
        value = original.value.reveal().decode()
        content = config(SecretData=value, KeyUrl=str(kek.id))
        with BackupConfig.parse(content) as read:
            named = read.kek(algorithm)
            with read.open(named, [vault]) as opened:
                assert opened == disk_key
                request = read.as_secret(opened, named)
        assert request.value == value.encode()
        assert request.content_type == "Wrapped BEK"
        assert request.tags["DiskEncryptionKeyEncryptionKeyURL"] == str(kek.id)
        assert request.tags["DiskEncryptionKeyEncryptionAlgorithm"] == algorithm
        expected = (
            disk_key.filename if isinstance(disk_key, BitLockerKey) else "LinuxPassPhraseFileName"
        )
        assert request.tags["DiskEncryptionKeyFileName"] == expected


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b'{"OsDiskKeyAndSecretDetails": []}',
        b'{"OsDiskKeyAndSecretDetails": {}}',
        b"[" * 100_000,
    ],
)
def test_another_file_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInputError, match="OsDiskKeyAndSecretDetails"):
        BackupConfig.parse(SecretBytes(content))


@pytest.mark.parametrize(
    "details",
    [
        {},
        {"SecretData": ""},
        {"SecretData": 1},
        {"SecretData": "AAAA", "SecretUrl": None},
        {"SecretData": "AAAA", "SecretUrl": "https://contoso.vault.azure.net/keys/x"},
        {"SecretData": "AAAA", "KeyUrl": 1},
        {"SecretData": "AAAA", "KeyBackupData": "A"},
    ],
)
def test_a_backup_that_lacks_something_is_refused(details: dict[str, Any]) -> None:
    with pytest.raises(InvalidInputError):
        BackupConfig.parse(config(**details))


def test_a_kek_without_a_version_is_refused() -> None:
    url = KEK_URL.rpartition("/")[0]
    with (
        BackupConfig.parse(config(SecretData="AAAA", KeyUrl=url)) as read,
        pytest.raises(InvalidInputError, match="without its version"),
    ):
        read.kek()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["OsDiskKeyAndSecretDetails", "SecretData", "SecretUrl"]), inner
        )
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_document_is_a_backup_or_refused(document: object) -> None:
    with pytest.raises(InvalidInputError):
        BackupConfig.parse(SecretBytes(json.dumps(document).encode()))
