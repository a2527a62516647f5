"""What enabled, nbf and exp allow, as the service has it and as its clock passes."""

from __future__ import annotations

import pytest

from keyhier import base64url
from tests.testing.keyvault.jwks import ec_jwk
from tests.testing.keyvault.raw_client import RawClient, Reply

DIGEST = base64url.encode(bytes(32))
DAY = 86_400


def _after(raw: RawClient, seconds: float) -> int:
    return int(raw.vault.clock.now() + seconds)


def _made(raw: RawClient) -> dict[str, str]:
    """Make a key, and all that it needs to undo later."""
    raw.import_rsa("kek")
    answers = {
        verb: raw.post(f"/keys/kek/{verb}", {"alg": algorithm, "value": DIGEST}).document["value"]
        for verb, algorithm in (("wrapkey", "RSA-OAEP"), ("encrypt", "RSA-OAEP"), ("sign", "RS256"))
    }
    return {
        "unwrapkey": answers["wrapkey"],
        "decrypt": answers["encrypt"],
        "verify": answers["sign"],
    }


def _all(raw: RawClient, made: dict[str, str]) -> dict[str, Reply]:
    wraps = {"alg": "RSA-OAEP", "value": DIGEST}
    return {
        "encrypt": raw.post("/keys/kek/encrypt", wraps),
        "wrapkey": raw.post("/keys/kek/wrapkey", wraps),
        "sign": raw.post("/keys/kek/sign", {"alg": "RS256", "value": DIGEST}),
        "decrypt": raw.post("/keys/kek/decrypt", wraps | {"value": made["decrypt"]}),
        "unwrapkey": raw.post("/keys/kek/unwrapkey", wraps | {"value": made["unwrapkey"]}),
        "verify": raw.post(
            "/keys/kek/verify", {"alg": "RS256", "digest": DIGEST, "value": made["verify"]}
        ),
    }


@pytest.mark.parametrize(
    ("attribute", "seconds", "inner"),
    [("exp", -DAY, "KeyExpired"), ("nbf", DAY, "KeyNotYetValid")],
)
def test_outside_its_validity_a_key_undoes_and_does_nothing_new(
    raw: RawClient, attribute: str, seconds: int, inner: str
) -> None:
    made = _made(raw)
    raw.patch("/keys/kek", {"attributes": {attribute: _after(raw, seconds)}})
    replies = _all(raw, made)
    for verb in ("decrypt", "unwrapkey", "verify"):
        assert replies[verb].status == 200, verb
    for verb in ("encrypt", "wrapkey", "sign"):
        assert (replies[verb].status, replies[verb].inner) == (403, inner), verb


def test_a_disabled_key_does_nothing_and_is_shown(raw: RawClient) -> None:
    made = _made(raw)
    raw.patch("/keys/kek", {"attributes": {"enabled": False}})
    for reply in _all(raw, made).values():
        assert (reply.status, reply.code, reply.inner) == (403, "Forbidden", "KeyDisabled")
    assert raw.get("/keys/kek").document["attributes"]["enabled"] is False
    raw.patch("/keys/kek", {"attributes": {"enabled": True}})
    assert {reply.status for reply in _all(raw, made).values()} == {200}


def test_a_key_expires_as_the_clock_passes(raw: RawClient) -> None:
    raw.put("/keys/signer", {"key": ec_jwk(), "attributes": {"exp": _after(raw, DAY)}})
    sent = {"alg": "ES384", "value": base64url.encode(bytes(48))}
    assert raw.post("/keys/signer/sign", sent).status == 200
    raw.vault.clock.advance(DAY + 1)
    assert raw.post("/keys/signer/sign", sent).inner == "KeyExpired"
    raw.vault.clock.advance(-DAY)
    assert raw.post("/keys/signer/sign", sent).status == 200


def test_one_version_is_disabled_and_the_others_work(raw: RawClient) -> None:
    first = raw.import_rsa("kek")["key"]["kid"].removeprefix(raw.vault.url)
    raw.import_rsa("kek")
    raw.patch(first, {"attributes": {"enabled": False}})
    sent = {"alg": "RSA-OAEP", "value": DIGEST}
    assert raw.post(f"{first}/wrapkey", sent).inner == "KeyDisabled"
    assert raw.post("/keys/kek/wrapkey", sent).status == 200


def test_tokens_go_by_the_machines_clock_and_not_by_the_vaults(raw: RawClient) -> None:
    raw.vault.clock.advance(1000 * DAY)
    assert raw.get("/keys").status == 200
