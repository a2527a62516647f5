"""OpenSC's pkcs11-tool, an independent witness of what is on a token."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken


def pkcs11_tool(token: SoftHsmToken, *arguments: str) -> str:
    """Run pkcs11-tool, logged in, and return what it prints."""
    command = ["pkcs11-tool", "--module", str(token.module_path), "--token-label", token.label]
    done = subprocess.run(
        [*command, "--login", "--pin", token.pin, *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
