"""Rotation policies: set, read, and carried out by the vault."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from keyhier import RotationPolicy
from keyhier.errors import (
    CapacityError,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    UnavailableError,
)
from keyhier.testing.keyvault.faults import Drop
from keyhier_azure.rotation import expiry
from tests.azure.sdk import key_client

if TYPE_CHECKING:
    import keyhier
    from keyhier.testing.keyvault import KeyVault

_DAY = 86_400


@pytest.mark.parametrize(
    "policy",
    [
        RotationPolicy(rotate_after="P90D", expires_after="P2Y"),
        RotationPolicy(rotate_after="P18M"),
        RotationPolicy(
            rotate_before_expiry="P30D", notify_before_expiry="P60D", expires_after="P1Y"
        ),
    ],
)
def test_a_policy_is_kept_as_it_was_set(vault: keyhier.Vault, policy: RotationPolicy) -> None:
    key = vault.create_key("kek", "RSA-2048")
    kept = key.set_rotation_policy(policy)
    assert key.rotation_policy() == kept
    for name in ("rotate_after", "rotate_before_expiry", "expires_after"):
        assert getattr(kept, name) == getattr(policy, name)
    # The service adds a notification of its own where there is none.
    assert kept.notify_before_expiry == (policy.notify_before_expiry or "P30D")


def test_the_vault_rotates_and_old_envelopes_still_open(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    key.set_rotation_policy(RotationPolicy(rotate_after="P30D", expires_after="P90D"))
    wrapped = key.wrap(b"secret")
    keyvault.clock.advance(31 * _DAY)
    latest = vault.key("kek")
    assert latest.id != key.id
    assert [version.id for version in latest.versions()] == [key.id, latest.id]
    with vault.unwrap(wrapped) as opened:
        assert opened == b"secret"


def test_a_key_that_is_not_there_has_no_policy(vault: keyhier.Vault) -> None:
    key = vault.create_key("kek", "RSA-2048")
    key.delete(confirm="kek")
    with pytest.raises(NotFoundError):
        key.rotation_policy()


@pytest.mark.parametrize("duration", ["P1D", "P6D"])
def test_a_duration_that_the_service_does_not_take_is_told(
    vault: keyhier.Vault, duration: str
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    with pytest.raises(InvalidInputError, match="400 Bad Request"):
        key.set_rotation_policy(RotationPolicy(rotate_after=duration))


@pytest.mark.parametrize(
    "body", [{"lifetimeActions": [5]}, {"attributes": {"expiryTime": 90}}, {"attributes": 5}]
)
def test_a_policy_that_cannot_be_read_is_none(
    keyvault: KeyVault, vault: keyhier.Vault, body: dict[str, Any]
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    keyvault.faults.add("get_rotation_policy", status=200, document=body)
    with pytest.raises(IntegrityError):
        key.rotation_policy()


# ---------------------------------------------------------------------- versions for a job


def test_a_version_for_a_tag_has_it_from_the_moment_it_exists_and_keeps_the_others(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-3072")
    with key_client(keyvault) as client:
        client.update_key_properties("kek", tags={"owner": "web"})
        made = key.rotate(tag="a job")
        bundle = client.get_key("kek", made.version)
        before = client.get_key("kek", key.version)
    assert bundle.properties.tags == {"owner": "web", "keyhier-job": "a job"}
    assert (bundle.key_type, bundle.key_operations) == (before.key_type, before.key_operations)
    assert keyvault.requests.count("rotate_key") == 0
    assert keyvault.requests.count("update_key", status=200) == 1


def test_whoever_was_killed_before_the_answer_came_finds_the_version_that_was_made(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    keyvault.faults.add("create_key", drop=Drop.AFTER)
    with pytest.raises(UnavailableError):
        key.rotate(tag="a job")
    (_, made) = key.versions()
    assert key.rotate(tag="a job").id == made.id
    assert len(key.versions()) == 2


def test_a_rotation_by_the_vault_copies_the_tag_and_is_not_taken_for_the_job_s(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    made = key.rotate(tag="a job")
    later = key.rotate()
    with key_client(keyvault) as client:
        assert client.get_key("kek", later.version).properties.tags == {"keyhier-job": "a job"}
    assert key.rotate(tag="a job").id == made.id


def test_a_version_for_a_tag_expires_as_the_rotation_policy_has_it(vault: keyhier.Vault) -> None:
    key = vault.create_key("kek", "RSA-2048")
    key.set_rotation_policy(RotationPolicy(rotate_after="P30D", expires_after="P90D"))
    made = key.rotate(tag="a job")
    assert made.created is not None
    assert made.expires is not None
    assert abs((made.expires - made.created).total_seconds() - 90 * _DAY) < 60


@pytest.mark.parametrize(
    ("duration", "expires"),
    [
        (None, None),
        ("P90D", datetime(2027, 5, 1, tzinfo=UTC)),
        ("P1M", datetime(2027, 2, 28, tzinfo=UTC)),
        ("P18M", datetime(2028, 7, 31, tzinfo=UTC)),
        ("P2Y1M1D", datetime(2029, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_duration_is_counted_by_the_calendar(
    duration: str | None, expires: datetime | None
) -> None:
    made = datetime(2027, 1, 31, tzinfo=UTC)
    assert expiry(RotationPolicy(expires_after=duration), made) == expires


def test_a_key_with_as_many_tags_as_the_vault_takes_is_told_before_anything_is_made(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    with key_client(keyvault) as client:
        client.update_key_properties("kek", tags={f"tag-{n}": "" for n in range(15)})
    with pytest.raises(CapacityError, match="keyhier-job"):
        key.rotate(tag="a job")
    assert len(key.versions()) == 1


@pytest.mark.parametrize("item", [{"tags": 5}, {"tags": {"keyhier-job": "a job"}}])
def test_a_list_of_versions_that_cannot_be_read_is_none(
    keyvault: KeyVault, vault: keyhier.Vault, item: dict[str, Any]
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    keyvault.faults.add("list_key_versions", status=200, document={"value": [item]})
    with pytest.raises(IntegrityError):
        key.rotate(tag="a job")
