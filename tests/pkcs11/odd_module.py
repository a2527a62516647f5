"""odd_module.c, compiled: SoftHSM with faults that the environment asks for."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["compile_odd_module"]

SOURCE = Path(__file__).with_name("odd_module.c")


def compile_odd_module(folder: Path) -> Path:
    """Return the module, compiled into ``folder``."""
    module = folder / "odd_module.so"
    command = [
        "gcc",
        "-shared",
        "-fPIC",
        "-Wall",
        "-Werror",
        "-o",
        str(module),
        str(SOURCE),
        "-ldl",
    ]
    subprocess.run(command, check=True)
    return module
