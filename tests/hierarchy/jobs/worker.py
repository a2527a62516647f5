"""A process whose children work on jobs and are killed: ``python -m tests.hierarchy.jobs.worker``.

It reads orders from standard input, one JSON object a line, does each in a forked child, and writes
what became of the child. It has no threads and has opened nothing, so that forking is safe and a
child starts at once::

    {"records": URL, "vaults": [URI, …], "key": NAME or null, "to": URI or null, "job": ID or null,
     "roll_back": whether that job is rolled back and not gone on with,
     "batch": N, "lease": SECONDS,
     "kill_after": SECONDS or null, "kill_at_write": N or null, "done": whether the write is made,
     "stop_at_write": N or null, "stop_for": SECONDS}

The answer: ``{"status": the exit code or minus the signal, "seconds": from the start of the job}``.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

# Loaded once here, too.
import psycopg  # noqa: F401

import keyhier
import keyhier_pkcs11.driver  # noqa: F401
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.work import Work
from keyhier.records import open_records
from keyhier.records.sql.store import SqlRecords
from tests.hierarchy.jobs.mortal import Mortal


def mortal(store: SqlRecords, order: dict[str, Any]) -> Any:
    """Return a store whose journal ends the process where the order says."""
    # Threads that write at once get a number each.
    numbers = itertools.count(1)

    def on_write(call: Callable[[], Any]) -> Any:
        number = next(numbers)
        if number == order["stop_at_write"]:
            os.kill(os.getpid(), signal.SIGSTOP)
        if number == order["kill_at_write"] and not order["done"]:
            os.kill(os.getpid(), signal.SIGKILL)
        result = call()
        if number == order["kill_at_write"]:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return Mortal(store, on_write)


def work(order: dict[str, Any], ready: Callable[[], None]) -> bool:
    """Do what the order says, and say whether the job is complete."""
    how = Work(threads=2, batch=order["batch"], lease=order["lease"])
    with ExitStack() as stack:
        vaults = [stack.enter_context(keyhier.open(uri)) for uri in order["vaults"]]
        to = stack.enter_context(keyhier.open(order["to"])) if order["to"] else None
        store: Any = stack.enter_context(open_records(order["records"]))
        if order["kill_at_write"] or order["stop_at_write"]:
            store = mortal(store, order)
        hierarchy = stack.enter_context(Hierarchy(vaults, store))
        ready()
        if order["roll_back"]:
            jobs = hierarchy.jobs if to is None else hierarchy.jobs_beside(to)
            return not jobs.roll_back(order["job"], how).failed
        if order["job"]:
            return hierarchy.jobs.resume(order["job"], how).complete
        if to is not None:
            return hierarchy.migrate(to, work=how).complete
        return hierarchy.rotate(order["key"], how).complete


def child(order: dict[str, Any], write_end: int) -> int:
    try:
        complete = work(order, lambda: os.close(write_end))
    except keyhier.KeyhierError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 2
    return 0 if complete else 1


def run(order: dict[str, Any]) -> dict[str, Any]:
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(read_end)
        code = 3
        try:
            code = child(order, write_end)
        finally:
            sys.stderr.flush()
            os._exit(code)
    os.close(write_end)
    # It ends when the child has opened everything, or is gone.
    os.read(read_end, 1)
    os.close(read_end)
    started = time.monotonic()
    if order["kill_after"] is not None:
        time.sleep(order["kill_after"])
        os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, os.WUNTRACED)
    if os.WIFSTOPPED(status):
        time.sleep(order["stop_for"])
        os.kill(pid, signal.SIGCONT)
        _, status = os.waitpid(pid, 0)
    return {"status": os.waitstatus_to_exitcode(status), "seconds": time.monotonic() - started}


def main() -> None:
    # What opening needs is loaded once, and not in every child.
    with keyhier.open("memory:"), open_records("memory:"):
        pass
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
