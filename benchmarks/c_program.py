"""A C program that decrypts in a loop, compiled here from its source."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final

from keyhier.testing.softhsm import SoftHsmToken

__all__ = ["CProgram"]

SOURCE: Final = Path(__file__).with_name("c_decrypt.c")


class CProgram:
    """The program, logged in and waiting for orders."""

    def __init__(self, orders: IO[str], answers: IO[str]) -> None:
        self._orders = orders
        self._answers = answers

    def decrypt(self, count: int, threads: int) -> None:
        """Decrypt ``count`` times on each of ``threads`` threads.

        Raises:
            SystemExit: the program has ended, having said why on standard error.
        """
        self._tell(f"{count} {threads}")
        if self._answers.readline() != "done\n":
            raise SystemExit("the C program failed")

    def _tell(self, line: str) -> None:
        self._orders.write(f"{line}\n")
        self._orders.flush()

    @classmethod
    @contextmanager
    def running(cls, token: SoftHsmToken, key_id: str, ciphertext: bytes) -> Iterator[CProgram]:
        """Compile and start it, for one key and one ciphertext."""
        with TemporaryDirectory() as folder:
            program = Path(folder, "c_decrypt")
            subprocess.run(["cc", "-O2", "-pthread", "-o", program, SOURCE, "-ldl"], check=True)
            with subprocess.Popen(
                [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as process:
                if process.stdin is None or process.stdout is None:
                    raise SystemExit("the C program has no pipes")
                started = cls(process.stdin, process.stdout)
                # The PIN goes this way because arguments can be read by everybody.
                for line in (
                    str(token.module_path),
                    token.label,
                    token.pin,
                    key_id,
                    ciphertext.hex(),
                ):
                    started._tell(line)
                yield started
