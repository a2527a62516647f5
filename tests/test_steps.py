"""Work in steps: side by side, each with an outcome of its own, and nothing left open."""

from __future__ import annotations

import pytest

from keyhier.errors import NotFoundError
from keyhier.steps import Steps, abreast, finish


def _work(
    name: str, told: list[str], fail_at: int = 3, error: BaseException | None = None
) -> Steps[str]:
    """Three steps, one of which may fail."""
    try:
        for step in range(3):
            if step == fail_at and error is not None:
                raise error
            told.append(f"{name}{step}")
            if step < 2:
                yield
    finally:
        told.append(f"{name} ended")
    return name


def test_work_is_finished_from_wherever_it_paused() -> None:
    told: list[str] = []
    work = _work("a", told)
    next(work)
    assert finish(work) == "a"
    assert told == ["a0", "a1", "a2", "a ended"]


def test_every_step_is_done_of_all_before_the_next_of_any() -> None:
    told: list[str] = []
    outcomes = abreast([_work("a", told), _work("b", told)])
    assert [outcome.result() for outcome in outcomes] == ["a", "b"]
    assert [one for one in told if "ended" not in one] == ["a0", "b0", "a1", "b1", "a2", "b2"]


@pytest.mark.parametrize("step", [0, 1, 2])
def test_what_fails_spoils_no_other_and_outcomes_come_in_order(step: int) -> None:
    told: list[str] = []
    error = NotFoundError("gone")
    works = [_work("a", told), _work("b", told, step, error), _work("c", told)]
    outcomes = abreast(works)
    assert [outcome.index for outcome in outcomes] == [0, 1, 2]
    assert [outcome.value for outcome in outcomes] == ["a", None, "c"]
    assert outcomes[1].error is error
    assert error.__context__ is None


def test_what_is_no_outcome_ends_all_and_closes_what_they_hold() -> None:
    told: list[str] = []
    works = [_work("a", told), _work("b", told, 1, ValueError("a mistake")), _work("c", told)]
    with pytest.raises(ValueError, match="a mistake"):
        abreast(works)
    assert told[3:] == ["a1", "b ended", "a ended", "c ended"]


def test_of_nothing_nothing_comes() -> None:
    assert abreast([]) == []
