"""Streams: in order, with bounded memory, and one bad item spoils no other."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from types import FrameType
from typing import Any, TypeAlias

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keyhier import batch
from keyhier.batch import Outcome, stream, stream_in_steps
from keyhier.errors import InvalidInputError, NotFoundError
from keyhier.secret import SecretBytes
from keyhier.steps import Steps

TraceFunction: TypeAlias = Callable[[FrameType, str, Any], Any]


def in_steps(function: Callable[[Any], Any], items: Iterable[Any], **options: Any) -> Any:
    """A stream of work that pauses before the function and after it."""

    def work(item: Any) -> Steps[Any]:
        yield
        made = function(item)
        yield
        return made

    return stream_in_steps(work, items, **options)


KINDS = pytest.mark.parametrize("stream", [stream, in_steps], ids=["stream", "in steps"])
Stream: TypeAlias = Callable[..., Any]


def _threads() -> list[str]:
    return [one.name for one in threading.enumerate() if one.name.startswith("keyhier")]


@KINDS
@given(st.lists(st.integers(-5, 5), max_size=60), st.integers(1, 4))
def test_outcomes_come_in_order_and_bad_items_are_named(
    stream: Stream, items: list[int], workers: int
) -> None:
    def work(item: int) -> int:
        if item < 0:
            raise NotFoundError(f"no {item}")
        return item * 2

    told: list[int] = []
    outcomes = list(stream(work, items, workers=workers, progress=told.append))
    assert [outcome.index for outcome in outcomes] == list(range(len(items)))
    assert told == list(range(1, len(items) + 1))
    for item, outcome in zip(items, outcomes, strict=True):
        if item < 0:
            assert outcome.value is None
            with pytest.raises(NotFoundError, match=f"no {item}"):
                outcome.result()
        else:
            assert outcome == Outcome(outcome.index, item * 2)
            assert outcome.result() == item * 2


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("stream", "ahead"), [(stream, 8), (in_steps, 16)])
def test_the_input_is_read_only_a_little_ahead(stream: Stream, ahead: int, workers: int) -> None:
    read = 0

    def source() -> Iterator[int]:
        nonlocal read
        for number in range(10_000):
            read += 1
            yield number

    outcomes = stream(lambda item: item, source(), workers=workers)
    assert read == 0
    for done, _ in zip(range(1, 51), outcomes, strict=False):
        assert read <= done + workers * ahead
    outcomes.close()
    assert not _threads()


@KINDS
def test_an_input_without_end_can_be_read_in_part(stream: Stream) -> None:
    def source() -> Iterator[int]:
        while True:
            yield 1

    outcomes = stream(lambda item: item, source(), workers=2)
    assert next(outcomes).result() == 1
    outcomes.close()
    assert not _threads()


def test_a_program_that_leaves_a_stream_unread_ends_when_what_was_begun_is_done() -> None:
    code = """
import time
from keyhier.batch import stream

def work(item):
    time.sleep(0.2 * item)
    print("done", item)

outcomes = stream(work, range(1000), workers=2)
next(outcomes)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.startswith("done 0\ndone 1\n")
    assert not done.stderr


@KINDS
def test_items_are_worked_on_at_once(stream: Stream) -> None:
    barrier = threading.Barrier(3, timeout=30)
    outcomes = stream(lambda _: barrier.wait(), range(3), workers=3)
    assert sorted(outcome.result() for outcome in outcomes) == [0, 1, 2]


def test_a_slow_item_keeps_the_order() -> None:
    def work(item: int) -> int:
        time.sleep(0.2 if item == 0 else 0)
        return item

    assert [outcome.value for outcome in stream(work, range(20), workers=4)] == list(range(20))


def test_an_outcome_is_given_while_later_items_are_worked_on() -> None:
    taken = threading.Event()
    outcomes = stream(lambda item: item == 0 or taken.wait(30), range(8), workers=2)
    assert next(outcomes).result()
    taken.set()
    assert all(outcome.result() for outcome in outcomes)


@KINDS
def test_what_is_no_error_of_keyhier_ends_the_stream(stream: Stream) -> None:
    def work(item: int) -> float:
        return 1 / item

    with pytest.raises(ZeroDivisionError):
        list(stream(work, [1, 0, 1], workers=1))
    assert not _threads()


@KINDS
@pytest.mark.parametrize("workers", [1, 4])
@pytest.mark.parametrize("good", [0, 3, 50])
def test_an_input_that_fails_loses_nothing_that_was_done_before(
    stream: Stream, workers: int, good: int
) -> None:
    def source() -> Iterator[int]:
        yield from range(good)
        raise OSError("the list of disks is gone")

    done: list[int | None] = []
    with pytest.raises(OSError, match="the list of disks is gone"):
        done.extend(outcome.value for outcome in stream(int, source(), workers=workers))
    assert done == list(range(good))
    assert not _threads()


def _interrupted_at(line: int, stream: Stream) -> bool:
    """Raise KeyboardInterrupt at a line that a stream comes to; say whether it came there."""
    left = line

    def trace(frame: FrameType, event: str, _: object) -> TraceFunction | None:
        nonlocal left
        if frame.f_code.co_filename != batch.__file__:
            return None
        left -= event == "line"
        if left:
            return trace
        sys.settrace(before)
        raise KeyboardInterrupt

    before = sys.gettrace()
    outcomes = stream(str, range(2), workers=2)
    try:
        sys.settrace(trace)
        next(outcomes)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
        outcomes.close()
    return False


@KINDS
def test_an_interrupt_leaves_no_thread_behind_wherever_it_comes(stream: Stream) -> None:
    lines = 1
    while _interrupted_at(lines, stream):
        for thread in threading.enumerate():
            if thread.name.startswith("keyhier"):
                thread.join(10)
        assert not _threads(), f"line {lines}"
        lines += 1
    assert lines > 20


@KINDS
@pytest.mark.parametrize("workers", [0, -1])
def test_a_batch_has_a_worker(stream: Stream, workers: int) -> None:
    with pytest.raises(InvalidInputError, match="at least one worker"):
        stream(str, [], workers=workers)


@KINDS
def test_without_items_there_are_no_outcomes(stream: Stream) -> None:
    assert list(stream(str, [])) == []


def test_a_thread_does_a_step_of_several_quick_items_after_another() -> None:
    told: list[str] = []

    def work(item: int) -> Steps[int]:
        told.append("begun")
        yield
        told.append("going on")
        yield
        told.append("ended")
        return item

    outcomes = list(stream_in_steps(work, range(100), workers=1))
    assert [outcome.value for outcome in outcomes] == list(range(100))
    runs = [len(list(run)) for _, run in groupby(told)]
    # The first goes alone, because nobody knows yet how long it takes.
    assert runs[:3] == [1, 1, 1]
    assert 1 < max(runs) <= 8


def test_slow_items_go_one_by_one() -> None:
    told: list[int] = []

    def work(item: int) -> Steps[int]:
        told.append(item)
        time.sleep(0.06)
        yield
        told.append(item)
        return item

    assert len(list(stream_in_steps(work, range(5), workers=1))) == 5
    assert told == [item for item in range(5) for _ in range(2)]


@pytest.mark.parametrize("step", [0, 1, 2])
def test_what_fails_at_a_step_spoils_nothing_beside_it(step: int) -> None:
    def work(item: int) -> Steps[int]:
        for each in range(3):
            if item % 7 == 3 and each == step:
                raise NotFoundError(f"no {item}")
            if each < 2:
                yield
        return item

    outcomes = list(stream_in_steps(work, range(40), workers=1))
    assert [outcome.index for outcome in outcomes] == list(range(40))
    for outcome in outcomes:
        if outcome.index % 7 == 3:
            assert outcome.error is not None
            assert outcome.error.__context__ is None
        else:
            assert outcome.result() == outcome.index


def test_what_goes_beside_a_mistake_is_given_up_to_it() -> None:
    def work(item: int) -> Steps[int]:
        yield
        if item == 6:
            raise ValueError("a mistake")
        return item

    outcomes = stream_in_steps(work, range(40), workers=1)
    assert [next(outcomes).value for _ in range(6)] == list(range(6))
    with pytest.raises(ValueError, match="a mistake"):
        next(outcomes)
    assert not _threads()


def test_where_what_is_waited_for_becomes_slow_all_but_one_begin_anew() -> None:
    begun: list[int] = []
    ended: list[int] = []
    slowed: list[int] = []

    def work(item: int) -> Steps[int]:
        begun.append(item)
        yield
        if not slowed and len(begun) - len(ended) > 1:
            slowed.append(item)
            time.sleep(0.6)
        yield
        ended.append(item)
        return item

    outcomes = list(stream_in_steps(work, range(200), workers=1))
    assert [outcome.result() for outcome in outcomes] == list(range(200))
    again = [item for item in set(begun) if begun.count(item) == 2]
    assert slowed[0] not in again
    assert 1 <= len(again) <= 7


@pytest.mark.parametrize("error", [NotFoundError("no log"), OSError("no space")])
def test_what_fails_where_it_is_left_to_begin_anew_is_told_and_nobody_waits(
    error: Exception,
) -> None:
    begun: set[int] = set()
    slow, left = threading.Event(), threading.Event()

    def work(item: int) -> Steps[int]:
        begun.add(item)
        try:
            yield
            if len(begun) > 1 and not slow.is_set():
                slow.set()
                time.sleep(0.6)
            yield
        except GeneratorExit:
            if not left.is_set():
                left.set()
                raise error from None
        begun.discard(item)
        return item

    outcomes = stream_in_steps(work, range(40), workers=1)
    if isinstance(error, NotFoundError):
        assert {outcome.error for outcome in outcomes} == {None, error}
    else:
        with pytest.raises(OSError, match="no space"):
            list(outcomes)
    assert not _threads()


def test_a_stream_that_is_left_waits_for_one_step_and_wipes_what_was_begun() -> None:
    held: list[SecretBytes] = []
    let_go = threading.Event()

    def work(_: int) -> Steps[None]:
        with SecretBytes.random(16) as secret:
            held.append(secret)
            yield
            if len(held) > 1:
                let_go.wait(10)
            yield

    outcomes = stream_in_steps(work, range(40), workers=1)
    next(outcomes)
    while len(held) < 3:
        time.sleep(0.001)
    threading.Timer(0.1, let_go.set).start()
    outcomes.close()
    assert all(secret.wiped for secret in held)
    assert len(held) < 40


def test_work_that_cannot_even_begin_ends_the_stream_where_it_stands() -> None:
    def work(item: int) -> Steps[int]:
        if item == 5:
            raise TypeError("no such item")
        return in_one_step(item)

    def in_one_step(item: int) -> Steps[int]:
        yield
        return item

    outcomes = stream_in_steps(work, range(20), workers=2)
    assert [next(outcomes).value for _ in range(5)] == list(range(5))
    with pytest.raises(TypeError, match="no such item"):
        next(outcomes)
    assert not _threads()


def test_what_fails_when_a_stream_is_left_half_way_leaves_no_thread_behind(
    capfd: pytest.CaptureFixture[str],
) -> None:
    begun = threading.Event()
    let_go = threading.Event()

    def work(item: int) -> Steps[int]:
        try:
            if item:
                begun.set()
                let_go.wait(10)
                yield
        except GeneratorExit:
            raise OSError("the log is full") from None
        return item

    outcomes = stream_in_steps(work, range(20), workers=1)
    next(outcomes)
    assert begun.wait(10)
    threading.Timer(0.1, let_go.set).start()
    outcomes.close()
    assert not _threads()
    assert capfd.readouterr().err == ""
