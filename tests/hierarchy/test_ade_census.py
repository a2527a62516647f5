"""A census of keys in Key Vault asks the tags of Azure Disk Encryption's secrets, too."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress

import attrs
import pytest

from keyhier import AccessDeniedError, Hierarchy, InvalidStateError, KeyId, SecretId, Vault
from keyhier.hierarchy.kek_cache import CacheLimits
from keyhier.hierarchy.policy import Policy
from keyhier.records.sql.store import SqlRecords
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SetSecret, StoredSecret
from tests.hierarchy.conftest import SECRET, WEB
from tests.odd_vault import OddDriver

HOST = "contoso.vault.azure.net"
TAG = "DiskEncryptionKeyEncryptionKeyURL"


class KeyVaultDriver(OddDriver):
    """A vault that names its keys as Key Vault does, and keeps secrets."""

    scheme = "https"
    vault = HOST

    def __init__(self) -> None:
        super().__init__()
        self.rename = lambda key: attrs.evolve(key, scheme="https", vault=HOST)
        self.kept: dict[str, list[StoredSecret]] = {}
        self.refuses = False

    def get_secret(self, name: str, version: str | None = None) -> StoredSecret:
        return self.kept[name][-1]

    def set_secret(self, request: SetSecret) -> StoredSecret:
        versions = self.kept.setdefault(request.name, [])
        made = StoredSecret(
            SecretId(HOST, request.name, f"{len(versions):032}"),
            None,
            content_type=request.content_type,
            tags=request.tags,
        )
        versions.append(made)
        return made

    def list_secrets(self) -> Iterable[StoredSecret]:
        if self.refuses:
            raise AccessDeniedError("secrets may not be listed")
        return [versions[-1] for versions in self.kept.values()]

    def list_secret_versions(self, name: str) -> Sequence[StoredSecret]:
        return self.kept[name]

    def delete_secret(self, name: str) -> None:
        del self.kept[name]

    def list_deleted_secrets(self) -> Iterable[str]:
        return []

    def recover_secret(self, name: str) -> StoredSecret:
        return self.kept[name][-1]

    def purge_secret(self, name: str) -> None:
        del self.kept[name]

    def keep(self, name: str, url: str | None) -> None:
        """Keep another version of a secret, as Azure Disk Encryption writes it."""
        tags = {} if url is None else {TAG: url}
        self.set_secret(SetSecret(name, SecretBytes(b"wrapped"), tags=tags))


@pytest.fixture
def driver() -> KeyVaultDriver:
    return KeyVaultDriver()


@pytest.fixture
def fleet(driver: KeyVaultDriver, store: SqlRecords) -> Iterator[Hierarchy]:
    policy = Policy(cache=CacheLimits(age=0.01), propagation={})
    with Vault(driver, uri=f"https://{HOST}") as vault:
        vault.create_key("kek", "RSA-2048")
        with Hierarchy(vault, store, policy=policy) as hierarchy:
            yield hierarchy


def test_tags_that_name_a_version_need_it(fleet: Hierarchy, driver: KeyVaultDriver) -> None:
    first = fleet.keyring.latest(KeyId.parse(f"https://{HOST}/keys/kek")).id
    driver.keep("A", str(first))
    driver.keep("B", f"https://{HOST}:443/keys/kek/{first.version}/")
    driver.keep("C", None)
    driver.keep("D", f"https://{HOST}/keys/other/{first.version}")
    # It is enough that a version before was wrapped under the key.
    driver.keep("B", None)
    fleet.protect(WEB, SECRET, under="kek")
    for asked in (first, first.versionless):
        census = fleet.census(asked)
        assert census.complete
        assert census.of(first).ade == ("A", "B")
        assert len(census.sources) == 2


def test_what_cannot_be_read_makes_a_census_incomplete(
    fleet: Hierarchy, driver: KeyVaultDriver
) -> None:
    key = KeyId.parse(f"https://{HOST}/keys/kek")
    assert fleet.census(key).complete
    driver.keep("odd", "not a URL")
    found = fleet.census(key)
    assert not found.complete
    assert "odd" in (found.sources[1].reason or "")
    driver.refuses = True
    assert fleet.census(key).sources[1].reason == "secrets may not be listed"
    assert fleet.census("kek").as_dict()["complete"] is False


def test_a_key_that_tags_name_is_not_deleted(fleet: Hierarchy, driver: KeyVaultDriver) -> None:
    first = fleet.keyring.latest(KeyId.parse(f"https://{HOST}/keys/kek")).id
    driver.keep("A", str(first))
    # On a slow machine the window is over at once.
    with suppress(InvalidStateError):
        assert not fleet.delete_key(first.versionless, confirm="kek").deleted
    time.sleep(0.05)
    with pytest.raises(InvalidStateError, match="is needed"):
        fleet.delete_key(first.versionless, confirm="kek")


@pytest.mark.parametrize("versioned", [True, False])
def test_a_version_that_tags_may_name_is_not_disabled(
    versioned: bool, fleet: Hierarchy, driver: KeyVaultDriver
) -> None:
    before = fleet.keyring.latest(KeyId.parse(f"https://{HOST}/keys/kek")).id
    driver.keep("A", str(before if versioned else before.versionless))
    # Somebody rotates the key in the vault.
    driver.inner.rotate_key("kek")  # type: ignore[attr-defined]  # The memory vault's driver can.
    found = fleet.retire(before, wait=True)
    assert found.blockers == ("the tags of 1 secret of Azure Disk Encryption name it",)
