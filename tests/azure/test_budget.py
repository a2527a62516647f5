"""The budget keeps within what a vault publishes, in any ten seconds."""

from __future__ import annotations

import pytest

from keyhier.algorithms import KeySpec
from keyhier_azure.budget import KEY_CREATION, OTHER, PERIOD_SECONDS, Budget, cost_of_key


class Clock:
    """A clock that only moves when somebody waits."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def spend(budget: Budget, clock: Clock, cost: float, times: int) -> list[float]:
    """Return when each of so many operations may begin, one after the other."""
    begun = []
    for _ in range(times):
        delay = budget.reserve(cost, float("inf"))
        assert delay is not None
        clock.now += delay
        begun.append(clock.now)
    return begun


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
@pytest.mark.parametrize("limit", [20, 250, 4000])
def test_no_ten_seconds_see_more_than_the_limit(share: float, limit: int, clock: Clock) -> None:
    begun = spend(Budget(share, clock), clock, 1 / limit, 3 * limit)
    for first, moment in enumerate(begun):
        following = begun[first + limit + 1 :]
        assert not following or following[0] - moment >= PERIOD_SECONDS * 0.999


@pytest.mark.parametrize("share", [0.5, 0.9, 1.0])
def test_the_share_of_the_limit_is_used(share: float, clock: Clock) -> None:
    begun = spend(Budget(share, clock), clock, 1 / 1000, 3000)
    assert 3000 / (begun[-1] - begun[0]) >= share * 1000 / PERIOD_SECONDS


def test_operations_of_different_cost_are_added_up(clock: Clock) -> None:
    budget = Budget(1.0, clock)
    spend(budget, clock, cost_of_key(KeySpec.RSA_4096, hsm=True), 125)
    spend(budget, clock, cost_of_key(KeySpec.RSA_2048, hsm=True), 1000)
    assert clock.now - 100 == pytest.approx(PERIOD_SECONDS, rel=0.01)


def test_nothing_is_taken_where_there_is_not_the_patience(clock: Clock) -> None:
    budget = Budget(0.9, clock)
    while budget.reserve(KEY_CREATION[True], 0.0) is not None:
        pass
    delay = budget.reserve(KEY_CREATION[True], float("inf"))
    assert delay is not None
    assert delay > 0
    clock.now += 100
    assert budget.reserve(KEY_CREATION[True], 0.0) == 0.0


def test_a_pause_is_for_everybody(clock: Clock) -> None:
    budget = Budget(0.9, clock)
    budget.pause(5.0)
    assert budget.reserve(OTHER, float("inf")) == pytest.approx(5.0, abs=0.01)


def test_larger_keys_and_keys_in_an_hsm_cost_more() -> None:
    costs = [
        cost_of_key(spec, hsm=hsm)
        for spec in (KeySpec.RSA_2048, KeySpec.RSA_3072, KeySpec.RSA_4096)
        for hsm in (False, True)
    ]
    assert [round(1 / cost) for cost in costs] == [4000, 2000, 1000, 500, 500, 250]
    assert cost_of_key(KeySpec.AES_256, hsm=True) == OTHER
    assert [round(1 / cost) for cost in KEY_CREATION.values()] == [20, 10]
