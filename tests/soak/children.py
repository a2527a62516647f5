"""Running the programs of this folder in processes of their own, so that a crash is counted."""

from __future__ import annotations

import json
import os
import signal
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
    with subprocess.Popen(
        [sys.executable, "-X", "faulthandler", "-m", f"tests.soak.{program}"],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            stdout, stderr = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            # It tells where each of its threads is, as for a crash.
            process.send_signal(signal.SIGABRT)
            stdout, stderr = process.communicate()
    # p11-kit's client says so when a child of its process finalises it.
    errors = [line for line in stderr.splitlines() if not line.startswith("p11-kit: ")]
    assert (process.returncode, errors) == (0, []), f"{process.returncode}: {stdout}{stderr}"
    told: dict[str, Any] = json.loads(stdout)
    return told
