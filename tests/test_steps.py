"""Work in steps."""

from __future__ import annotations

from keyhier.steps import Steps, finish


def test_work_is_finished_from_wherever_it_paused() -> None:
    told: list[str] = []

    def work() -> Steps[str]:
        for step in "abc":
            told.append(step)
            yield
        return "done"

    steps = work()
    next(steps)
    assert finish(steps) == "done"
    assert told == ["a", "b", "c"]
