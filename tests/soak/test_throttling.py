"""A batch against a Key Vault that enforces its published limits: none lost, and no time wasted."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

import keyhier
from keyhier.testing.keyvault.throttling import PUBLISHED
from tests.azure.environment import logged_in_as
from tests.cli.conftest import COMMAND

if TYPE_CHECKING:
    from tests.soak.scale import Figures, Scale


@pytest.fixture
def throttling() -> Iterator[dict[str, Any]]:
    """A vault in a process of its own, which shall not wait for the one that uses it."""
    command = [str(COMMAND), "keyvault", "serve", "--json", "--throttle"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


# Beyond it, the vault and the client on two processors are what decides, and not the limit.
_FEASIBLE = 2000


def _limited(count: int) -> tuple[str, str, int]:
    """Return the spec and protection of the keys whose limit so many operations just exceed."""
    most = min(count / 1.15, _FEASIBLE)
    limits = {name: limit for name, limit in PUBLISHED.by_key.items() if limit <= most}
    name, limit = max(limits.items(), key=lambda item: item[1])
    return f"RSA-{name[-4:]}", "hsm" if "HSM" in name else "software", limit


def test_batches_at_the_limit_lose_nothing_and_take_no_longer_than_it_demands(
    throttling: dict[str, Any], scale: Scale, figures: Figures
) -> None:
    for count in scale.throttled:
        spec, protection, limit = _limited(count)
        uri = f"{throttling['url']}?ca-file={throttling['ca_file']}&protection={protection}"
        with logged_in_as(throttling), keyhier.open(uri) as vault:
            key = vault.create_key(f"kek-{count}", spec)
            wrapped = [str(key.wrap(b"secret")) for _ in range(count)]
            began = time.monotonic()
            failed = 0
            for outcome in vault.unwrap_many((each, None) for each in wrapped):
                failed += outcome.error is not None
                if outcome.value is not None:
                    assert outcome.value == b"secret"
                    outcome.value.wipe()
            took = time.monotonic() - began
        allowed = count * PUBLISHED.seconds / limit
        figures(
            f"{count:,} unwraps with {spec} ({protection}), at most {limit:,} in 10 s",
            f"{failed} failed, {took:.1f} s: {allowed / took:.2f} of what the limit allows",
        )
        assert failed == 0
        assert allowed / took >= 0.9
