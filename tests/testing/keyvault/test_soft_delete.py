"""Soft delete: what is deleted, recovered and purged, and what a name is good for meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import timedelta

import pytest
from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.keyvault.keys import KeyClient
from azure.keyvault.secrets import SecretClient

from keyhier.testing.keyvault import KeyVault
from tests.testing.keyvault.raw_client import RawClient

DELAY = 60


@pytest.fixture
def slow() -> Iterator[RawClient]:
    """A vault whose deletes take a minute, which its clock makes pass."""
    with KeyVault(delay=DELAY) as vault, RawClient(vault) as client:
        client.create("kek")
        client.put("/secrets/bek", {"value": "x"})
        yield client


def _settle(client: RawClient) -> None:
    client.vault.clock.advance(DELAY)


def test_the_clients_delete_recover_and_purge_keys(keys: KeyClient) -> None:
    made = keys.create_ec_key("kek")
    deleting = keys.begin_delete_key("kek", _polling_interval=0.1)
    deleting.wait()
    deleted = deleting.result()
    assert deleted.id == made.id
    assert deleted.scheduled_purge_date is not None
    assert deleted.deleted_date is not None
    assert deleted.scheduled_purge_date - deleted.deleted_date == timedelta(days=90)
    assert [key.name for key in keys.list_deleted_keys()] == ["kek"]
    keys.begin_recover_deleted_key("kek", _polling_interval=0.1).wait()
    assert keys.get_key("kek").id == made.id
    keys.begin_delete_key("kek", _polling_interval=0.1).wait()
    keys.purge_deleted_key("kek")
    with pytest.raises(ResourceNotFoundError):
        keys.get_deleted_key("kek")


def test_the_clients_delete_recover_and_purge_secrets(secrets: SecretClient) -> None:
    made = secrets.set_secret("bek", "x")
    deleting = secrets.begin_delete_secret("bek", _polling_interval=0.1)
    deleting.wait()
    assert deleting.result().id == made.id
    secrets.begin_recover_deleted_secret("bek", _polling_interval=0.1).wait()
    assert secrets.get_secret("bek").value == "x"
    secrets.begin_delete_secret("bek", _polling_interval=0.1).wait()
    with pytest.raises(ResourceExistsError, match="deleted but recoverable"):
        secrets.set_secret("bek", "y")
    secrets.purge_deleted_secret("bek")
    time.sleep(0.1)
    assert secrets.set_secret("bek", "z").value == "z"


@pytest.mark.parametrize(
    ("kind", "name", "again"),
    [("keys", "kek", ("POST", "/keys/kek/create")), ("secrets", "bek", ("PUT", "/secrets/bek"))],
)
class TestBoth:
    """Keys and secrets, step by step."""

    def test_a_delete_is_answered_before_it_is_done(
        self, slow: RawClient, kind: str, name: str, again: tuple[str, str]
    ) -> None:
        deleted = slow.delete(f"/{kind}/{name}")
        assert deleted.status == 200
        assert deleted.document["recoveryId"] == f"{slow.vault.url}/deleted{kind}/{name}"
        assert "value" not in deleted.document
        assert slow.get(f"/{kind}/{name}").status == 404
        assert slow.get(f"/deleted{kind}/{name}").status == 404
        assert slow.get(f"/deleted{kind}").document["value"] == []
        _settle(slow)
        assert slow.get(f"/deleted{kind}/{name}").document == deleted.document
        assert len(slow.get(f"/deleted{kind}").document["value"]) == 1

    def test_what_is_deleted_is_not_deleted_again(
        self, slow: RawClient, kind: str, name: str, again: tuple[str, str]
    ) -> None:
        slow.delete(f"/{kind}/{name}")
        assert slow.delete(f"/{kind}/{name}").status == 404
        _settle(slow)
        assert slow.delete(f"/{kind}/{name}").status == 404

    def test_a_name_is_not_used_again_before_its_purge_is_done(
        self, slow: RawClient, kind: str, name: str, again: tuple[str, str]
    ) -> None:
        document = {"kty": "EC", "value": "y"}

        def create() -> tuple[int, str | None]:
            reply = slow.send(*again, document)
            return reply.status, None if reply.status == 200 else reply.inner

        slow.delete(f"/{kind}/{name}")
        assert create() == (409, "ObjectIsBeingDeleted")
        _settle(slow)
        assert create() == (409, "ObjectIsDeletedButRecoverable")
        slow.post(f"/deleted{kind}/{name}/recover")
        assert create() == (409, "ObjectIsBeingRecovered")
        _settle(slow)
        assert create() == (200, None)
        slow.delete(f"/{kind}/{name}")
        _settle(slow)
        assert slow.delete(f"/deleted{kind}/{name}").status == 204
        assert create() == (409, "ObjectIsBeingDeleted")
        _settle(slow)
        assert create() == (200, None)

    def test_a_recovery_takes_its_time(
        self, slow: RawClient, kind: str, name: str, again: tuple[str, str]
    ) -> None:
        slow.delete(f"/{kind}/{name}")
        assert slow.post(f"/deleted{kind}/{name}/recover").status == 404
        _settle(slow)
        assert slow.post(f"/deleted{kind}/{name}/recover").status == 200
        assert slow.get(f"/{kind}/{name}").status == 404
        both = slow.post(f"/deleted{kind}/{name}/recover"), slow.delete(f"/deleted{kind}/{name}")
        for reply in both:
            assert (reply.status, reply.code) == (409, "Conflict")
        _settle(slow)
        assert slow.get(f"/{kind}/{name}").status == 200
        assert slow.get(f"/deleted{kind}/{name}").status == 404

    def test_what_is_deleted_goes_by_itself_in_the_end(
        self, slow: RawClient, kind: str, name: str, again: tuple[str, str]
    ) -> None:
        slow.delete(f"/{kind}/{name}")
        slow.vault.clock.advance(timedelta(days=89))
        assert slow.get(f"/deleted{kind}/{name}").status == 200
        slow.vault.clock.advance(timedelta(days=1))
        assert slow.get(f"/deleted{kind}/{name}").status == 404
        assert slow.send(*again, {"kty": "EC", "value": "y"}).status == 200

    def test_what_is_not_deleted_is_not_recovered_and_not_purged(
        self, slow: RawClient, kind: str, name: str, again: tuple[str, str]
    ) -> None:
        for reply in (
            slow.get(f"/deleted{kind}/{name}"),
            slow.post(f"/deleted{kind}/{name}/recover"),
            slow.delete(f"/deleted{kind}/{name}"),
        ):
            assert reply.status == 404
            assert "not found" in reply.document["error"]["message"]


def test_purge_protection_keeps_what_is_deleted() -> None:
    with (
        KeyVault(purge_protection=True, recoverable_days=7, delay=0) as vault,
        RawClient(vault) as client,
    ):
        made = client.create("kek")
        assert made["attributes"]["recoveryLevel"] == "CustomizedRecoverable"
        assert made["attributes"]["recoverableDays"] == 7
        client.delete("/keys/kek")
        reply = client.delete("/deletedkeys/kek")
        assert (reply.status, reply.inner) == (403, "ForbiddenByPolicy")
        vault.clock.advance(timedelta(days=7))
        assert client.get("/deletedkeys/kek").status == 404


def test_the_days_are_7_to_90() -> None:
    for days in (6, 91):
        with pytest.raises(ValueError, match="days"):
            KeyVault(recoverable_days=days)


def test_a_rotation_policy_ends_with_its_key() -> None:
    with KeyVault(delay=0) as vault, RawClient(vault) as client:
        client.create("kek")
        action = {"action": {"type": "Rotate"}, "trigger": {"timeAfterCreate": "P7D"}}
        client.put("/keys/kek/rotationpolicy", {"lifetimeActions": [action]})
        client.delete("/keys/kek")
        client.post("/deletedkeys/kek/recover")
        assert action in client.get("/keys/kek/rotationpolicy").document["lifetimeActions"]
        client.delete("/keys/kek")
        client.delete("/deletedkeys/kek")
        client.create("kek")
        assert action not in client.get("/keys/kek/rotationpolicy").document["lifetimeActions"]
