"""Secrets: set, shown, changed, versioned, backed up."""

from __future__ import annotations

import datetime as dt

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.secrets import SecretClient

from tests.testing.keyvault.raw_client import RawClient


def test_a_secret_is_set_and_got_with_its_content_type_and_tags(secrets: SecretClient) -> None:
    tags = {"DiskEncryptionKeyFileName": "LinuxPassPhraseFileName", "MachineName": ""}
    made = secrets.set_secret("bek", "välue", content_type="Wrapped BEK", tags=tags)
    got = secrets.get_secret("BEK")
    assert (got.id, got.value) == (made.id, "välue")
    assert (got.properties.content_type, got.properties.tags) == ("Wrapped BEK", tags)
    assert got.properties.recovery_level == "Recoverable+Purgeable"


def test_each_set_makes_a_version(secrets: SecretClient) -> None:
    made = [secrets.set_secret("bek", text).properties.version for text in ("a", "b", "c")]
    assert [v.version for v in secrets.list_properties_of_secret_versions("bek")] == made
    assert secrets.get_secret("bek").value == "c"
    assert secrets.get_secret("bek", made[0]).value == "a"


def test_an_update_replaces_what_it_names_and_nothing_else(secrets: SecretClient) -> None:
    made = secrets.set_secret("bek", "x", content_type="BEK", tags={"a": "1"})
    end = dt.datetime(2031, 1, 1, tzinfo=dt.UTC)
    changed = secrets.update_secret_properties("bek", expires_on=end)
    assert (changed.content_type, changed.tags, changed.expires_on) == ("BEK", {"a": "1"}, end)
    changed = secrets.update_secret_properties(
        "bek", made.properties.version, content_type="text", tags={}
    )
    assert (changed.content_type, changed.tags, changed.expires_on) == ("text", {}, end)
    assert secrets.get_secret("bek").value == "x"


def test_a_listing_shows_no_value(raw: RawClient) -> None:
    raw.put("/secrets/bek", {"value": "x", "contentType": "BEK", "tags": {"a": "1"}})
    (row,) = raw.get("/secrets").document["value"]
    assert row["id"] == f"{raw.vault.url}/secrets/bek"
    assert (row["contentType"], row["tags"]) == ("BEK", {"a": "1"})
    assert "value" not in row
    (row,) = raw.get("/secrets/bek/versions").document["value"]
    assert row["id"].startswith(f"{raw.vault.url}/secrets/bek/")


def test_a_disabled_secret_is_not_given_and_is_listed(secrets: SecretClient) -> None:
    secrets.set_secret("bek", "x", enabled=False)
    with pytest.raises(HttpResponseError, match="not allowed on a disabled secret") as error:
        secrets.get_secret("bek")
    assert error.value.status_code == 403
    assert [each.enabled for each in secrets.list_properties_of_secrets()] == [False]


def test_an_expired_secret_and_one_of_the_future_are_given(secrets: SecretClient) -> None:
    secrets.set_secret("old", "x", expires_on=dt.datetime(2001, 1, 1, tzinfo=dt.UTC))
    secrets.set_secret("new", "y", not_before=dt.datetime(2099, 1, 1, tzinfo=dt.UTC))
    assert (secrets.get_secret("old").value, secrets.get_secret("new").value) == ("x", "y")


def test_a_backup_is_restored_after_a_purge(secrets: SecretClient) -> None:
    for text in ("a", "b"):
        secrets.set_secret("bek", text, content_type="BEK", tags={"n": text})
    blob = secrets.backup_secret("bek")
    with pytest.raises(HttpResponseError, match="already exists"):
        secrets.restore_secret_backup(blob)
    secrets.begin_delete_secret("bek", _polling_interval=0.1).wait()
    with pytest.raises(HttpResponseError, match="deleted but recoverable"):
        secrets.restore_secret_backup(blob)
    secrets.purge_deleted_secret("bek", retry_total=0)


def test_a_backup_of_a_key_is_none_of_a_secret(raw: RawClient) -> None:
    raw.create("kek")
    blob = raw.post("/keys/kek/backup").document
    assert raw.post("/secrets/restore", blob).code == "BadParameter"


def test_a_backup_brings_back_every_version(raw: RawClient) -> None:
    for text in ("a", "b"):
        raw.put("/secrets/bek", {"value": text, "contentType": text})
    before = raw.get("/secrets/bek/versions").document
    blob = raw.post("/secrets/bek/backup").document
    raw.delete("/secrets/bek")
    raw.vault.clock.advance(1)
    raw.delete("/deletedsecrets/bek")
    raw.vault.clock.advance(1)
    assert raw.post("/secrets/restore", blob).status == 200
    assert raw.get("/secrets/bek/versions").document == before
    assert raw.get("/secrets/bek").document["value"] == "b"


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"value": "x" * 25_600}, 200),
        ({"value": "ä" * 12_800}, 200),
        ({"value": "x" * 25_601}, 400),
        ({"value": "ä" * 12_801}, 400),
        ({"value": ""}, 200),
        ({}, 400),
        ({"value": 1}, 400),
        ({"value": "x", "contentType": "c" * 255}, 200),
        ({"value": "x", "contentType": "c" * 256}, 400),
        ({"value": "x", "contentType": 1}, 400),
        ({"value": "x", "tags": {f"t{n}": "" for n in range(15)}}, 200),
        ({"value": "x", "tags": {f"t{n}": "" for n in range(16)}}, 400),
        ({"value": "x", "tags": {"n" * 512: "v" * 512}}, 200),
        ({"value": "x", "tags": {"n": "v" * 513}}, 400),
        ({"value": "x", "tags": {"n" * 513: "v"}}, 400),
    ],
)
def test_the_limits_are_those_of_the_service(
    raw: RawClient, document: dict[str, object], status: int
) -> None:
    reply = raw.put("/secrets/bek", document)
    assert reply.status == status
    assert raw.get("/secrets/bek").status == (200 if status == 200 else 404)


def test_what_is_not_there_is_not_found(raw: RawClient) -> None:
    for reply in (
        raw.get("/secrets/bek"),
        raw.patch("/secrets/bek", {}),
        raw.delete("/secrets/bek"),
        raw.get("/secrets/bek/versions"),
        raw.post("/secrets/bek/backup"),
    ):
        assert (reply.status, reply.code) == (404, "SecretNotFound")
