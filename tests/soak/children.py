"""Running the programs of this folder in processes of their own, so that a crash is counted."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def told_by(program: str, *, patience: float, **environment: str) -> dict[str, Any]:
    """Run a program of this folder and return what it told; a crash and any other output fail.

    Args:
        program: the module's name.
        patience: seconds after which a process counts as hung.
        environment: what it is told.
    """
    done = subprocess.run(
        [sys.executable, "-X", "faulthandler", "-m", f"tests.soak.{program}"],
        cwd=ROOT,
        env={**os.environ, **environment},
        check=False,
        capture_output=True,
        text=True,
        timeout=patience,
    )
    # p11-kit's client says so when a child of its process finalises it.
    errors = [line for line in done.stderr.splitlines() if not line.startswith("p11-kit: ")]
    assert (done.returncode, errors) == (0, []), f"{done.returncode}: {done.stdout}{done.stderr}"
    told: dict[str, Any] = json.loads(done.stdout)
    return told
