"""The inventory: what opens each secret, and whether it still can; nothing is read or unwrapped."""

from __future__ import annotations

import pytest

import keyhier
from keyhier.azure_disk import Opening, Placing, protect, take_inventory
from keyhier.stored_secret import StoredSecret
from keyhier.volume import LinuxPassphrase
from tests.azure_disk.forms import KEK_URL, ade_bek, linux_tags, stored, windows_tags

KEK_TAG = "DiskEncryptionKeyEncryptionKeyURL"


def wrapped_under(kek: str) -> StoredSecret:
    return stored(content_type="Wrapped BEK", tags=windows_tags(**{KEK_TAG: kek}))


def verdict(secret: StoredSecret, *vaults: keyhier.Vault) -> tuple[Opening, str | None]:
    (item,) = take_inventory([secret], vaults)
    assert item.stored is secret
    return item.opening, item.reason


def test_without_a_kek_a_secret_opens() -> None:
    assert verdict(stored(content_type="BEK", tags=windows_tags())) == (Opening.OPENS, None)


def test_with_a_kek_that_is_there_a_secret_opens(vault: keyhier.Vault, kek: keyhier.Key) -> None:
    assert verdict(wrapped_under(str(kek.id)), vault) == (Opening.OPENS, None)


def test_a_kek_in_another_vault_is_unknown(vault: keyhier.Vault) -> None:
    opening, reason = verdict(wrapped_under(KEK_URL), vault)
    assert opening is Opening.UNKNOWN
    assert reason == "the KEK is in another vault, contoso.vault.azure.net"


def test_a_dual_pass_secret_is_unknown(vault: keyhier.Vault) -> None:
    assert verdict(stored(tags=linux_tags()), vault)[0] is Opening.UNKNOWN


@pytest.mark.parametrize(
    ("how", "told"), [("disable", "is disabled"), ("delete", "soft-deleted"), ("purge", "is gone")]
)
def test_a_kek_that_cannot_be_used_loses_the_secret(how: str, told: str) -> None:
    with keyhier.open("memory:") as vault:
        key = vault.create_key("kek", "RSA-2048")
        secret = wrapped_under(str(key.id))
        if how == "disable":
            key.disable()
        else:
            key.delete(confirm="kek")
        if how == "purge":
            vault.purge_key("kek", confirm="kek")
        opening, reason = verdict(secret, vault)
    assert opening is Opening.LOST
    assert told in (reason or "")


def test_a_secret_that_is_disabled_is_lost() -> None:
    secret = stored(content_type="BEK", tags=windows_tags(), enabled=False)
    assert verdict(secret) == (Opening.LOST, "the secret is disabled")


def test_labels_that_make_no_sense_are_told_and_stop_nothing(vault: keyhier.Vault) -> None:
    bad = wrapped_under("https://contoso.vault.azure.net/keys/kek")
    good = stored(content_type="BEK", tags=windows_tags())
    first, second = take_inventory([bad, good], [vault])
    assert (first.labels, first.opening) == (None, Opening.LOST)
    assert "without its version" in (first.reason or "")
    assert second.opening is Opening.OPENS


def test_an_aes_key_opens_nothing(vault: keyhier.Vault) -> None:
    opening, reason = verdict(wrapped_under(str(vault.key("aes").id)), vault)
    assert opening is Opening.LOST
    assert "AES-256" in (reason or "")


def test_other_secrets_are_left_out(vault: keyhier.Vault) -> None:
    assert not list(take_inventory([stored(tags={"MachineName": "web-01"})], [vault]))


def test_each_kek_is_looked_up_once_and_nothing_is_used() -> None:
    told: list[keyhier.AuditEvent] = []
    with keyhier.open("memory:", audit=told.append) as vault:
        key = vault.create_key("kek", "RSA-2048")
        with ade_bek() as bek, LinuxPassphrase.generate() as passphrase:
            for disk_key in (bek, passphrase):
                request = protect(disk_key, Placing("web-01"), kek=key)
                vault.secrets.set(
                    request.name,
                    request.value,
                    content_type=request.content_type,
                    tags=request.tags,
                )
        told.clear()
        items = list(take_inventory(vault.secrets.list(), [vault]))
    assert [item.opening for item in items] == [Opening.OPENS, Opening.OPENS]
    assert told == []
