"""Two threads on a PKCS#11 token (SoftHSM): against one, and against a C program."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

from benchmarks.c_program import CProgram
from benchmarks.memory import BEK, CONTEXT
from benchmarks.pairs import Pair
from benchmarks.token import OnToken, key_on_token

__all__ = ["pairs"]

THREADS: Final = 2
EACH: Final = 40
BATCH: Final = 10_000
ROUNDS: Final = 100


def pairs() -> Iterator[Pair]:
    """Yield the comparisons, whose clock is that on the wall: threads share the time."""
    with (
        key_on_token() as on_token,
        CProgram.running(
            on_token.token, on_token.kek.version, on_token.kek.wrap_raw(bytes(32))
        ) as program,
        ThreadPoolExecutor(THREADS) as pool,
    ):
        yield from _against_c(on_token, program)
        yield from _on_two_threads(on_token, pool, program)
        yield _many(on_token, program)


def _against_c(on_token: OnToken, program: CProgram) -> Iterator[Pair]:
    encrypted = on_token.kek.wrap_raw(bytes(32))
    yield Pair(
        "PKCS#11: unwrap raw, RSA-2048",
        lambda: _repeat(lambda: on_token.kek.unwrap_raw(encrypted).wipe(), EACH),
        lambda: program.decrypt(EACH, 1),
        "C_Decrypt in C",
        clock=time.perf_counter,
        operations=EACH,
        least_rounds=ROUNDS,
        paired=True,
    )
    # It shows whether two processors were there to be had.
    yield Pair(
        "C_Decrypt in C on two threads",
        lambda: program.decrypt(EACH, THREADS),
        lambda: program.decrypt(THREADS * EACH, 1),
        "the same on one",
        clock=time.perf_counter,
        operations=THREADS * EACH,
        least_rounds=ROUNDS,
        paired=True,
    )


def _on_two_threads(
    on_token: OnToken, pool: ThreadPoolExecutor, program: CProgram
) -> Iterator[Pair]:
    encrypted = on_token.kek.wrap_raw(bytes(32))
    text = str(on_token.kek.wrap(BEK, context=CONTEXT))

    def unwrap_raw() -> None:
        on_token.kek.unwrap_raw(encrypted).wipe()

    def unwrap() -> None:
        on_token.vault.unwrap(text, context=CONTEXT).wipe()

    def on_two(function: Callable[[], None]) -> None:
        running = [pool.submit(_repeat, function, EACH) for _ in range(THREADS)]
        for each in running:
            each.result()

    for what, function in (("unwrap raw", unwrap_raw), ("unwrap a JWE", unwrap)):
        yield Pair(
            f"PKCS#11: {what} on two threads",
            partial(on_two, function),
            partial(_repeat, function, THREADS * EACH),
            "the same on one",
            1.85,
            clock=time.perf_counter,
            operations=THREADS * EACH,
            least_rounds=ROUNDS,
            paired=True,
        )
        # What is left of that where the machine does not give two processors' worth to anybody.
        yield Pair(
            f"PKCS#11: {what} on two threads",
            partial(on_two, function),
            lambda: program.decrypt(EACH, THREADS),
            "C_Decrypt in C on two threads",
            clock=time.perf_counter,
            operations=THREADS * EACH,
            least_rounds=ROUNDS,
            paired=True,
        )


def _many(on_token: OnToken, program: CProgram) -> Pair:
    text = str(on_token.kek.wrap(BEK, context=CONTEXT))

    def unwrap_many() -> None:
        items = ((text, CONTEXT) for _ in range(BATCH))
        for outcome in on_token.vault.unwrap_many(items, workers=THREADS):
            outcome.result().wipe()

    return Pair(
        f"PKCS#11: unwrap_many of {BATCH:,} JWEs",
        unwrap_many,
        lambda: program.decrypt(BATCH // THREADS, THREADS),
        "C_Decrypt in C, on two threads",
        0.9,
        clock=time.perf_counter,
        operations=BATCH,
        least_rounds=5,
        paired=True,
    )


def _repeat(function: Callable[[], None], times: int) -> None:
    for _ in range(times):
        function()
