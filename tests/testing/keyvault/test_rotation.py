"""Rotation: by request, and by a policy as the clock passes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from azure.keyvault.keys import (
    KeyClient,
    KeyRotationLifetimeAction,
    KeyRotationPolicy,
    KeyRotationPolicyAction,
)
from hypothesis import given
from hypothesis import strategies as st

from keyhier.testing.keyvault import KeyVault
from keyhier.testing.keyvault.rotation import Duration
from tests.testing.keyvault.jwks import members
from tests.testing.keyvault.raw_client import RawClient

ROTATE = KeyRotationPolicyAction.rotate


def _policy(expiry: str | None = None, **trigger: str) -> dict[str, Any]:
    return {
        "attributes": {"expiryTime": expiry},
        "lifetimeActions": [{"action": {"type": "rotate"}, "trigger": trigger}],
    }


def test_a_rotation_makes_a_version_of_the_same_kind(keys: KeyClient) -> None:
    first = keys.create_ec_key("signer", curve="P-384", key_operations=["verify"], tags={"a": "1"})
    second = keys.rotate_key("signer")
    assert second.properties.version != first.properties.version
    assert (members(second).crv, second.key_operations) == ("P-384", ["verify"])
    assert second.properties.tags == {"a": "1"}
    assert members(second).x != members(first).x


def test_rsa_and_aes_keys_keep_their_size(raw: RawClient, hsm: RawClient) -> None:
    raw.import_rsa("kek")
    first, second = (raw.get("/keys/kek"), raw.post("/keys/kek/rotate"))
    assert len(first.document["key"]["n"]) == len(second.document["key"]["n"])
    assert first.document["key"]["n"] != second.document["key"]["n"]
    hsm.create("kek", "oct-HSM", key_size=128)
    hsm.post("/keys/kek/rotate")
    sent = {"alg": "A128KW", "value": "A" * 22}
    assert hsm.post("/keys/kek/wrapkey", sent).status == 200


def test_a_notification_is_kept_as_it_is_given(raw: RawClient) -> None:
    raw.create("signer")
    notify = {"trigger": {"timeBeforeExpiry": "P10D"}, "action": {"type": "Notify"}}
    policy = raw.put("/keys/signer/rotationpolicy", {"lifetimeActions": [notify]}).document
    assert policy["lifetimeActions"] == [notify]


def test_a_key_begins_with_a_policy_that_only_notifies(keys: KeyClient) -> None:
    keys.create_ec_key("signer")
    policy = keys.get_key_rotation_policy("signer")
    assert [action.action for action in policy.lifetime_actions] == ["Notify"]
    assert policy.expires_in is None


def test_a_policy_is_kept_and_gives_new_versions_their_expiry(keys: KeyClient) -> None:
    keys.create_ec_key("signer")
    action = KeyRotationLifetimeAction(ROTATE, time_after_create="P30D")
    policy = keys.update_key_rotation_policy(
        "signer", KeyRotationPolicy(lifetime_actions=[action], expires_in="P90D")
    )
    assert policy.expires_in == "P90D"
    assert policy.created_on == policy.updated_on
    rotated = keys.rotate_key("signer").properties
    assert rotated.expires_on is not None
    assert rotated.created_on is not None
    assert rotated.expires_on - rotated.created_on == timedelta(days=90)


def test_a_key_rotates_by_itself_as_the_clock_passes(keys: KeyClient, keyvault: KeyVault) -> None:
    first = keys.create_ec_key("signer").properties
    action = KeyRotationLifetimeAction(ROTATE, time_after_create="P30D")
    keys.update_key_rotation_policy(
        "signer", KeyRotationPolicy(lifetime_actions=[action], expires_in="P90D")
    )
    keyvault.clock.advance(timedelta(days=29))
    assert keys.get_key("signer").properties.version == first.version
    keyvault.clock.advance(timedelta(days=62))
    created = {
        each.created_on: each.version
        for each in keys.list_properties_of_key_versions("signer")
        if each.created_on
    }
    times = sorted(created)
    assert [after - before for before, after in pairwise(times)] == [timedelta(days=30)] * 3
    assert keys.get_key("signer").properties.version == created[times[-1]]


def test_a_listing_shows_what_was_rotated_meanwhile(raw: RawClient) -> None:
    raw.create("signer")
    raw.put("/keys/signer/rotationpolicy", _policy(timeAfterCreate="P7D"))
    before = raw.get("/keys").document["value"][0]["attributes"]["created"]
    raw.vault.clock.advance(timedelta(days=8))
    after = raw.get("/keys").document["value"][0]["attributes"]["created"]
    assert after - before == 7 * 86_400


def test_a_key_rotates_before_it_expires(raw: RawClient) -> None:
    raw.create("signer", attributes={"exp": int(raw.vault.clock.now()) + 40 * 86_400})
    raw.put("/keys/signer/rotationpolicy", _policy("P60D", timeBeforeExpiry="P30D"))
    raw.vault.clock.advance(timedelta(days=11))
    assert len(raw.get("/keys/signer/versions").document["value"]) == 2


def test_a_key_that_never_expires_does_not_rotate_before_that(raw: RawClient) -> None:
    raw.create("signer")
    raw.put("/keys/signer/rotationpolicy", _policy("P60D", timeBeforeExpiry="P30D"))
    raw.vault.clock.advance(timedelta(days=3650))
    assert len(raw.get("/keys/signer/versions").document["value"]) == 1


def test_a_changed_policy_keeps_the_time_of_the_first(raw: RawClient) -> None:
    raw.create("signer")
    first = raw.put("/keys/signer/rotationpolicy", _policy(timeAfterCreate="P7D")).document
    raw.vault.clock.advance(10)
    second = raw.put("/keys/signer/rotationpolicy", _policy(timeAfterCreate="P1Y")).document
    assert second["attributes"]["created"] == first["attributes"]["created"]
    assert second["attributes"]["updated"] > first["attributes"]["updated"]
    assert raw.get("/keys/signer/rotationpolicy").document == second


@pytest.mark.parametrize(
    "wrong",
    [
        _policy(timeAfterCreate="P6D"),
        _policy("P6D", timeAfterCreate="P7D"),
        _policy(timeAfterCreate="7 days"),
        _policy(timeAfterCreate="P"),
        _policy(timeBeforeExpiry="P30D"),
        _policy("P1M", timeBeforeExpiry="P30D"),
        _policy("P90D", timeAfterCreate="P7D", timeBeforeExpiry="P7D"),
        _policy("P90D"),
        _policy(sometimes="P7D"),
        {"attributes": "P90D"},
        {"lifetimeActions": {"action": "Rotate"}},
        {"lifetimeActions": [{"action": {"type": "bake"}, "trigger": {"timeAfterCreate": "P7D"}}]},
        {"lifetimeActions": _policy(timeAfterCreate="P7D")["lifetimeActions"] * 2},
    ],
)
def test_a_policy_that_is_none_is_refused(raw: RawClient, wrong: object) -> None:
    raw.create("signer")
    before = raw.get("/keys/signer/rotationpolicy").document
    reply = raw.put("/keys/signer/rotationpolicy", wrong)
    assert (reply.status, reply.code) == (400, "BadParameter")
    assert raw.get("/keys/signer/rotationpolicy").document == before


def test_a_managed_hsm_wants_28_days(hsm: RawClient) -> None:
    hsm.create("signer", "EC-HSM")
    path = "/keys/signer/rotationpolicy"
    assert hsm.put(path, _policy(timeAfterCreate="P27D")).status == 400
    assert hsm.put(path, _policy(timeAfterCreate="P28D")).status == 200


def test_months_and_years_are_those_of_the_calendar() -> None:
    start = datetime(2024, 1, 31, 12, tzinfo=UTC)
    for text, end in (
        ("P1M", datetime(2024, 2, 28, 12, tzinfo=UTC)),
        ("P1Y2M", datetime(2025, 3, 28, 12, tzinfo=UTC)),
        ("P2W1D", datetime(2024, 2, 15, 12, tzinfo=UTC)),
    ):
        assert Duration.parse(text).after(start.timestamp()) == end.timestamp()


@given(
    st.integers(0, 30),
    st.integers(0, 40),
    st.integers(0, 400),
    st.integers(946_684_800, 2_000_000_000),
)
def test_a_duration_is_between_its_least_and_its_most(
    years: int, months: int, days: int, moment: int
) -> None:
    duration = Duration.parse(f"P{years}Y{months}M{days}D")
    # A month that is cut to its 28th day may be three days short.
    least = (duration.least_days - 3) * 86_400
    assert least <= duration.after(moment) - moment <= duration.most_days * 86_400
