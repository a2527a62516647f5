"""Where a PIN or passphrase comes from: a reference in the URI, a callback, or a prompt.

A PIN is read when it is needed and at no other time, so that a login after a lost connection
can ask again, and it is never part of a URI, a repr or an error (promise 7).
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from getpass import getpass
from pathlib import Path
from typing import Final

import attrs

from keyhier.errors import AuthenticationError, InvalidInputError
from keyhier.secret import SecretBytes

__all__ = ["Pin", "PinCallback", "PinSource"]

Pin = str | bytes | bytearray | SecretBytes
"""A PIN or passphrase; text is taken as UTF-8, and a SecretBytes is wiped after use."""

PinCallback = Callable[[str], Pin]
"""Given what the PIN is for (``token 'disks'``), returns it."""

MAX_PIN_BYTES: Final = 4096

# Both file:/path and file:///path (RFC 8089) are in use; another host's file is not ours.
_FILE: Final = re.compile(r"file:(?://(?:localhost)?|(?!//))(?P<path>/[^\0\ud800-\udfff]*)")
_ENV: Final = re.compile(r"env:(?P<name>[A-Za-z_][0-9A-Za-z_]*)")
_PROMPT: Final = re.compile(r"prompt:")


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
        if self.callback is not None and not callable(self.callback):
            raise InvalidInputError("pin is a function that is told what it is for and returns it")
        if self.reference is None:
            return
        if not any(form.fullmatch(self.reference) for form in (_FILE, _ENV, _PROMPT)):
            raise InvalidInputError(
                "pin-source is one of file:/path, env:NAME and prompt:; commands are refused"
            )

    @property
    def given(self) -> bool:
        """Whether the user named a source, as opposed to leaving it to a prompt."""
        return self.reference is not None or self.callback is not None

    @property
    def file(self) -> Path | None:
        """The file that the reference names, if it names one."""
        matched = _FILE.fullmatch(self.reference or "")
        return Path(matched["path"]) if matched else None

    @property
    def by_person(self) -> bool:
        """Whether only this process can get the PIN: from its callback, or from who sits there."""
        return self.callback is not None or self.reference in (None, "prompt:")

    def read(self, what: str, kind: str = "PIN") -> SecretBytes:
        """Return the PIN for ``what`` as UTF-8 bytes; the caller wipes it.

        Args:
            what: what it opens, such as ``token 'disks'``.
            kind: what it is called in the prompt and in errors.

        Raises:
            AuthenticationError: there is no source and no terminal to ask at, or the source
                is missing, unreadable, empty, too long or not UTF-8.
        """
        wanted = f"{kind} for {what}"
        if self.callback is not None:
            return _checked(self.callback(what), wanted, "what the callback returned")
        reference = self.reference or "prompt:"
        if matched := _FILE.fullmatch(reference):
            path = matched["path"]
            return _checked(_read_file(path, wanted), wanted, path)
        if matched := _ENV.fullmatch(reference):
            name = matched["name"]
            if name not in os.environ:
                raise AuthenticationError(f"no {wanted}: the variable {name} is not set")
            return _checked(os.environ[name], wanted, f"the variable {name}")
        return _checked(_ask(wanted), wanted, "what was typed")


def _read_file(path: str, wanted: str) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(MAX_PIN_BYTES + 3)
    except OSError as error:
        raise AuthenticationError(f"no {wanted}: {path} cannot be read: {error.strerror}") from None
    # Editors end a file with a line break, which is not part of the PIN.
    return data.removesuffix(b"\n").removesuffix(b"\r")


def _ask(wanted: str) -> str:
    # A service may have no standard input at all.
    if sys.stdin is None or not sys.stdin.isatty():
        raise AuthenticationError(
            f"no {wanted}: none was referred to and there is no terminal to ask at",
            remedy="add pin-source=file:/path or pin-source=env:NAME, or pass pin=callback",
        )
    try:
        return getpass(f"{wanted}: ")
    except EOFError:
        raise AuthenticationError(f"no {wanted}: the prompt was left") from None


def _checked(pin: object, wanted: str, source: str) -> SecretBytes:
    """Return a PIN as a SecretBytes; what is no PIN is told by its source, without showing it."""
    # Lone surrogates, which stand for bytes that are not UTF-8, must not raise: what is raised
    # for them carries the PIN.
    encoded = pin.encode(errors="surrogatepass") if isinstance(pin, str) else pin
    if not isinstance(encoded, bytes | bytearray | SecretBytes):
        problem = "neither text nor bytes"
    elif not encoded:
        problem = "empty"
    elif len(encoded) > MAX_PIN_BYTES:
        problem = "too long"
    elif not _is_utf8(encoded):
        problem = "not UTF-8"
    else:
        return encoded if isinstance(encoded, SecretBytes) else SecretBytes(encoded)
    # Tools that show the locals of a traceback would show it.
    del pin, encoded
    raise AuthenticationError(f"no {wanted}: {source} is {problem}")


def _is_utf8(data: bytes | bytearray | SecretBytes) -> bool:
    try:
        str(data.view() if isinstance(data, SecretBytes) else data, "utf-8")
    except UnicodeDecodeError:
        return False
    return True
