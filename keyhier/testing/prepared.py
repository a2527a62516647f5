"""A token that is ready to be opened: what the tokens to test with have in common."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import attrs

from keyhier.uri import quote_text

__all__ = ["PreparedToken", "write_pin"]


@attrs.frozen(kw_only=True)
class PreparedToken:
    """A token with a user PIN.

    Attributes:
        label: its label.
        pin: the user's PIN.
        pin_file: a file of mode 0600 that holds the user's PIN.
        module_path: the PKCS#11 module that shows it.
        init_args: what the module is told when it is initialised, or nothing.
    """

    label: str
    pin: str = attrs.field(repr=False)
    pin_file: Path
    module_path: Path
    init_args: str = ""

    @property
    def uri(self) -> str:
        """The URI that opens the token by its label, with the PIN from the file."""
        told = f"&init-args={quote(self.init_args, safe='')}" if self.init_args else ""
        return (
            f"pkcs11:token={quote_text(self.label)}"
            f"?module-path={self.module_path}&pin-source=file:{self.pin_file}{told}"
        )


def write_pin(path: Path, pin: str) -> Path:
    """Write a PIN into a new file that only its owner can read, and return its path."""
    path.touch(mode=0o600)
    path.write_text(pin)
    return path
