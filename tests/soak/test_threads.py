"""Threads of mixed use on every module: no crash, no wrong value, no lost key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

import keyhier
from tests.soak.children import told_by
from tests.soak.mixed_use import PREFIX

if TYPE_CHECKING:
    from tests.soak.scale import Figures, Scale

START_SECONDS = 120


@pytest.fixture(params=["softhsm_token", "nss_token", "opencryptoki_token"])
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    """The URI of a token, from which the keys of the test are deleted afterwards."""
    uri: str = request.getfixturevalue(request.param).uri
    yield uri
    with keyhier.open(uri) as vault:
        for key in list(vault.keys()):
            if key.name.startswith(PREFIX):
                key.delete(confirm=key.name)


@pytest.mark.parametrize("threads", [2, 4, 8])
def test_threads_that_do_everything_crash_nothing_and_get_and_lose_nothing_wrong(
    uri: str, threads: int, scale: Scale, figures: Figures, request: pytest.FixtureRequest
) -> None:
    told = told_by(
        "mixed_use",
        patience=START_SECONDS + 2 * scale.seconds,
        URI=uri,
        THREADS=str(threads),
        SECONDS=str(scale.seconds),
    )
    assert told["failures"] == {}
    assert told["lost"] == []
    assert told["kept"] > 0
    assert len(told["done"]) == 7
    module = request.node.callspec.params["uri"].removesuffix("_token")
    figures(
        f"{module}: {threads} threads, {scale.seconds:g} s",
        f"{sum(told['done'].values()):,} operations, {told['kept']} keys kept; none failed",
    )
