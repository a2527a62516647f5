"""`keyhier keyvault`: a Key Vault on loopback, for tests outside Python."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Annotated, Final

import typer
from rich.table import Table

from keyhier.cli.session import Session, console, json_command
from keyhier.errors import UnavailableError

if TYPE_CHECKING:
    from keyhier.testing.keyvault import KeyVault

__all__ = ["app"]

_ENDS: Final = (signal.SIGINT, signal.SIGTERM)

app = typer.Typer(help="A Key Vault on loopback, for tests.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Without a callback, Typer makes a group of one command that command."""


@app.command("serve")
@json_command
def serve(
    session: Session,
    *,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="The port on 127.0.0.1; 0 for a free one.")
    ] = 0,
    managed_hsm: Annotated[
        bool, typer.Option("--managed-hsm", help="A Managed HSM: AES keys, no secrets.")
    ] = False,
    region: Annotated[str, typer.Option(help="The region that answers name.")] = "westeurope",
    recoverable_days: Annotated[
        int, typer.Option(min=7, max=90, help="How long what is deleted can be recovered.")
    ] = 90,
    purge_protection: Annotated[
        bool, typer.Option("--purge-protection", help="Nothing is purged before that.")
    ] = False,
    delay: Annotated[
        float, typer.Option(min=0, help="Seconds that a delete, recovery or purge takes.")
    ] = 0.05,
    throttle: Annotated[
        bool, typer.Option("--throttle", help="Enforce the service's published limits.")
    ] = False,
) -> None:
    """Run a vault until Ctrl-C or SIGTERM; what is in it is gone then.

    With --json it writes one line when it is ready, with all that a client needs. The token and the
    client secret are good for this vault alone.
    """
    # No other command shall wait for the import of a server.
    from keyhier.testing.keyvault import KeyVault  # noqa: PLC0415

    # Threads are born with the signals that their maker has blocked: all wait for the end here.
    signal.pthread_sigmask(signal.SIG_BLOCK, _ENDS)
    try:
        vault = KeyVault(
            managed_hsm=managed_hsm,
            port=port,
            region=region,
            recoverable_days=recoverable_days,
            purge_protection=purge_protection,
            delay=delay,
        )
    except OSError as error:
        raise UnavailableError(
            f"port {port} of 127.0.0.1 cannot be had: {error.strerror}",
            remedy="choose another --port, or 0 for a free one",
        ) from error
    with vault:
        if throttle:
            vault.throttle()
        _announce(session, vault, managed_hsm=managed_hsm)
        signal.sigwait(_ENDS)


def _announce(session: Session, vault: KeyVault, *, managed_hsm: bool) -> None:
    tenant = vault.tenant
    kind = "&kind=managedhsm" if managed_hsm else ""
    document = {
        "url": vault.url,
        "keyhier_vault": f"{vault.url}?ca-file={vault.ca_file}{kind}",
        "ca_file": vault.ca_file,
        "authority": tenant.authority,
        "tenant_id": tenant.tenant_id,
        "client_id": tenant.client_id,
        "client_secret": tenant.client_secret,
        "token": tenant.token(),
    }
    if session.settings.as_json:
        # One line, so that whoever started this can read until its end.
        sys.stdout.write(f"{json.dumps(document)}\n")
    else:
        table = Table.grid(padding=(0, 2))
        for name, value in document.items():
            table.add_row(name, value)
        console().print(table, crop=False)
        sys.stdout.write("The vault is ready. Ctrl-C ends it.\n")
    sys.stdout.flush()
