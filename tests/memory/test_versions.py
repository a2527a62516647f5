"""Version identifiers."""

from __future__ import annotations

import re
import threading
import time

from keyhier_memory.versions import VersionClock, is_for


def test_versions_are_32_hexadecimal_digits_that_begin_with_the_time() -> None:
    before = time.time_ns() // 1_000_000
    version = VersionClock().next()
    assert re.fullmatch("[0-9a-f]{32}", version)
    assert before <= int(version[:12], 16) <= time.time_ns() // 1_000_000


def test_versions_of_one_moment_still_increase_in_every_thread() -> None:
    clock = VersionClock()
    made: list[list[str]] = [[] for _ in range(4)]

    def work(mine: list[str]) -> None:
        mine.extend(clock.next() for _ in range(2000))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in made]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == sorted(mine) for mine in made)
    assert len(set().union(*made)) == 8000


def test_a_version_follows_one_from_a_clock_that_was_ahead() -> None:
    ahead = "f" * 8 + "0" * 24
    clock = VersionClock()
    following = clock.next(after=ahead)
    assert following > ahead
    assert clock.next() > following


def test_a_version_that_is_made_for_a_tag_tells_so_and_follows_the_others() -> None:
    clock = VersionClock()
    first = clock.next()
    tagged = clock.next_for("job", after=first)
    assert re.fullmatch("[0-9a-f]{32}", tagged)
    assert first < tagged < clock.next()
    assert is_for(tagged, "job")
    assert not is_for(tagged, "another")
    assert clock.next_for("job", after="f" * 8 + "0" * 24) > "f" * 8
