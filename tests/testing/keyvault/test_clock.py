"""The vault's clock, which tests move."""

from __future__ import annotations

from datetime import timedelta
from threading import Thread

from keyhier.testing.keyvault.clock import Clock


def test_a_clock_with_a_step_reads_no_second_twice_whoever_reads() -> None:
    clock = Clock()
    clock.advance(timedelta(days=-1))
    clock.step = 1.0
    read: list[float] = []
    threads = [
        Thread(target=lambda: read.extend(clock.now() for _ in range(500))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({int(moment) for moment in read}) == 2000
