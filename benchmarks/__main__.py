"""Run every benchmark, print a table, and write the figures as JSON.

Usage: ``python -m benchmarks [FILE.json]``
"""

from __future__ import annotations

import json
import os
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import attrs
from rich.console import Console
from rich.table import Table

from benchmarks import azure, import_time, many_keys, memory, threads, token
from benchmarks.pairs import Result, measure


def machine() -> dict[str, object]:
    """Describe what the figures were measured on."""
    model = [
        line.partition(":")[2].strip()
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        if line.startswith("model name")
    ]
    packages = ("keyhier", "cryptography", "python-pkcs11", "azure-keyvault-keys")
    return {
        "processor": model[0] if model else platform.processor(),
        "processors": os.cpu_count(),
        "python": platform.python_version(),
        "packages": {name: version(name) for name in packages},
    }


def table(results: list[Result]) -> Table:
    """Lay the results out for people."""
    shown = Table(title="keyhier beside the binding beneath it, in the same run")
    shown.add_column("what")
    shown.add_column("beside")
    for heading in ("keyhier/s", "raw/s", "ratio", "quartiles", "asked"):
        shown.add_column(heading, justify="right")
    for result in results:
        asked = "" if result.wanted is None else f"{result.wanted:.2f}"
        shown.add_row(
            result.name,
            result.baseline,
            f"{result.ours:,.0f}",
            f"{result.raw:,.0f}",
            f"{result.ratio:.2f}" + ("" if result.met in (None, True) else " (missed)"),
            f"{result.low:.2f} {result.middle:.2f} {result.high:.2f}",
            asked,
        )
    return shown


def main() -> int:
    """Run all; the exit code is 1 where a ratio that is asked for was missed."""
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "benchmarks.json")
    modules = (import_time, memory, many_keys, token, threads, azure)
    results = []
    for module in modules:
        for pair in module.pairs():
            results.append(measure(pair))
            # What was measured is not lost with what fails later.
            print(f"{pair.name}, beside {pair.baseline}: {results[-1].ratio:.2f}", file=sys.stderr)
    Console(width=120).print(table(results))
    figures = [attrs.asdict(result) for result in results]
    target.write_text(json.dumps({"machine": machine(), "results": figures}, indent=2) + "\n")
    return 0 if all(result.met is not False for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
