"""Files of a command: `-` is standard input or output, secrets are written as secrets are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from keyhier.errors import AccessDeniedError, InvalidInputError, NotFoundError
from keyhier.secret import SecretBytes
from keyhier.secret_file import read_secret_file, read_secret_stream, write_secret_file
from keyhier.wrapped import WrappedKey

__all__ = [
    "STANDARD",
    "as_envelope",
    "as_line",
    "lines_of",
    "read",
    "read_secret",
    "write_line",
    "write_secret",
    "write_standard",
]

STANDARD: Final = "-"

# More than any envelope and any .BEK file has.
_MAX_INPUT_BYTES: Final = 128 * 1024
# More than an envelope seals, so that the wrap itself says when a secret is too long.
_MAX_SECRET_BYTES: Final = 1024 * 1024


def read(source: str, *, limit: int = _MAX_INPUT_BYTES) -> SecretBytes:
    """Read a file or standard input.

    Raises:
        InvalidInputError: it is longer than ``limit`` bytes.
        NotFoundError, AccessDeniedError, UnavailableError: it cannot be read.
    """
    if source == STANDARD:
        return read_secret_stream(0, limit=limit, what="standard input")
    return read_secret_file(source, limit=limit)


@contextmanager
def lines_of(source: str, *, limit: int) -> Iterator[Iterator[bytes]]:
    """Give the lines of a file or of standard input, which may be of any length.

    A line longer than ``limit`` bytes comes in pieces, the first of them longer than ``limit``.

    Raises:
        NotFoundError, AccessDeniedError, InvalidInputError: it cannot be read.
    """
    if source == STANDARD:
        yield iter(lambda: sys.stdin.buffer.readline(limit + 1), b"")
        return
    try:
        file = Path(source).open("rb")  # noqa: SIM115  # It is closed below.
    except FileNotFoundError:
        raise NotFoundError(f"there is no file {source}") from None
    except (IsADirectoryError, ValueError):
        raise InvalidInputError(f"{source!r} is no file that can be read") from None
    except OSError as error:
        raise AccessDeniedError(f"the file {source} cannot be read: {error.strerror}") from None
    with file:
        yield iter(lambda: file.readline(limit + 1), b"")


def read_secret(source: str) -> SecretBytes:
    """Read a secret from a file or standard input, but not from a terminal, which would show it.

    Raises:
        InvalidInputError: it is a terminal; or as :func:`read`.
        NotFoundError, AccessDeniedError, UnavailableError: as :func:`read`.
    """
    if _is_terminal(source):
        raise InvalidInputError(
            "a secret is not typed at a terminal, which shows it",
            remedy="name a file, or send standard input from a pipe or a file",
        )
    return read(source, limit=_MAX_SECRET_BYTES)


def _is_terminal(source: str) -> bool:
    if source == STANDARD:
        return os.isatty(0)
    # Only a character device can be one; opening a named pipe would disturb its writer.
    if not Path(source).is_char_device():
        return False
    try:
        handle = os.open(source, os.O_RDONLY | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        # Whatever is wrong with it is told when it is read.
        return False
    try:
        return os.isatty(handle)
    finally:
        os.close(handle)


def as_envelope(content: SecretBytes) -> WrappedKey:
    """Read an envelope from the content of a file, whose last line may be ended.

    Raises:
        InvalidInputError: it is no envelope.
    """
    try:
        text = str(content.view(), "ascii")
    except UnicodeDecodeError:
        text = None
    # Outside of the handler, whose exception would carry the bytes.
    if text is None:
        raise InvalidInputError("this is no wrapped key: it has bytes that are not ASCII")
    return WrappedKey.parse(text.removesuffix("\n").removesuffix("\r"))


def as_line(line: str) -> SecretBytes:
    """Return one line of public text as the content of a file."""
    return SecretBytes(f"{line}\n".encode())


def write_line(out: str, line: str, *, force: bool) -> None:
    """Write one line of public text to a file, whole or not at all.

    Raises:
        AlreadyExistsError: the file is there and ``force`` is false.
        NotFoundError, AccessDeniedError, InvalidInputError, UnavailableError: it cannot be written.
    """
    write_secret_file(out, as_line(line), overwrite=force)


def write_secret(out: str, secret: SecretBytes, *, force: bool) -> None:
    """Write a secret, and nothing else, to a file of mode 0600 or to standard output.

    Raises:
        AlreadyExistsError, NotFoundError, AccessDeniedError, InvalidInputError, UnavailableError:
            as :func:`write_line`.
    """
    if out != STANDARD:
        write_secret_file(out, secret, overwrite=force)
    else:
        write_standard(secret)


def write_standard(secret: SecretBytes) -> None:
    """Write a secret, and nothing else, to standard output."""
    sys.stdout.flush()
    # Past Python's own buffers, which nobody can wipe.
    rest = secret.view()
    while rest:
        rest = rest[os.write(1, rest) :]
