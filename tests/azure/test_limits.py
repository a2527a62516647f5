"""The vault's limits: kept to, and waited for where others use them up; and times that run out."""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

import pytest

from keyhier.errors import ThrottledError, UnavailableError

if TYPE_CHECKING:
    import keyhier
    from keyhier.testing.keyvault import KeyVault
    from tests.azure.conftest import OpenVault


def test_a_429_is_waited_for_though_it_says_not_how_long(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    wrapped = vault.create_key("kek", "RSA-2048").wrap(b"secret")
    keyvault.faults.add("unwrap_key", status=429)
    began = time.monotonic()
    with vault.unwrap(wrapped) as opened:
        assert opened == b"secret"
    assert time.monotonic() - began >= 1.0
    assert keyvault.requests.count("unwrap_key") == 2


@pytest.mark.parametrize(
    ("headers", "delays"),
    [({}, [1, 2, 4, 8, 16]), ({"Retry-After": "7"}, [7, 7, 7, 8, 16])],
)
def test_a_429_is_waited_for_five_times_each_time_twice_as_long_and_a_little_at_random(
    keyvault: KeyVault,
    open_vault: OpenVault,
    monkeypatch: pytest.MonkeyPatch,
    headers: dict[str, str],
    delays: list[float],
) -> None:
    vault = open_vault(keyvault, budget="off")
    wrapped = vault.create_key("kek", "RSA-2048").wrap(b"secret")
    keyvault.faults.add("unwrap_key", status=429, headers=headers, times=None)
    waited: list[float] = []
    # Half a minute of which nothing else is to be seen.
    monkeypatch.setattr(time, "sleep", waited.append)
    with pytest.raises(ThrottledError) as caught:
        vault.unwrap(wrapped)
    assert keyvault.requests.count("unwrap_key", 429) == 6
    assert caught.value.retry_after == (7.0 if headers else None)
    assert len(waited) == len(delays)
    for seconds, delay in zip(waited, delays, strict=True):
        assert delay <= seconds <= 1.25 * delay
    assert set(waited).isdisjoint({8.0, 16.0})


def test_a_longer_retry_after_is_kept_to(keyvault: KeyVault, open_vault: OpenVault) -> None:
    vault = open_vault(keyvault, budget="off")
    wrapped = vault.create_key("kek", "RSA-2048").wrap(b"secret")
    keyvault.faults.add("unwrap_key", status=429, headers={"Retry-After": "2"})
    began = time.monotonic()
    with vault.unwrap(wrapped) as opened:
        assert opened == b"secret"
    assert time.monotonic() - began >= 2.0


def test_who_has_no_time_for_the_budget_is_told_at_once(
    keyvault: KeyVault, open_vault: OpenVault
) -> None:
    wrapped = open_vault(keyvault).create_key("kek", "RSA-4096").wrap(b"secret")
    vault = open_vault(keyvault, budget="0.01")
    vault.key("kek")
    began = time.monotonic()
    with pytest.raises(ThrottledError, match="limits"):
        deque((vault.unwrap(wrapped, timeout=0.5) for _ in range(10)), maxlen=0)
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("by", ["uri", "call"])
def test_a_vault_that_does_not_answer_is_given_up(
    keyvault: KeyVault, open_vault: OpenVault, by: str
) -> None:
    vault = open_vault(keyvault, **({"timeout": "0.5"} if by == "uri" else {}))
    wrapped = open_vault(keyvault).create_key("kek", "RSA-2048").wrap(b"secret")
    keyvault.faults.add("unwrap_key", delay=3.0)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="in time"):
        vault.unwrap(wrapped, timeout=None if by == "uri" else 0.5)
    assert time.monotonic() - began < 2.5


def test_a_time_that_is_over_before_the_request_sends_nothing(
    keyvault: KeyVault, vault: keyhier.Vault
) -> None:
    key = vault.create_key("kek", "RSA-2048")
    wrapped = key.wrap(b"secret")
    keyvault.requests.clear()
    with pytest.raises(UnavailableError, match="no time left"):
        key.unwrap(wrapped, timeout=1e-9)
    assert keyvault.requests.count() == 0
