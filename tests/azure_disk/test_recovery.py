"""Recovering a disk key: by what the tags name, in the vaults that are open, and not otherwise."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator

import pytest

import keyhier
from keyhier.azure_disk import DiskKey, KekReference, Placing, protect, recover
from keyhier.errors import (
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnwrapError,
)
from keyhier.stored_secret import StoredSecret
from keyhier.volume import LinuxPassphrase
from tests.azure_disk.forms import (
    KEK_URL,
    ade_bek,
    base64_of,
    base64url_of,
    content_of,
    linux_tags,
    stored,
    windows_tags,
)

ALGORITHMS = ["RSA-OAEP", "RSA-OAEP-256", "RSA1_5"]
KEK_TAG = "DiskEncryptionKeyEncryptionKeyURL"
ALGORITHM_TAG = "DiskEncryptionKeyEncryptionAlgorithm"


@pytest.fixture(params=["windows", "linux"])
def disk_key(request: pytest.FixtureRequest) -> Iterator[DiskKey]:
    with ade_bek() if request.param == "windows" else LinuxPassphrase.generate() as made:
        yield made


def kept(vault: keyhier.Vault, disk_key: DiskKey, placing: Placing, **how: object) -> StoredSecret:
    """Protect a disk key, set the secret and get it again."""
    request = protect(disk_key, placing, **how)  # type: ignore[arg-type]  # The tests' own options.
    with request.value as value:
        made = vault.secrets.set(
            request.name, value, content_type=request.content_type, tags=request.tags
        )
    return vault.secrets.get(made.id.name, made.id.version)


@pytest.mark.parametrize("dual_pass", [False, True])
def test_every_form_without_a_kek_comes_back(
    vault: keyhier.Vault, disk_key: DiskKey, dual_pass: bool
) -> None:
    with recover(kept(vault, disk_key, Placing(dual_pass=dual_pass)), [vault]) as back:
        assert back == disk_key


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_every_form_with_a_kek_comes_back(
    vault: keyhier.Vault, kek: keyhier.Key, disk_key: DiskKey, algorithm: str
) -> None:
    secret = kept(vault, disk_key, Placing("web-01"), kek=kek, algorithm=algorithm)
    with recover(secret, [vault]) as back:
        assert back == disk_key


def test_no_vault_is_needed_without_a_kek(vault: keyhier.Vault, disk_key: DiskKey) -> None:
    with recover(kept(vault, disk_key, Placing()), []) as back:
        assert back == disk_key


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_dual_pass_wrap_opens_with_the_kek_that_is_named(
    vault: keyhier.Vault, kek: keyhier.Key, algorithm: str
) -> None:
    with LinuxPassphrase.generate() as passphrase:
        secret = kept(vault, passphrase, Placing(dual_pass=True), kek=kek, algorithm=algorithm)
        with pytest.raises(InvalidInputError, match="its tags name none"):
            recover(secret, [vault])
        named = KekReference.parse(str(kek.id), algorithm)
        with recover(secret, [vault], kek=named) as back:
            assert back == passphrase


def test_the_version_that_the_tags_name_opens_it_and_not_the_latest() -> None:
    with keyhier.open("memory:") as vault, ade_bek() as bek:
        first = vault.create_key("kek", "RSA-2048")
        secret = kept(vault, bek, Placing(), kek=first)
        second = first.rotate()
        with recover(secret, [vault]) as back:
            assert back == bek
        wrong = KekReference.parse(str(second.id), "RSA-OAEP")
        with pytest.raises(UnwrapError):
            recover(secret, [vault], kek=wrong)


# ---------------------------------------------------------------------- what is named


def test_promise_4_a_kek_in_another_vault_is_refused_unless_that_vault_is_handed_over() -> None:
    with keyhier.open("memory:") as vault, ade_bek() as bek:
        content = vault.create_key("kek", "RSA-2048").wrap_raw(content_of(bek), "RSA-OAEP")
        tags = windows_tags(**{KEK_TAG: KEK_URL})
        secret = stored(base64url_of(content), content_type="Wrapped BEK", tags=tags)
        for vaults in ([], [vault]):
            with pytest.raises(NotFoundError, match="in another vault, which is not opened"):
                recover(secret, vaults)


def test_a_kek_elsewhere_opens_it_where_it_is_named() -> None:
    with keyhier.open("memory:") as vault, ade_bek() as bek:
        restored = vault.create_key("restored", "RSA-2048")
        wrapped = base64url_of(restored.wrap_raw(content_of(bek), "RSA-OAEP"))
        tags = windows_tags(**{KEK_TAG: KEK_URL})
        secret = stored(wrapped, content_type="Wrapped BEK", tags=tags)
        with recover(secret, [vault], kek=KekReference.parse(str(restored.id), "RSA-OAEP")) as back:
            assert back == bek


def test_a_kek_version_that_is_gone_is_told_as_such() -> None:
    with keyhier.open("memory:") as vault, ade_bek() as bek:
        kek = vault.create_key("kek", "RSA-2048")
        secret = kept(vault, bek, Placing(), kek=kek)
        kek.delete(confirm="kek")
        with pytest.raises(InvalidStateError, match="soft-deleted"):
            recover(secret, [vault])
        vault.purge_key("kek", confirm="kek")
        with pytest.raises(NotFoundError, match="is gone, and nothing else opens"):
            recover(secret, [vault])
        vault.create_key("kek", "RSA-2048")
        with pytest.raises(NotFoundError, match="is gone"):
            recover(secret, [vault])


def test_a_disabled_kek_is_told_as_such_and_is_not_asked() -> None:
    told: list[keyhier.AuditEvent] = []
    with keyhier.open("memory:", audit=told.append) as vault, ade_bek() as bek:
        kek = vault.create_key("kek", "RSA-2048")
        secret = kept(vault, bek, Placing(), kek=kek)
        kek.disable()
        told.clear()
        with pytest.raises(InvalidStateError, match="is disabled"):
            recover(secret, [vault])
        assert told == []


def test_an_aes_key_is_no_kek(vault: keyhier.Vault, kek: keyhier.Key) -> None:
    tags = windows_tags(**{KEK_TAG: str(vault.key("aes").id)})
    secret = stored(base64url_of(bytes(256)), content_type="Wrapped BEK", tags=tags)
    with pytest.raises(InvalidInputError, match="an AES-256 key"):
        recover(secret, [vault])


# ---------------------------------------------------------------------- what is damaged


def wrapped_with(kek: keyhier.Key, content: bytes, algorithm: str, platform: str) -> StoredSecret:
    tags = windows_tags() if platform == "windows" else linux_tags()
    tags |= {KEK_TAG: str(kek.id), ALGORITHM_TAG: algorithm}
    value = base64url_of(kek.wrap_raw(content, algorithm))
    return stored(value, content_type="Wrapped BEK", tags=tags)


@pytest.mark.parametrize("platform", ["windows", "linux"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_promise_3_what_does_not_open_and_what_is_no_disk_key_look_alike(
    vault: keyhier.Vault, kek: keyhier.Key, algorithm: str, platform: str
) -> None:
    no_key = wrapped_with(kek, os.urandom(172), algorithm, platform)
    # A number as great as the modulus would be refused by its bytes alone.
    foreign = with_value(no_key, base64url_of(b"\x01" + os.urandom(383)))
    for secret in (no_key, foreign):
        with pytest.raises(UnwrapError) as caught:
            recover(secret, [vault])
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def with_value(secret: StoredSecret, value: str) -> StoredSecret:
    return stored(value, content_type=secret.content_type, tags=secret.tags)


def test_another_algorithm_than_the_one_that_wrapped_does_not_open(
    vault: keyhier.Vault, kek: keyhier.Key, disk_key: DiskKey
) -> None:
    secret = kept(vault, disk_key, Placing(), kek=kek, algorithm="RSA1_5")
    for algorithm in ("RSA-OAEP", "RSA-OAEP-256"):
        with pytest.raises(UnwrapError):
            recover(secret, [vault], kek=KekReference.parse(str(kek.id), algorithm))


def test_a_wrap_of_another_size_is_refused_before_it_is_sent(
    kek: keyhier.Key,
) -> None:
    told: list[keyhier.AuditEvent] = []
    with keyhier.open("memory:", audit=told.append) as vault:
        small = vault.create_key("small", "RSA-2048")
        secret = wrapped_with(kek, b"x" * 172, "RSA-OAEP", "linux")
        with pytest.raises(InvalidInputError, match="384 bytes"):
            recover(secret, [vault], kek=KekReference.parse(str(small.id), "RSA-OAEP"))


def test_a_passphrase_decoded_twice_is_told_as_such_without_a_kek() -> None:
    passphrase = base64.b64encode(os.urandom(127)).decode()
    secret = stored(passphrase, content_type="BEK", tags=linux_tags())
    with pytest.raises(InvalidInputError, match="decoded once too often"):
        recover(secret, [])


@pytest.mark.parametrize(
    ("value", "content_type", "told"),
    [
        (base64_of(b"\xfb" * 256), "Wrapped BEK", "looks like standard base64"),
        (base64url_of(b"\xfb" * 200), "BEK", "looks like base64url"),
        (base64_of(b"no key at all"), "BEK", r"no \.BEK file"),
    ],
)
def test_base64_and_base64url_confused_is_told_as_such(
    vault: keyhier.Vault, kek: keyhier.Key, value: str, content_type: str, told: str
) -> None:
    named = {KEK_TAG: str(kek.id)} if content_type == "Wrapped BEK" else {}
    secret = stored(value, content_type=content_type, tags=windows_tags(**named))
    with pytest.raises(InvalidInputError, match=told):
        recover(secret, [vault])


def test_a_listed_secret_has_nothing_to_open() -> None:
    with pytest.raises(InvalidInputError, match="was listed"):
        recover(stored(content_type="BEK", tags=windows_tags()), [])


def test_without_labels_a_key_is_recognised_by_itself(disk_key: DiskKey) -> None:
    with recover(stored(base64_of(content_of(disk_key)), content_type="BEK"), []) as back:
        assert back == disk_key


def test_no_error_shows_the_value() -> None:
    passphrase = base64.b64encode(os.urandom(127)).decode()
    for value in (
        passphrase,
        passphrase + "\n",
        base64_of(base64_of(passphrase.encode()).encode()),
    ):
        with pytest.raises(KeyhierError) as caught:
            recover(stored(value, content_type="BEK", tags=linux_tags()), [])
        assert passphrase[:20] not in repr(caught.value) + str(caught.value)
