"""The times of a key version: until when its description holds, and when it is to wrap."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from keyhier import Key, Vault
from keyhier.driver import KeyVersion
from keyhier.errors import InvalidStateError, NotFoundError
from tests.odd_vault import OddDriver

SECRET = b"what opens the disk"
NOW = datetime.now(UTC)
AN_HOUR = timedelta(hours=1)

each_spec = pytest.mark.parametrize("spec", ["RSA-2048", "AES-256"])
wraps = pytest.mark.parametrize(
    "wrap", [lambda key: key.wrap(bytes(32)), lambda key: key.wrap_raw(bytes(32))]
)


@pytest.fixture
def driver() -> OddDriver:
    return OddDriver()


@pytest.fixture
def vault(driver: OddDriver) -> Iterator[Vault]:
    with Vault(driver, uri="memory:") as vault:
        yield vault


@each_spec
@wraps
@pytest.mark.parametrize(
    ("times", "why"),
    [
        ({"expires": NOW - AN_HOUR}, "expired at 2"),
        ({"not_before": NOW + AN_HOUR}, "is not valid before 2"),
        ({"not_before": NOW - 2 * AN_HOUR, "expires": NOW - AN_HOUR}, "expired at 2"),
    ],
)
def test_a_version_out_of_its_time_unwraps_and_does_not_wrap(  # Three are data.
    times: dict[str, datetime],
    why: str,
    wrap: Callable[[Key], object],
    spec: str,
    driver: OddDriver,
    vault: Vault,
) -> None:
    key = vault.create_key("kek", spec)
    envelope, raw = key.wrap(SECRET), key.wrap_raw(bytes(32))
    driver.validity = dict(times)
    key.refresh()
    assert (key.not_before, key.expires) == (times.get("not_before"), times.get("expires"))
    with pytest.raises(InvalidStateError, match=why):
        wrap(key)
    assert key.unwrap(envelope) == SECRET
    assert vault.unwrap(envelope) == SECRET
    assert key.unwrap_raw(raw) == bytes(32)


@each_spec
@wraps
def test_a_version_in_its_time_wraps(
    wrap: Callable[[Key], object], spec: str, driver: OddDriver, vault: Vault
) -> None:
    driver.validity = {"not_before": NOW - AN_HOUR, "expires": NOW + 24 * AN_HOUR}
    wrap(vault.create_key("kek", spec))
    assert driver.asked == 0


@each_spec
@wraps
def test_a_description_that_is_too_old_is_asked_for_anew_before_a_wrap(
    wrap: Callable[[Key], object], spec: str, driver: OddDriver, vault: Vault
) -> None:
    driver.validity = {"fresh_until": time.monotonic() + 3600}
    key = vault.create_key("kek", spec)
    wrap(key)
    assert driver.asked == 0
    driver.validity = {"fresh_until": time.monotonic() - 1}
    key.refresh()
    asked = driver.asked
    driver.validity = {"fresh_until": time.monotonic() + 3600}
    wrap(key)
    wrap(key)
    assert driver.asked == asked + 1


@wraps
def test_what_somebody_else_disabled_or_purged_wraps_no_longer_than_its_description_holds(
    wrap: Callable[[Key], object], driver: OddDriver, vault: Vault
) -> None:
    driver.validity = {"fresh_until": time.monotonic() - 1}
    key = vault.create_key("kek", "RSA-2048")
    driver.validity = {"enabled": False}
    with pytest.raises(InvalidStateError, match="is disabled"):
        wrap(key)
    assert not key.enabled

    def gone(name: str, version: str | None = None) -> KeyVersion:
        raise NotFoundError(f"{name} is gone, and {version}")

    driver.validity = {"fresh_until": time.monotonic() - 1}
    key.refresh()
    driver.get_key = gone  # type: ignore[method-assign]  # The key was purged by somebody else.
    with pytest.raises(NotFoundError):
        wrap(key)
