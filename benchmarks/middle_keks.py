"""Rotating a CMK over middle KEKs on SoftHSM: how many unwraps it takes, and how much memory.

Usage: ``python -m benchmarks.middle_keks [VOLUME-KEYS [KEKS]]``, by default 100,000 under 100 KEKs
under one RSA-3072 CMK. Each KEK takes two unwraps, to open it and to verify its new envelope, and
what lies under it takes none. It ends with 1 where that is not so, or where memory grows.
"""

from __future__ import annotations

import os
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from benchmarks.rewrapping import fill
from keyhier import KeyId, Vault
from keyhier.driver import OpenOptions
from keyhier.hierarchy.facade import Hierarchy
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.work import Work
from keyhier.records import ItemState, open_records
from keyhier.testing.counting import counted
from keyhier.testing.softhsm import SoftHsm
from keyhier.uri import VaultUri
from keyhier_pkcs11 import backend

ALLOWED_BYTES: Final = 8 << 20
"""What the resident memory may grow by, from the first rotation's end to the second's."""

_PAGE: Final = os.sysconf("SC_PAGE_SIZE")


def resident() -> int:
    """Return the process's resident memory in bytes (proc(5), statm)."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * _PAGE


class Highest:
    """The most resident memory that was seen, asked for after every batch of a job."""

    def __init__(self) -> None:
        self.bytes = resident()
        self._lock = threading.Lock()

    def __call__(self, _: Mapping[ItemState, int]) -> None:
        with self._lock:
            self.bytes = max(self.bytes, resident())


def main() -> int:
    """Run it, print the figures, and say whether they are what is asked for."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
    keks = int(sys.argv[2]) if len(sys.argv) > 2 else 100
    hsm = SoftHsm.current()
    token = hsm.new_token()
    driver, calls = counted(backend.open(VaultUri.parse(token.uri), OpenOptions()))
    pins: dict[KeyId, str] = {}
    policy = Policy(pins=pins)
    right = True
    with (
        tempfile.TemporaryDirectory(prefix="keyhier-bench-") as folder,
        Vault(driver, uri=token.uri) as vault,
        open_records(f"sqlite:{folder}/records.db") as store,
    ):
        vault.create_key("cmk", "RSA-3072")
        with Hierarchy(vault, store, policy=policy) as hierarchy:
            for number in range(keks):
                made = hierarchy.create_kek(f"middle-{number}", under="cmk")
                pins[made.id] = made.thumbprint
                fill(store, hierarchy.keyring.use(made.id), count // keks)
        after_first = 0
        for which in ("first", "second"):
            with Hierarchy(vault, store, policy=policy) as hierarchy:
                calls.clear()
                before, highest, spent = resident(), Highest(), time.process_time()
                report = hierarchy.rotate("cmk", Work(progress=highest))
                spent = time.process_time() - spent
                hierarchy.jobs.finalize(report.job.id)
            unwraps = calls.count("unwrap")
            after_first = after_first or highest.bytes
            right = right and report.complete and unwraps <= 2 * keks
            print(
                f"{which} rotation of the CMK over {keks:,} KEKs and {count:,} volume keys: "
                f"{unwraps:,} unwraps (at most {2 * keks:,}), {spent:.1f} s of a processor, "
                f"{before / (1 << 20):.1f} MiB before, at most {highest.bytes / (1 << 20):.1f} MiB"
            )
        right = right and highest.bytes - after_first <= ALLOWED_BYTES
    hsm.remove(token)
    return 0 if right else 1


if __name__ == "__main__":
    sys.exit(main())
