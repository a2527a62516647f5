"""The examination of a PKCS#11 token: what :meth:`Vault.doctor` finds on one.

Nothing on the token is changed. What is tried is tried with objects of a session, which are gone
afterwards, and the last check sees to it that they are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING

from pkcs11.constants import TokenFlag

from keyhier.doctor import Finding, Severity, guarded
from keyhier.errors import KeyhierError
from keyhier_pkcs11.deadline import Deadline, Workers
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
    workers = Workers(address.max_sessions)
    try:
        yield from _preliminaries(address, Deadline(address.timeout, workers))
    finally:
        workers.close()


def examine(connection: Connection, address: TokenAddress, deadline: Deadline) -> Iterator[Finding]:
    """Yield all that is found on a token that is open.

    Args:
        deadline: how much time each check has.
    """
    yield from _preliminaries(address, deadline)
    yield from _within(deadline, "login", lambda: _login(connection))
    yield from _within(deadline, "sessions", lambda: _sessions(connection))
    yield from _within(deadline, "abilities", lambda: _abilities(connection))
    yield from _within(deadline, "trials", lambda: _trials(connection))
    # Asks a person, perhaps, and sees to its time by itself.
    yield from guarded("threads", lambda: examine_threads(connection, address))
    yield from _within(deadline, "keys", lambda: examine_inventory(connection))


def _within(
    deadline: Deadline, check: str, examine: Callable[[], Iterable[Finding]]
) -> Iterator[Finding]:
    """Make one check, wholly within the deadline; see :func:`keyhier.doctor.guarded`."""
    # A generator would come back to another thread each time.
    return guarded(check, lambda: deadline.run(lambda: [*guarded(check, examine)]))


def _preliminaries(address: TokenAddress, deadline: Deadline) -> Iterator[Finding]:
    load = partial(load_module, address.module_path, address.init_args)
    try:
        module = deadline.run(load)
    except KeyhierError as error:
        yield Finding.of_error("module", error)
        return
    yield from _within(deadline, "module", lambda: examine_module(module))
    try:
        token = deadline.run(partial(choose_token, module, address))
    except KeyhierError as error:
        yield Finding.of_error("token", error)
        return
    yield from _within(deadline, "token", lambda: examine_token(module, token))


def _login(connection: Connection) -> Iterator[Finding]:
    if connection.logged_in:
        yield Finding("login", Severity.OK, "the token accepted the login")
    elif TokenFlag.LOGIN_REQUIRED in connection.token.flags:
        found = "this process is not logged in any more"
        yield Finding("login", Severity.ERROR, found, "open the vault again")
    else:
        yield Finding(
            "login",
            Severity.NOTE,
            "the token is open without a login: private objects are not seen, and whoever gets to "
            "the module gets to the keys",
            "name a pin-source in the URI, if the token has a PIN",
        )


def _sessions(connection: Connection) -> Iterator[Finding]:
    with connection.module.calls:
        info = read_token_info(connection.module.so, connection.token.slot.slot_id)
    yield from examine_sessions(info, connection.max_sessions)


def _abilities(connection: Connection) -> Iterator[Finding]:
    abilities = connection.abilities
    specs, algorithms = connection.recovering(
        lambda _: (sorted(abilities.key_specs), sorted(abilities.algorithms))
    )
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
