"""Faults, counters and throttling."""

from __future__ import annotations

import http.client
import time

import pytest
from azure.core.exceptions import HttpResponseError, ServiceResponseError
from azure.keyvault.keys import KeyClient

from keyhier.testing.keyvault import KeyVault
from keyhier.testing.keyvault.throttling import PUBLISHED, Limits
from tests.testing.keyvault.raw_client import RawClient

DROPPED = (http.client.RemoteDisconnected, ConnectionResetError)


def test_a_status_is_answered_at_the_nth_call_and_nothing_is_done(raw: RawClient) -> None:
    raw.vault.faults.add("set_secret", nth=2, times=2, status=503, headers={"Retry-After": "1"})
    statuses = [raw.put(f"/secrets/s{n}", {"value": "x"}).status for n in range(4)]
    assert statuses == [200, 503, 503, 200]
    names = [row["id"][-2:] for row in raw.get("/secrets").document["value"]]
    assert names == ["s0", "s3"]


def test_a_fault_brings_its_headers_and_body(raw: RawClient) -> None:
    raw.vault.faults.add(
        "get_key", status=429, headers={"Retry-After": "7"}, document={"error": {"code": "X"}}
    )
    reply = raw.get("/keys/kek")
    assert (reply.status, reply.headers["Retry-After"], reply.code) == (429, "7", "X")
    assert "x-ms-request-id" in reply.headers
    raw.create("kek")
    raw.vault.faults.add("get_key", headers={"x-ms-keyvault-region": "chinaeast2"})
    reply = raw.get("/keys/kek")
    assert (reply.status, reply.headers["x-ms-keyvault-region"]) == (200, "chinaeast2")


def test_a_fault_of_every_route_meets_every_call_until_it_is_cleared(raw: RawClient) -> None:
    raw.vault.faults.add(times=None, status=500)
    assert {raw.get(path).status for path in ("/keys", "/secrets", "/keys/kek")} == {500}
    raw.vault.faults.clear()
    assert raw.get("/keys").status == 200


def test_a_connection_is_dropped_before_anything_is_done(raw: RawClient) -> None:
    raw.vault.faults.add("set_secret", drop="before")
    with pytest.raises(DROPPED):
        raw.put("/secrets/bek", {"value": "x"})
    assert raw.get("/secrets/bek").status == 404
    assert raw.vault.requests.count("set_secret", 0) == 1


def test_a_connection_is_dropped_after_all_was_done(raw: RawClient) -> None:
    raw.vault.faults.add("set_secret", drop="after")
    with pytest.raises(DROPPED):
        raw.put("/secrets/bek", {"value": "x"})
    assert raw.get("/secrets/bek").document["value"] == "x"


def test_an_answer_is_slow(raw: RawClient) -> None:
    raw.vault.faults.add("list_keys", delay=0.3)
    began = time.monotonic()
    assert raw.get("/keys").status == 200
    assert time.monotonic() - began >= 0.3


def test_a_challenge_meets_no_fault(keys: KeyClient, keyvault: KeyVault) -> None:
    keyvault.faults.add("create_key", status=400)
    with pytest.raises(HttpResponseError, match="PlannedFault"):
        keys.create_ec_key("kek")
    assert keyvault.requests.count("create_key", 401) == 1


def test_the_client_meets_a_dropped_connection(keys: KeyClient, keyvault: KeyVault) -> None:
    keys.create_ec_key("kek")
    keyvault.faults.add("get_key", drop="before", times=None)
    with pytest.raises(ServiceResponseError):
        keys.get_key("kek", retry_total=0)


def test_a_route_that_is_none_is_told(keyvault: KeyVault) -> None:
    with pytest.raises(ValueError, match="unwrap"):
        keyvault.faults.add("unwrap")
    with pytest.raises(ValueError, match="drop"):
        keyvault.faults.add("get_key", drop="drop")


def test_requests_are_counted_by_route_and_status(raw: RawClient) -> None:
    raw.create("kek")
    for _ in range(3):
        raw.get("/keys/kek")
    raw.get("/keys/other")
    raw.get("/nothing")
    requests = raw.vault.requests
    assert requests.count() == 6
    assert requests.count("get_key") == 4
    assert requests.count("get_key", 404) == 1
    assert requests.count(status=404) == 2
    assert requests.all()[0].route == "create_key"
    requests.clear()
    assert requests.count() == 0


def test_there_are_no_limits_unless_they_are_asked_for(raw: RawClient) -> None:
    for _ in range(30):
        raw.create("signer")
    assert raw.vault.requests.count(status=429) == 0


def test_the_published_limits_stop_the_creation_of_keys(raw: RawClient) -> None:
    raw.vault.throttle()
    statuses = [raw.post("/keys/k/create", {"kty": "EC-HSM"}).status for _ in range(12)]
    assert statuses == [200] * PUBLISHED.creation["HSM"] + [429] * 2
    assert raw.post("/keys/k/rotate").status == 429
    # Keys in software have a count of their own.
    assert raw.post("/keys/k/create", {"kty": "EC"}).status == 200
    assert raw.post("/keys/k/rotate").status == 200


def test_a_refusal_says_nothing_of_when_to_come_again(raw: RawClient) -> None:
    raw.vault.throttle(Limits(by_key={}, creation={}, other=0))
    reply = raw.get("/keys")
    assert (reply.status, reply.code) == (429, "Throttled")
    assert "VaultRequestTypeLimitReached" in reply.document["error"]["message"]
    assert "Retry-After" not in reply.headers


def test_operations_are_counted_by_the_type_and_size_of_their_key(raw: RawClient) -> None:
    raw.import_rsa("kek")
    raw.import_rsa("hard", Hsm=True)
    raw.vault.throttle(
        Limits(by_key={"RSA-2048": 2, "RSA-HSM-2048": 1}, creation={}, other=3, seconds=60)
    )
    sent = {"alg": "RSA-OAEP", "value": "AAAA"}
    assert [raw.post("/keys/kek/wrapkey", sent).status for _ in range(3)] == [200, 200, 429]
    assert [raw.post("/keys/hard/wrapkey", sent).status for _ in range(2)] == [200, 429]
    others = ["/secrets", "/keys", "/keys/missing", "/keys"]
    assert [raw.get(path).status for path in others] == [200, 200, 404, 429]
    raw.vault.throttle(None)
    assert raw.get("/keys").status == 200


def test_a_new_window_begins_in_time(raw: RawClient) -> None:
    raw.vault.throttle(Limits(by_key={}, creation={}, other=1, seconds=0.3))
    assert [raw.get("/keys").status for _ in range(2)] == [200, 429]
    time.sleep(0.35)
    assert raw.get("/keys").status == 200


def test_the_published_limits_are_those_of_the_facts() -> None:
    assert PUBLISHED.by_key == {
        "RSA-2048": 4000,
        "RSA-HSM-2048": 2000,
        "RSA-3072": 1000,
        "RSA-HSM-3072": 500,
        "RSA-4096": 500,
        "RSA-HSM-4096": 250,
    }
    assert (PUBLISHED.other, PUBLISHED.seconds) == (4000, 10)


def test_two_vaults_know_nothing_of_one_another(keyvault: KeyVault) -> None:
    with KeyVault() as other, RawClient(keyvault) as one, RawClient(other) as two:
        one.put("/secrets/bek", {"value": "x"})
        assert two.get("/secrets/bek").status == 404
        two.token = one.token
        assert two.get("/secrets/bek").status == 401
