"""The commands put together, and what every end of one looks like."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from keyhier.cli import (
    ade,
    audit,
    backends,
    census,
    check,
    demo,
    encryption_set,
    envelope,
    inspect,
    jobs,
    key,
    keyvault,
    migrate,
    protection,
    records,
    rotate,
    set_plan,
    tree,
    vault,
    volume_key,
)
from keyhier.cli.failure import CLOSED_PIPE, INTERRUPTED, Failure
from keyhier.cli.session import (
    ConfigOption,
    JsonOption,
    ProfileOption,
    RecordsOption,
    Session,
    Settings,
    VaultOption,
)
from keyhier.errors import InvalidInputError, KeyhierError, UnavailableError

__all__ = ["Application", "app"]


class Application(TyperGroup):
    """Ends with a documented exit code, and with one line instead of a traceback."""

    def main(self, args: Sequence[str] | None = None, *_: object, **extra: Any) -> NoReturn:
        """Run one command and leave the process."""
        given = list(sys.argv[1:] if args is None else args)
        _require_streams()
        # Labels may hold characters that the terminal's encoding lacks.
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # A TextIOWrapper.
        extra.update(prog_name="keyhier", standalone_mode=False)
        try:
            code = self._run(given, extra)
        except BrokenPipeError:
            # What Python still holds back would fail again when the process ends.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = CLOSED_PIPE
        sys.exit(code)

    def _run(self, given: list[str], extra: dict[str, Any]) -> int:
        as_json = "--json" in given
        try:
            code = super().main(given, **extra) or 0
            sys.stdout.flush()
        except KeyhierError as error:
            failure = Failure.of(error)
        except typer.TyperException as error:
            if not error.format_message():
                # A group without a command: its help was shown already.
                return error.exit_code
            failure = Failure.of_usage(error.format_message())
        except (KeyboardInterrupt, typer.Abort):
            return INTERRUPTED
        except BrokenPipeError:
            raise
        except SystemExit:
            # Typer leaves like this where a pipe is closed, and nowhere else.
            raise BrokenPipeError from None
        except OSError as error:
            name = errno.errorcode.get(error.errno or 0, "OSError")
            failure = Failure.of(
                UnavailableError(f"the system refused: {error.strerror}", native=name)
            )
        except Exception as error:  # noqa: BLE001  # Whatever it is, no traceback with its values is shown.
            failure = Failure.of_mistake(error)
        else:
            return int(code)
        return failure.report(as_json=as_json)


def _require_streams() -> None:
    """Leave where standard input, output or error is closed.

    The next file that is opened would get its number, and a secret or a message meant for the
    stream would be written into it.
    """
    for name, direction in (("stdin", "from"), ("stdout", "to"), ("stderr", "to")):
        if getattr(sys, name) is None:
            closed = InvalidInputError(
                f"{name} is closed", remedy=f"redirect it {direction} /dev/null"
            )
            failure = Failure.of(closed)
            sys.exit(failure.report(as_json=False) if sys.stderr else failure.exit_code)


app = typer.Typer(
    name="keyhier",
    cls=Application,
    help="Make disk keys, wrap them under keys in an HSM or a vault, and get them back.",
    epilog="A vault is named by --vault URI, KEYHIER_VAULT, or a profile of keyhier.toml. "
    "memory: alone is a new vault for every command; with ?file=/path it stays.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.add_typer(key.app, name="key")
app.add_typer(keyvault.app, name="keyvault")
app.add_typer(vault.app, name="vault")
app.add_typer(volume_key.app, name="volume-key")
app.add_typer(ade.app, name="ade")
app.add_typer(records.app, name="records")
app.add_typer(audit.app, name="audit")
encryption_set.app.command("plan")(set_plan.plan_encryption_set)
app.add_typer(encryption_set.app, name="set")
app.command("protect")(protection.protect)
app.command("recover")(protection.recover)
app.command("recover-offline")(protection.recover_offline)
app.command("create-kek")(protection.create_kek)
app.add_typer(jobs.app, name="jobs")
app.command("rotate")(rotate.rotate)
app.command("migrate")(migrate.migrate)
app.command("tree")(tree.tree)
app.command("census")(census.census)
app.command("retire")(census.retire)
app.command("reinstate")(census.reinstate)
app.command("wrap")(envelope.wrap)
app.command("unwrap")(envelope.unwrap)
app.command("inspect")(inspect.inspect)
app.command("check")(check.check)
app.command("backends")(backends.backends)
app.command("demo")(demo.demo)


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    *,
    show_version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
    vault: VaultOption = None,
    records: RecordsOption = None,
    profile: ProfileOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    settings = Settings(vault, profile, config, as_json, records)
    ctx.obj = settings
    if show_version:
        number = version("keyhier")
        Session(settings).show({"version": number}, f"keyhier {number}")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        raise typer.TyperException("a command is missing")
