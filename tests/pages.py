"""Runs the examples of one page of the documentation, in order, as a reader would.

usage: python pages.py PAGE [FORBIDDEN_PACKAGE…]

* ```` ```python ```` blocks share one namespace.
* Of ```` ```console ```` blocks the lines after ``$ `` are run by bash (``> `` continues a
  command), with the variables that ``export`` set before. Each must succeed, unless
  ``$ echo $?`` follows: then it must end with the number that stands under it.
* A block after ``<!-- not run: reason -->`` is left out.

Importing a forbidden package fails, whoever tries.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import attrs

_BLOCK: Final = re.compile(
    r"(?P<skip><!-- not run: [^\n]+ -->\n+)?"
    r"^```(?P<language>python|console)\b[^\n]*\n(?P<code>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_EXPORT: Final = re.compile(r"export (\w+)=(.*)", re.DOTALL)


@attrs.frozen
class Block:
    """One fenced block.

    Attributes:
        language: ``python`` or ``console``.
        code: what stands between the fences.
        line: the number of its first line on the page.
    """

    language: str
    code: str
    line: int


@attrs.frozen
class Command:
    """One command of a console block and the exit code that the page promises."""

    text: str
    exit_code: int = 0


def blocks(page: str) -> Iterator[Block]:
    """Yield the blocks of a page that are to be run."""
    for found in _BLOCK.finditer(page):
        if not found["skip"]:
            line = page.count("\n", 0, found.start("code")) + 1
            yield Block(found["language"], found["code"], line)


def commands(console: str) -> list[Command]:
    """Return the commands of a console block."""
    found: list[list[str]] = []
    outputs: list[list[str]] = []
    for line in console.splitlines():
        if line.startswith("$ "):
            found.append([line[2:]])
            outputs.append([])
        elif line.startswith("> ") and found and not outputs[-1]:
            found[-1].append(line[2:])
        elif found:
            outputs[-1].append(line)
    result: list[Command] = []
    for lines, output in zip(found, outputs, strict=True):
        text = "\n".join(lines)
        if text == "echo $?":
            result[-1] = attrs.evolve(result[-1], exit_code=int(output[0]))
        else:
            result.append(Command(text))
    return result


def _run_command(command: Command, where: str) -> None:
    export = _EXPORT.fullmatch(command.text)
    text = f"printf %s {export[2]}" if export else command.text
    # Standard input is closed so that nothing waits for an answer.
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", text],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    output = done.stdout.decode(errors="replace")
    if done.returncode != command.exit_code:
        sys.exit(
            f"{where}: $ {command.text}\n{output}\n"
            f"ended with {done.returncode}, and the page says {command.exit_code}"
        )
    if export:
        os.environ[export[1]] = output


def reader_environment(folder: Path) -> dict[str, str]:
    """Return the environment of a reader whose home is ``folder``: no settings, no tokens yet."""
    tokens = folder / "tokens"
    tokens.mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\n")
    inherited = {
        name: value
        for name, value in os.environ.items()
        # Nor is a reader measured, which would take a third of the time.
        if not name.startswith(("KEYHIER_", "XDG_", "COVERAGE_"))
    }
    return inherited | {
        "HOME": str(folder),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "SOFTHSM2_CONF": str(configuration),
    }


def run_in_child(
    page: Path, folder: Path, environment: dict[str, str], *, forbidden: Sequence[str] = ()
) -> None:
    """Run a page's blocks in a process of their own, in ``folder``; fail with what it says."""
    done = subprocess.run(
        [sys.executable, "-P", __file__, str(page), *forbidden],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def run(page: Path, forbidden: list[str]) -> None:
    """Run a page's blocks in the current folder."""
    for package in forbidden:
        # This is how Python marks a module that cannot be imported.
        sys.modules[package] = None  # type: ignore[assignment]  # None is allowed there.
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language == "python":
            # The blank lines make a traceback name the page's own lines.
            code = compile("\n" * (block.line - 1) + block.code, str(page), "exec")
            exec(code, namespace)
        else:
            for command in commands(block.code):
                _run_command(command, f"{page.name}:{block.line}")


if __name__ == "__main__":
    run(Path(sys.argv[1]), sys.argv[2:])
