"""A plan whose applying is killed is applied again: one key, one secret, one set (promise 8)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import keyhier
from keyhier import Hierarchy, LinuxPassphrase
from keyhier.audit import AuditEvent
from keyhier.azure_disk import recover
from keyhier.hierarchy.planned_sets import PlannedSets
from keyhier.identifiers import KeyId
from keyhier.plans import apply_ade, apply_set
from keyhier.records import open_records
from tests.azure.conftest import uri_of
from tests.plans.scenes import ade, disk, encryption_set, machine, vault
from tests.plans.test_set import create, rotate

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault

PASSPHRASE = b"what opens the disk of one machine"


@attrs.define
class Fatal:
    """An audit trail that ends the process at one of the entries it is asked to write."""

    at: int
    seen: int = 0

    def begin(self, event: AuditEvent) -> None:
        self(event)

    def __call__(self, event: AuditEvent) -> None:
        self.seen += 1
        if self.seen == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def killed_until_it_ends(keyvault: KeyVault, apply: Callable[[keyhier.Vault], object]) -> int:
    """Apply again and again, killed one entry later each time; return how often it was killed."""
    for at in range(1, 32):
        child = os.fork()
        if child == 0:
            code = 1
            try:
                credential = keyvault.credential()
                with keyhier.open(uri_of(keyvault), credential=credential, audit=Fatal(at)) as home:
                    apply(home)
                code = 0
            finally:
                os._exit(code)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status != -signal.SIGKILL:
            assert status == 0
            return at - 1
    raise AssertionError("it never ended by itself")


def there(keyvault: KeyVault) -> dict[str, Any]:
    return vault(host=keyvault.url.removeprefix("https://").rstrip("/"))


def test_promise_8_a_disk_of_ones_own_gets_one_kek_and_one_secret(keyvault: KeyVault) -> None:
    request = ade("enable-own-vhd", machine(), disk(), there(keyvault))

    def apply(home: keyhier.Vault) -> None:
        with LinuxPassphrase.from_bytes(PASSPHRASE) as passphrase:
            apply_ade(request, [home], disk_key=passphrase)

    assert killed_until_it_ends(keyvault, apply) >= 6
    with keyhier.open(uri_of(keyvault), credential=keyvault.credential()) as home:
        (key,) = home.keys()
        assert len(key.versions()) == 1
        (listed,) = home.secrets.list()
        (stored,) = home.secrets.versions(listed.id.name)
        found = home.secrets.get(stored.id.name)
        with recover(found, [home]) as opened, opened.to_secret() as secret:
            assert secret == PASSPHRASE


@pytest.mark.parametrize("scenario", ["create", "rotate-key"])
def test_promise_8_a_set_gets_one_key_version_and_is_kept_once(
    scenario: str, keyvault: KeyVault, tmp_path: Path
) -> None:
    with keyhier.open(uri_of(keyvault), credential=keyvault.credential()) as home:
        before = home.create_key("cmk", "RSA-2048").id if scenario == "rotate-key" else None
    place = there(keyvault)
    active = {"keyUrl": str(before), "sourceVault": {"id": place["id"]}}
    request = create(place) if before is None else rotate(encryption_set(activeKey=active), place)
    url = f"sqlite:{tmp_path}/records.db"

    def apply(home: keyhier.Vault) -> None:
        with open_records(url) as records, Hierarchy(home, records) as hierarchy:
            apply_set(request, [home], keeper=PlannedSets(hierarchy.sets))

    assert killed_until_it_ends(keyvault, apply) >= 2
    with (
        keyhier.open(uri_of(keyvault), credential=keyvault.credential()) as home,
        open_records(url) as records,
        Hierarchy(home, records) as hierarchy,
    ):
        versions = home.key("cmk").versions()
        assert len(versions) == (1 if before is None else 2)
        (kept,) = hierarchy.sets.all()
        assert kept.active == versions[-1].id
        expected: list[KeyId] = [] if before is None else [before]
        assert list(kept.previous) == expected
