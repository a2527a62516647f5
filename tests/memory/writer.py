"""A process that makes keys in a vault's file until it is done or killed.

``python -m tests.memory.writer PATH PREFIX COUNT`` prints the id of every key once it is kept.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.memory.vaults import create_aes, open_file


def main(path: str, prefix: str, count: str) -> None:
    vault = open_file(Path(path))
    for number in range(int(count)):
        sys.stdout.write(f"{create_aes(vault, f'{prefix}{number}').id}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
