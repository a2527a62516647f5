"""Resident memory while a batch runs: python -m this.

It takes URI, ALGORITHM, FEW and MANY from the environment. Standard output takes the resident
memory in bytes after FEW and after MANY items of each kind of batch, and how long it took, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterable
from itertools import repeat
from pathlib import Path
from typing import Any, Final

import keyhier

_NAME: Final = "soak-memory"
_SECRET: Final = bytes(range(156))
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def _resident() -> int:
    """Return the process's resident memory in bytes (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


def _measured(outcomes: Iterable[keyhier.Outcome[Any]], few: int) -> dict[str, float]:
    """Run a batch to its end, and see what it takes on the way."""
    began = time.monotonic()
    after_few = highest = 0
    for outcome in outcomes:
        value = outcome.result()
        if isinstance(value, keyhier.SecretBytes):
            value.wipe()
        if outcome.index + 1 == few:
            after_few = _resident()
        elif outcome.index % few == 0:
            highest = max(highest, _resident())
    return {
        "few": after_few,
        "many": _resident(),
        "highest": max(highest, _resident()),
        "seconds": time.monotonic() - began,
    }


def main() -> None:
    """Wrap and unwrap, and tell how much memory it took."""
    few, many = int(os.environ["FEW"]), int(os.environ["MANY"])
    algorithm = os.environ["ALGORITHM"]
    with keyhier.open(os.environ["URI"]) as vault:
        if algorithm.startswith("RSA"):
            key = vault.create_key(_NAME, "RSA-2048")
        else:
            key = vault.create_key(_NAME, "AES-256", algorithm=algorithm)
        # The items are one and the same, so that what grows is not the input.
        plain = repeat((_SECRET, None), many)
        wrapped = repeat((str(key.wrap(_SECRET)), None), many)
        told = {
            "wrap_many": _measured(vault.wrap_many(key, plain), few),
            "unwrap_many": _measured(vault.unwrap_many(wrapped), few),
        }
        key.delete(confirm=key.name)
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main()
