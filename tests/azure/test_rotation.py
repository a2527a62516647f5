"""Rotation policies: set, read, and carried out by the vault."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keyhier import RotationPolicy
from keyhier.errors import IntegrityError, InvalidInputError, NotFoundError

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
