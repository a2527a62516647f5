"""Where a PIN or passphrase comes from: a reference in the URI, a callback, or a prompt.

A PIN is read when it is needed and at no other time, so that a login after a lost connection
can ask again, and it is never part of a URI, a repr or an error (promise 7).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import attrs

from keyhier.errors import AuthenticationError, InvalidInputError
from keyhier.secret import SecretBytes

__all__ = ["PinCallback", "PinSource"]

PinCallback = Callable[[str], str]
"""Given what the PIN is for (``token 'disks'``), returns it."""

MAX_PIN_BYTES: Final = 4096


@attrs.frozen
class PinSource:
    """How to get the PIN: ``file:/path``, ``env:NAME``, ``prompt:``, or a callback.

    Attributes:
        reference: the ``pin-source`` of the URI, or None.
        callback: asked instead of the reference where there is one.
    """

    reference: str | None = None
    callback: PinCallback | None = attrs.field(default=None, repr=False)

    def __attrs_post_init__(self) -> None:
        if self.reference is None:
            return
        kind, colon, where = self.reference.partition(":")
        if not colon or kind not in ("file", "env", "prompt") or (kind != "prompt") != bool(where):
            raise InvalidInputError(
                "pin-source is one of file:/path, env:NAME and prompt:; commands are refused"
            )

    @property
    def given(self) -> bool:
        """Whether the user named a source, as opposed to leaving it to a prompt."""
        return self.reference is not None or self.callback is not None

    def read(self, what: str) -> SecretBytes:
        """Return the PIN for ``what`` as UTF-8 bytes; the caller wipes it.

        Raises:
            AuthenticationError: there is no source and no terminal to ask at, or the source
                is missing, unreadable, empty or too long.
        """
        if self.callback is not None:
            return _checked(self.callback(what), what)
        kind, _, where = (self.reference or "prompt:").partition(":")
        if kind == "file":
            return _checked(_read_file(where, what), what)
        if kind == "env":
            return _checked(os.environ.get(where, ""), what)
        if not sys.stdin.isatty():
            raise AuthenticationError(
                f"no PIN for {what}: none was referred to and there is no terminal to ask at",
                remedy="add pin-source=file:/path or pin-source=env:NAME, or pass pin=callback",
            )
        return _checked(getpass(f"PIN for {what}: "), what)


def _read_file(reference: str, what: str) -> str:
    # Both file:/path and file:///path (RFC 8089) are in use; another host's file is not ours.
    parts = urlsplit(f"file:{reference}")
    path = Path(parts.path)
    if parts.netloc not in ("", "localhost") or not path.is_absolute():
        raise InvalidInputError("pin-source=file: takes an absolute path on this machine")
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise AuthenticationError(f"no PIN for {what}: {path} cannot be read: {reason}") from None
    # Editors end a file with a line break, which is not part of the PIN.
    return text.removesuffix("\n").removesuffix("\r")


def _checked(text: str, what: str) -> SecretBytes:
    encoded = text.encode()
    if not 0 < len(encoded) <= MAX_PIN_BYTES:
        state = "too long" if encoded else "empty or not set"
        raise AuthenticationError(f"no PIN for {what}: what its source gives is {state}")
    return SecretBytes(encoded)
