"""``import keyhier`` against importing attrs and the `cryptography` modules that a wrap needs."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Final

from benchmarks.pairs import Pair

NEEDED: Final = (
    "import attrs\n"
    "from cryptography.hazmat.primitives import hashes, keywrap\n"
    "from cryptography.hazmat.primitives.asymmetric import padding, rsa\n"
    "from cryptography.hazmat.primitives.ciphers import aead\n"
)
OURS: Final = "import keyhier\n"
# The same with every public name looked up, so that laziness hides nothing.
EVERYTHING: Final = "import keyhier\nfor name in keyhier.__all__: getattr(keyhier, name)\n"


def _run(code: str) -> None:
    subprocess.run([sys.executable, "-c", code], check=True)


def pairs() -> Iterator[Pair]:
    """Yield the comparisons; whole processes, so the interpreter's own start is on both sides."""
    beside = "attrs and cryptography's modules"
    yield Pair("import keyhier", lambda: _run(OURS), lambda: _run(NEEDED), beside, 1 / 1.5)
    yield Pair("every public name of it", lambda: _run(EVERYTHING), lambda: _run(NEEDED), beside)
