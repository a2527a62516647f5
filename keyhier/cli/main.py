"""`keyhier`: the entry point, which also answers where the packages of the command are missing.

Whatever takes time to import is imported inside, where Ctrl-C is awaited.
"""

from __future__ import annotations

import signal
import sys

__all__ = ["main"]


def main() -> None:
    """Run the command that the process was started for, and leave the process."""
    try:
        _run()
    except KeyboardInterrupt:
        # As the command ends once all is imported, too.
        sys.exit(128 + signal.SIGINT)


def _run() -> None:
    import logging  # noqa: PLC0415  # See above.

    from keyhier.cli.failure import Failure  # noqa: PLC0415
    from keyhier.errors import UnsupportedError  # noqa: PLC0415

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
    # Python would write the warnings of libraries onto standard error, where one line is promised.
    logging.getLogger().addHandler(logging.NullHandler())
    typer.main.get_command(app).main()
