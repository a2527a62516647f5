"""KEKs in vaults that can do less, say no, or do wrong."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import keyhier
from keyhier.algorithms import WrapAlgorithm
from keyhier.azure_disk import Opening, Placing, protect, recover, take_inventory
from keyhier.driver import KeyVersion
from keyhier.errors import AccessDeniedError, IntegrityError, UnsupportedError
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier.stored_secret import StoredSecret
from keyhier.vault import Vault
from keyhier.volume import BitLockerKey
from tests.azure_disk.forms import ade_bek, base64url_of, stored, windows_tags
from tests.odd_vault import OddDriver


@pytest.fixture
def bek() -> Iterator[BitLockerKey]:
    with ade_bek() as made:
        yield made


def wrapped_under(kek: keyhier.Key) -> StoredSecret:
    tags = windows_tags(DiskEncryptionKeyEncryptionKeyURL=str(kek.id))
    return stored(base64url_of(bytes(256)), content_type="Wrapped BEK", tags=tags)


def test_a_wrap_that_does_not_open_again_is_not_handed_out(bek: BitLockerKey) -> None:
    driver = OddDriver(change_opened=lambda secret: SecretBytes(secret.view()[1:]))
    with Vault(driver, uri="memory:") as vault:
        kek = vault.create_key("kek", "RSA-2048")
        with pytest.raises(IntegrityError, match="nothing was set"):
            protect(bek, Placing(), kek=kek)


def test_a_kek_that_azure_cannot_reach_protects_nothing(bek: BitLockerKey) -> None:
    driver = OddDriver()
    driver.rename = lambda key_id: KeyId("pkcs11", "disks", key_id.name, "01")
    with Vault(driver, uri="memory:") as vault:
        kek = vault.create_key("kek", "RSA-2048")
        with pytest.raises(UnsupportedError, match="import the key into Key Vault"):
            protect(bek, Placing(), kek=kek)


def test_a_vault_without_the_algorithm_cannot_open_what_was_wrapped_with_it() -> None:
    driver = OddDriver(algorithms=[WrapAlgorithm.RSA_OAEP_256])
    with Vault(driver, uri="memory:") as vault:
        secret = wrapped_under(vault.create_key("kek", "RSA-2048"))
        with pytest.raises(UnsupportedError, match="RSA-OAEP-256"):
            recover(secret, [vault])
        (item,) = take_inventory([secret], [vault])
    assert item.opening is Opening.LOST
    assert item.reason == "the KEK cannot be used with RSA-OAEP in its vault"


class _Refusing(OddDriver):
    """A vault whose keys this user may not look at."""

    def get_key(self, name: str, version: str | None = None) -> KeyVersion:
        raise AccessDeniedError("the right keys/get is missing")


def test_a_kek_that_may_not_be_looked_at_is_unknown() -> None:
    with Vault(_Refusing(), uri="memory:") as vault:
        secret = wrapped_under(vault.create_key("kek", "RSA-2048"))
        (item,) = take_inventory([secret], [vault])
    assert (item.opening, item.reason) == (Opening.UNKNOWN, "the right keys/get is missing")
