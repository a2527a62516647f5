"""The examination of a PKCS#11 token: what :meth:`Vault.doctor` finds on one.

Nothing on the token is changed. What is tried is tried with objects of a session, which are gone
afterwards, and the last check sees to it that they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pkcs11.constants import TokenFlag

from keyhier.doctor import Finding, Severity, guarded
from keyhier.errors import KeyhierError
from keyhier_pkcs11.doctor.attributes import examine_attributes
from keyhier_pkcs11.doctor.inventory import examine_inventory
from keyhier_pkcs11.doctor.mechanisms import examine_mechanisms
from keyhier_pkcs11.doctor.threads import examine_threads
from keyhier_pkcs11.doctor.token import examine_module, examine_sessions, examine_token
from keyhier_pkcs11.doctor.token_info import read_token_info
from keyhier_pkcs11.doctor.workbench import open_workbench
from keyhier_pkcs11.module import load_module
from keyhier_pkcs11.token import choose_token

if TYPE_CHECKING:
    from keyhier_pkcs11.address import TokenAddress
    from keyhier_pkcs11.session import Connection

__all__ = ["examine", "preliminaries"]


def preliminaries(address: TokenAddress) -> Iterator[Finding]:
    """Yield what is seen of a token without a login."""
    try:
        module = load_module(address.module_path, address.init_args)
    except KeyhierError as error:
        yield Finding.of_error("module", error)
        return
    yield from guarded("module", lambda: examine_module(module))
    try:
        token = choose_token(module, address)
    except KeyhierError as error:
        yield Finding.of_error("token", error)
        return
    yield from guarded("token", lambda: examine_token(module, token))


def examine(connection: Connection, address: TokenAddress) -> Iterator[Finding]:
    """Yield all that is found on a token that is open."""
    yield from preliminaries(address)
    yield _login(connection)
    slot = connection.token.slot
    yield from guarded(
        "sessions",
        lambda: examine_sessions(read_token_info(str(address.module_path), slot.slot_id)),
    )
    yield from guarded("abilities", lambda: _abilities(connection))
    yield from _trials(connection)
    yield from guarded("threads", lambda: examine_threads(connection, address))
    yield from guarded("keys", lambda: examine_inventory(connection))


def _login(connection: Connection) -> Finding:
    if connection.logged_in:
        return Finding("login", Severity.OK, "the token accepted the login")
    if TokenFlag.LOGIN_REQUIRED in connection.token.flags:
        found = "this process is not logged in any more"
        return Finding("login", Severity.ERROR, found, "open the vault again")
    return Finding(
        "login",
        Severity.NOTE,
        "the token is open without a login: private objects are not seen, and whoever gets to the "
        "module gets to the keys",
        "name a pin-source in the URI, if the token has a PIN",
    )


def _abilities(connection: Connection) -> Iterator[Finding]:
    abilities = connection.abilities
    specs, algorithms = sorted(abilities.key_specs), sorted(abilities.algorithms)
    if algorithms:
        found = f"makes {', '.join(specs) or 'no keys'}; unwraps {', '.join(algorithms)}"
        severity, remedy = Severity.OK, None
    else:
        found = "no algorithm of keyhier's can be used with this token"
        severity, remedy = Severity.ERROR, "see the mechanisms below, and the HSM's policy"
    yield Finding("abilities", severity, found, remedy)


def _trials(connection: Connection) -> Iterator[Finding]:
    found: list[Finding] = []
    # What was found is told also where the token does not let the workbench be cleared.
    cleared = [*guarded("trials", lambda: _tried(connection, found))]
    yield from found
    yield from cleared


def _tried(connection: Connection, found: list[Finding]) -> Iterator[Finding]:
    with open_workbench(connection) as bench:
        found.extend(examine_mechanisms(bench))
        found.extend(examine_attributes(bench))
    left = bench.left_over()
    if left:
        said = f"{left} objects of this examination are still there, called {bench.label!r}"
        yield Finding("trials", Severity.ERROR, said, "delete them; do not trust session objects")
    else:
        said = "what was made to try with was in the session only, and is gone"
        yield Finding("trials", Severity.OK, said)
