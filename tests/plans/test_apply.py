"""Applying plans: what a refused one asks of a vault, and what one that holds leaves there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import pytest

import keyhier
from keyhier import BitLockerKey, LinuxPassphrase
from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.azure_disk import recover
from keyhier.errors import (
    CapacityError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    PlacementError,
    UnsupportedError,
)
from keyhier.plans import (
    Phase,
    SetRequest,
    apply_ade,
    apply_set,
)
from tests.azure.conftest import uri_of
from tests.azure_disk.forms import ade_bek
from tests.plans.scenes import (
    FACTS,
    VM_ID,
    ade,
    disk,
    documents,
    encryption_set,
    key_of,
    machine,
    vault,
)
from tests.plans.test_ade import REFUSED, step
from tests.plans.test_set import create, rotate

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault


@pytest.fixture
def asked() -> list[str]:
    """What the vault was asked for, as its audit tells."""
    return []


@pytest.fixture
def memory(asked: list[str]) -> Iterator[keyhier.Vault]:
    with keyhier.open("memory:", audit=lambda event: asked.append(event.operation)) as opened:
        asked.clear()
        yield opened


@pytest.fixture
def online(keyvault: KeyVault) -> Iterator[keyhier.Vault]:
    with keyhier.open(uri_of(keyvault), credential=keyvault.credential()) as opened:
        yield opened


def there(keyvault: KeyVault) -> dict[str, Any]:
    """The document of the vault on loopback."""
    return vault(host=keyvault.url.removeprefix("https://").rstrip("/"))


# ---------------------------------------------------------------------- refused


@pytest.mark.parametrize("name", REFUSED)
def test_promise_10_a_refused_plan_asks_the_vault_for_nothing(
    name: str, memory: keyhier.Vault, asked: list[str]
) -> None:
    request, error, told = REFUSED[name]
    with pytest.raises(error, match=told):
        apply_ade(request, [memory])
    assert asked == []
    assert list(memory.keys()) == []


def test_promise_10_a_refused_set_asks_the_vault_for_nothing(
    memory: keyhier.Vault, asked: list[str]
) -> None:
    with pytest.raises(PlacementError):
        apply_set(create(vault("westus")), [memory])
    assert asked == []
    assert list(memory.keys()) == []


def test_promise_10_a_refused_plan_sends_a_key_vault_no_request(
    keyvault: KeyVault, online: keyhier.Vault
) -> None:
    before = keyvault.requests.count()
    far = there(keyvault) | {"location": "westus"}
    with pytest.raises(PlacementError):
        apply_ade(ade("enable-existing", machine(), disk(), far), [online])
    assert keyvault.requests.count() == before


# ---------------------------------------------------------------------- applied


def test_a_kek_is_made_once_and_found_the_second_time(
    keyvault: KeyVault, online: keyhier.Vault
) -> None:
    request = ade("enable-existing", machine(), disk(), there(keyvault))
    first = apply_ade(request, [online])
    assert first.made
    assert not first.rehearsed
    assert first.key == online.key("disk-kek").id
    command = step(first.plan, Phase.DEPLOY, "extension").command
    assert command is not None
    assert str(first.key) in command
    assert "VERSION" not in command
    again = apply_ade(request, [online])
    assert (again.made, again.key) == (False, first.key)
    assert again.plan == first.plan


def test_in_memory_it_is_a_rehearsal(memory: keyhier.Vault) -> None:
    applied = apply_ade(ade("enable-existing", machine(), disk(), vault()), [memory])
    assert applied.rehearsed
    assert applied.made
    assert applied.key == memory.key("disk-kek").id
    # What Azure is told still names a key that is to be made.
    assert "VERSION" in (step(applied.plan, Phase.DEPLOY, "extension").command or "")


def test_where_there_is_no_key_nothing_is_asked(memory: keyhier.Vault, asked: list[str]) -> None:
    request = ade("enable-existing", machine(), disk(), vault(), kek=False)
    assert apply_ade(request, [memory]).key is None
    assert asked == []


def test_a_key_that_does_not_fit_is_refused(memory: keyhier.Vault) -> None:
    memory.create_key("disk-kek", "AES-256")
    request = ade("enable-existing", machine(), disk(), vault())
    with pytest.raises(InvalidInputError, match="disks are under RSA keys"):
        apply_ade(request, [memory])


def test_a_disabled_key_is_refused(memory: keyhier.Vault) -> None:
    memory.create_key("disk-kek", "RSA-2048").disable()
    with pytest.raises(InvalidStateError, match="disabled"):
        apply_ade(ade("enable-existing", machine(), disk(), vault()), [memory])


def test_a_small_key_that_is_there_is_seen_before_the_disk_is_protected(
    keyvault: KeyVault, online: keyhier.Vault
) -> None:
    online.create_key("disk-kek", "RSA-2048")
    windows = machine("Windows")
    with pytest.raises(InvalidStateError, match="eligibility-"):
        apply_ade(ade("enable-existing", windows, disk(), there(keyvault)), [online])


def test_another_vault_than_the_plans_is_refused(online: keyhier.Vault) -> None:
    with pytest.raises(NotFoundError, match="none of the vaults that are open"):
        apply_ade(ade("enable-existing", machine(), disk(), vault()), [online])


# ---------------------------------------------------------------------- a disk of one's own


@pytest.mark.parametrize("system", ["Windows", "Linux"])
def test_the_secret_of_a_disk_of_ones_own_is_set_and_opens(
    system: str, keyvault: KeyVault, online: keyhier.Vault
) -> None:
    request = ade("enable-own-vhd", machine(system), disk(), there(keyvault))
    kind = BitLockerKey if system == "Windows" else LinuxPassphrase
    with kind.generate() as disk_key:
        applied = apply_ade(request, [online], disk_key=disk_key)
        assert applied.secret is not None
        stored = online.secrets.get(applied.secret.name)
        with recover(stored, [online]) as again:
            assert again == disk_key
    resource = step(applied.plan, Phase.DEPLOY, "disk").resource
    assert resource is not None
    (settings,) = resource["properties"]["encryptionSettingsCollection"]["encryptionSettings"]
    assert settings["diskEncryptionKey"]["secretUrl"] == str(applied.secret)
    assert settings["keyEncryptionKey"]["keyUrl"] == str(applied.key)


def test_a_disk_of_ones_own_is_rehearsed_in_memory(memory: keyhier.Vault) -> None:
    request = ade("enable-own-vhd", machine(), disk(), vault())
    with LinuxPassphrase.generate() as passphrase:
        applied = apply_ade(request, [memory], disk_key=passphrase)
    assert applied.rehearsed
    assert [each.id for each in memory.secrets.list()]
    resource = step(applied.plan, Phase.DEPLOY, "disk").resource
    assert "VERSION" in str(resource)


def test_a_vault_without_secrets_is_seen_before_a_key_is_made(
    managed_hsm: KeyVault, asked: list[str]
) -> None:
    request = ade("enable-own-vhd", machine(), disk(), there(managed_hsm))
    with (
        keyhier.open(
            uri_of(managed_hsm, kind="managedhsm"), credential=managed_hsm.credential()
        ) as hsm,
        LinuxPassphrase.generate() as passphrase,
    ):
        with pytest.raises(UnsupportedError):
            apply_ade(request, [hsm], disk_key=passphrase)
        assert list(hsm.keys()) == []


def test_a_kek_too_small_for_the_disks_key_is_seen_before_it_is_made(
    memory: keyhier.Vault,
) -> None:
    request = ade("enable-own-vhd", machine("Windows"), disk(), vault())
    kek = attrs.evolve(key_of(request.documents), spec=KeySpec.RSA_2048)
    small = attrs.evolve(
        request,
        kek=kek,
        algorithm=WrapAlgorithm.RSA_OAEP_256,
        facts={**FACTS, "release": "windows-server 2019"},
    )
    with ade_bek() as bek:
        with pytest.raises(CapacityError, match="RSA-3072"):
            apply_ade(small, [memory], disk_key=bek)
        assert list(memory.keys()) == []
        assert list(memory.secrets.list()) == []
        # One that is there already may be larger than the plan would make it.
        memory.create_key("disk-kek", "RSA-3072")
        assert apply_ade(small, [memory], disk_key=bek).secret_made


def test_a_machine_whose_name_no_tag_can_hold_is_named_by_none(memory: keyhier.Vault) -> None:
    odd = machine() | {"name": "web.01", "id": VM_ID.replace("web-01", "web.01")}
    with LinuxPassphrase.generate() as passphrase:
        apply_ade(ade("enable-own-vhd", odd, disk(), vault()), [memory], disk_key=passphrase)
    (listed,) = memory.secrets.list()
    assert listed.tags["MachineName"] == ""


def test_the_key_of_a_disk_goes_with_a_disk_of_ones_own(memory: keyhier.Vault) -> None:
    own = ade("enable-own-vhd", machine(), disk(), vault())
    with pytest.raises(InvalidInputError, match="name the key's file"):
        apply_ade(own, [memory])
    with BitLockerKey.generate() as bek:
        with pytest.raises(InvalidInputError, match="leave the key's file out"):
            apply_ade(ade("enable-new", machine(), vault()), [memory], disk_key=bek)
        with pytest.raises(InvalidInputError, match="another system's disk"):
            apply_ade(own, [memory], disk_key=bek)
    assert list(memory.keys()) == []


def test_who_may_set_secrets_and_not_read_them_sets_one(
    keyvault: KeyVault, online: keyhier.Vault
) -> None:
    request = ade("enable-own-vhd", machine(), disk(), there(keyvault))
    forbidden = {"error": {"code": "Forbidden", "message": "no"}}
    with LinuxPassphrase.generate() as passphrase:
        first = apply_ade(request, [online], disk_key=passphrase)
        again = apply_ade(request, [online], disk_key=passphrase)
        assert (again.secret_made, again.secret) == (False, first.secret)
        keyvault.faults.add("list_secrets", status=403, document=forbidden)
        assert apply_ade(request, [online], disk_key=passphrase).secret_made


def test_a_secret_with_the_same_labels_that_opens_another_disk_is_not_taken(
    memory: keyhier.Vault,
) -> None:
    request = ade("enable-own-vhd", machine(), disk(), vault())
    for _ in range(2):
        with LinuxPassphrase.generate() as passphrase:
            assert apply_ade(request, [memory], disk_key=passphrase).secret_made
    # Nor is one whose value makes no sense.
    one, other = list(memory.secrets.list())
    memory.secrets.set(one.id.name, "?", content_type=one.content_type, tags=one.tags)
    with LinuxPassphrase.generate() as passphrase:
        assert apply_ade(request, [memory], disk_key=passphrase).secret_made
    assert other.tags == one.tags


# ---------------------------------------------------------------------- sets


def test_the_key_of_a_set_is_made(keyvault: KeyVault, online: keyhier.Vault) -> None:
    applied = apply_set(create(there(keyvault)), [online])
    assert applied.made
    resource = step(applied.plan, Phase.DEPLOY, "set").resource
    assert resource is not None
    assert resource["properties"]["activeKey"]["keyUrl"] == str(applied.key)


def test_the_key_of_a_set_is_rotated_once(keyvault: KeyVault, online: keyhier.Vault) -> None:
    first = online.create_key("cmk", "RSA-3072")
    place = there(keyvault)
    active = {"keyUrl": str(first.id), "sourceVault": {"id": place["id"]}}
    request = rotate(encryption_set(activeKey=active), place)
    applied = apply_set(request, [online])
    assert applied.made
    assert applied.key != first.id
    assert applied.key == online.key("cmk").id
    # A version that the set does not use yet is taken, and no other is made.
    again = apply_set(request, [online])
    assert (again.made, again.key) == (False, applied.key)
    assert len(online.key("cmk").versions()) == 2


def test_a_version_that_is_named_is_taken(keyvault: KeyVault, online: keyhier.Vault) -> None:
    key = online.create_key("cmk", "RSA-2048")
    applied = apply_set(rotate(encryption_set(), there(keyvault), version=key.version), [online])
    assert (applied.made, applied.key) == (False, key.id)


def test_disks_are_put_under_a_set_without_a_vault() -> None:
    found = documents(machine(), disk(), encryption_set(), vault())
    request = SetRequest(scenario="attach-disk", documents=found, facts=FACTS)
    assert apply_set(request, []).key is None
