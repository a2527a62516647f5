"""A batch goes on while its HSM is killed, frozen and restarted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.soak.children import told_by

if TYPE_CHECKING:
    import pytest

    from keyhier.testing.p11_kit import NetworkHsm
    from tests.soak.scale import Figures, Scale

EVENTS = 6
RECOVERY_SECONDS = 5


def test_an_hsm_that_is_killed_stopped_and_restarted_spoils_no_item_of_a_batch(
    network_hsm: NetworkHsm,
    tmp_path_factory: pytest.TempPathFactory,
    scale: Scale,
    figures: Figures,
) -> None:
    # The program has an HSM of its own; that there is one here says that it can have one.
    assert network_hsm.socket.exists()
    # A socket's path has at most 107 characters, and this test has a long name.
    folder = str(tmp_path_factory.mktemp("hsm"))
    told = told_by(
        "lost_hsm", patience=120 + scale.items / 10, ITEMS=str(scale.items), TMPDIR=folder
    )
    assert told["wrong"] == 0
    assert told["errors"].keys() <= {"UnavailableError"}
    assert told["right"] + sum(told["errors"].values()) == scale.items
    assert told["right"] > scale.items / 2
    assert len(told["recoveries"]) == EVENTS
    assert max(told["recoveries"]) < RECOVERY_SECONDS
    failed = sum(told["errors"].values())
    figures(
        f"SoftHSM behind p11-kit-server: {scale.items:,} items of unwrap_many, the server twice "
        "each killed, stopped and restarted",
        f"{told['right']:,} right, {failed:,} UnavailableError, none wrong; the first value came "
        f"at most {1000 * max(told['recoveries']):.0f} ms after the server was back",
    )
