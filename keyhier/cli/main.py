"""`keyhier`: the entry point, which also answers where the packages of the command are missing."""

from __future__ import annotations

import sys

from keyhier.cli.failure import Failure
from keyhier.errors import UnsupportedError

__all__ = ["main"]


def main() -> None:
    """Run the command that the process was started for, and leave the process."""
    try:
        import typer  # noqa: PLC0415  # It may be missing, which is told below.

        from keyhier.cli.application import app  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("keyhier"):
            raise
        missing = UnsupportedError(
            f"the command needs the package {error.name}, which is not installed",
            remedy="pip install 'keyhier[cli]'",
        )
        sys.exit(Failure.of(missing).report(as_json="--json" in sys.argv))
    typer.main.get_command(app).main()
