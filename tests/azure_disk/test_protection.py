"""Protecting a disk key: every form as the extensions write it, and none that would not open."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from uuid import UUID

import pytest

import keyhier
from keyhier.azure_disk import Placing, protect, remarks
from keyhier.errors import (
    CapacityError,
    InvalidInputError,
    InvalidStateError,
    UnsupportedError,
)
from keyhier.stored_secret import SetSecret
from keyhier.volume import BitLockerKey, LinuxPassphrase
from keyhier.volume.bitlocker import ADE_DESCRIPTION
from tests.azure_disk.forms import ade_bek, content_of

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def value_of(request: SetSecret) -> bytes:
    with request.value as value:
        return value.reveal()


def test_windows_without_a_kek() -> None:
    with ade_bek() as bek:
        made = protect(bek, Placing("web-01", "C:"))
        assert made.name == str(bek.identifier).upper()
        assert made.content_type == "BEK"
        assert value_of(made) == base64.b64encode(content_of(bek))
        assert made.tags == {
            "DiskEncryptionKeyFileName": f"{made.name}.BEK",
            "DiskEncryptionKeyEncryptionAlgorithm": "RSA-OAEP",
            "MachineName": "web-01",
            "VolumeLetter": "C:\\",
        }


@pytest.mark.parametrize("algorithm", ["RSA-OAEP", "RSA-OAEP-256", "RSA1_5"])
def test_windows_with_a_kek(kek: keyhier.Key, algorithm: str) -> None:
    with ade_bek() as bek:
        made = protect(bek, Placing("web-01", "c"), kek=kek, algorithm=algorithm)
        assert made.content_type == "Wrapped BEK"
        assert made.tags == {
            "DiskEncryptionKeyFileName": bek.filename,
            "DiskEncryptionKeyEncryptionAlgorithm": algorithm,
            "DiskEncryptionKeyEncryptionKeyURL": str(kek.id),
            "MachineName": "web-01",
            "VolumeLetter": "C:\\",
        }
        value = value_of(made).decode()
        assert re.fullmatch(r"[\w-]{512}", value)
        with kek.unwrap_raw(base64.urlsafe_b64decode(value), algorithm) as opened:
            assert opened == content_of(bek)


@pytest.mark.parametrize(
    ("volume", "file"),
    [
        ("", "LinuxPassPhraseFileName"),
        ("os", "LinuxPassPhraseFileName"),
        ("1_0", "LinuxPassPhraseFileName_1_0"),
    ],
)
def test_linux_single_pass(kek: keyhier.Key, volume: str, file: str) -> None:
    with LinuxPassphrase.generate() as passphrase:
        plain = protect(passphrase, Placing("db-01", volume))
        wrapped = protect(passphrase, Placing("db-01", volume), kek=kek)
        tags = {
            "DiskEncryptionKeyFileName": file,
            "DiskEncryptionKeyEncryptionAlgorithm": "RSA-OAEP",
            "MachineName": "db-01",
        }
        assert (plain.content_type, plain.tags) == ("BEK", tags)
        assert wrapped.content_type == "Wrapped BEK"
        assert wrapped.tags == {**tags, "DiskEncryptionKeyEncryptionKeyURL": str(kek.id)}
        assert UUID4.fullmatch(plain.name)
        assert plain.name != wrapped.name
        assert len(value_of(plain)) == 232


def test_linux_dual_pass_has_no_content_type_and_two_tags(kek: keyhier.Key) -> None:
    with LinuxPassphrase.generate() as passphrase:
        for request in (
            protect(passphrase, Placing(dual_pass=True)),
            protect(passphrase, Placing(dual_pass=True), kek=kek, algorithm="RSA-OAEP-256"),
        ):
            assert request.content_type is None
            assert request.tags.keys() == {
                "DiskEncryptionKeyFileName",
                "DiskEncryptionKeyEncryptionAlgorithm",
            }
        with pytest.raises(InvalidInputError, match="name no machine"):
            protect(passphrase, Placing("db-01", dual_pass=True))


def test_windows_dual_pass_looks_like_single_pass() -> None:
    with ade_bek() as bek:
        single, dual = (protect(bek, Placing("web-01", "C:", flag)) for flag in (False, True))
    assert (single.name, single.content_type, single.tags) == (
        dual.name,
        dual.content_type,
        dual.tags,
    )


def test_a_machine_that_is_not_known_is_an_empty_tag() -> None:
    with ade_bek() as bek:
        assert protect(bek, Placing()).tags["MachineName"] == ""


@pytest.mark.parametrize("machine", ["web 01", "web.contoso.com", "a\n", " "])
def test_a_machine_that_the_tag_cannot_hold_is_refused(machine: str) -> None:
    with ade_bek() as bek, pytest.raises(InvalidInputError, match="host name"):
        protect(bek, Placing(machine))


@pytest.mark.parametrize("volume", ["CD:", "1", "C:\\mnt", "os", "1_0", "C:\\\\"])
def test_a_volume_that_windows_has_not_is_refused(volume: str) -> None:
    with ade_bek() as bek, pytest.raises(InvalidInputError, match="letter"):
        protect(bek, Placing("", volume))


@pytest.mark.parametrize("volume", ["C:", "sda", "1", "1_0_0", "../1_0", "a_b"])
def test_a_disk_that_linux_has_not_is_refused(volume: str) -> None:
    with LinuxPassphrase.generate() as passphrase, pytest.raises(InvalidInputError, match="1_0"):
        protect(passphrase, Placing("", volume))


@pytest.mark.parametrize("algorithm", ["RSA-AES-KWP", "A256KW", "rsa-oaep", "none", ""])
def test_an_algorithm_that_no_kek_has_for_disks_is_refused(
    kek: keyhier.Key, algorithm: str
) -> None:
    with ade_bek() as bek, pytest.raises(InvalidInputError, match="Azure Disk Encryption wraps"):
        protect(bek, Placing(), kek=kek, algorithm=algorithm)


# The capacities in bytes: RSA-OAEP 214, RSA-OAEP-256 190, RSA1_5 245; ADE's own file has 200 bytes.
@pytest.mark.parametrize(
    ("algorithm", "volume_id", "fits"),
    [
        ("RSA-OAEP", False, True),
        ("RSA-OAEP-256", False, False),
        ("RSA1_5", False, True),
        ("RSA-OAEP", True, False),
        ("RSA-OAEP-256", True, False),
        ("RSA1_5", True, True),
    ],
)
def test_a_kek_too_small_for_the_bek_is_refused_before_its_vault_is_asked_for_anything(
    audited: tuple[keyhier.Key, list[keyhier.AuditEvent]],
    algorithm: str,
    volume_id: bool,
    fits: bool,
) -> None:
    small, told = audited
    told.clear()
    volume = UUID(int=1) if volume_id else None
    with BitLockerKey.generate(description=ADE_DESCRIPTION, volume_id=volume) as bek:
        if fits:
            protect(bek, Placing(), kek=small, algorithm=algorithm).value.wipe()
            assert [event.operation for event in told] == ["wrap_raw", "unwrap_raw"]
        else:
            with pytest.raises(CapacityError, match="RSA-3072"):
                protect(bek, Placing(), kek=small, algorithm=algorithm)
            assert told == []


@pytest.fixture(scope="module")
def audited() -> Iterator[tuple[keyhier.Key, list[keyhier.AuditEvent]]]:
    """A KEK of 2,048 bits, and what was done in its vault."""
    told: list[keyhier.AuditEvent] = []
    with keyhier.open("memory:", audit=told.append) as vault:
        yield vault.create_key("small", "RSA-2048"), told


def test_a_bek_that_no_kek_takes_is_refused(kek: keyhier.Key) -> None:
    with (
        BitLockerKey.generate(description="x" * 200) as bek,
        pytest.raises(CapacityError, match="no KEK takes so many"),
    ):
        protect(bek, Placing(), kek=kek)


def test_a_passphrase_fits_every_kek(vault: keyhier.Vault) -> None:
    with LinuxPassphrase.generate() as passphrase:
        for algorithm in ("RSA-OAEP", "RSA-OAEP-256", "RSA1_5"):
            protect(passphrase, Placing(), kek=vault.key("small"), algorithm=algorithm).value.wipe()


def test_an_aes_key_is_no_kek_for_disks(vault: keyhier.Vault) -> None:
    with ade_bek() as bek, pytest.raises(UnsupportedError, match="an AES-256 key"):
        protect(bek, Placing(), kek=vault.key("aes"))


def test_a_disabled_kek_protects_nothing() -> None:
    with keyhier.open("memory:") as vault, ade_bek() as bek:
        key = vault.create_key("disabled", "RSA-2048")
        key.disable()
        with pytest.raises(InvalidStateError):
            protect(bek, Placing(), kek=key)


def test_what_is_made_shows_no_secret() -> None:
    with ade_bek() as bek:
        request = protect(bek, Placing("web-01"))
        shown = repr(request)
        assert value_of(request).decode() not in shown


def test_the_end_of_azure_disk_encryption_is_always_told(
    vault: keyhier.Vault, kek: keyhier.Key
) -> None:
    small = vault.key("small")
    with ade_bek() as bek, LinuxPassphrase.generate() as passphrase:
        told = [remarks(bek, None), remarks(bek, small), remarks(bek, kek)]
        told.append(remarks(passphrase, small))
    assert all("2028-09-15" in remark[0] for remark in told)
    assert [len(remark) for remark in told] == [2, 2, 1, 1]
    assert "who" in told[0][1]
    assert "2048" in told[1][1]
