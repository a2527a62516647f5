"""What the child process of the thread check runs: ``python -m`` this module.

Standard input brings the task, one line of JSON, and behind it the PIN where there is one to hand
over; standard output takes the result, one line of JSON. A module that crashes under threads takes
this process down and no other.
"""

from __future__ import annotations

import json
import resource
import sys
import threading
import time
from collections import Counter
from typing import TYPE_CHECKING, Final

from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import PKCS11Error
from pkcs11.mechanisms import KeyType

from keyhier.errors import KeyhierError
from keyhier.uri import VaultUri
from keyhier_pkcs11.address import TokenAddress
from keyhier_pkcs11.driver import Pkcs11Driver
from keyhier_pkcs11.errors import code_of, translated
from keyhier_pkcs11.search import search
from keyhier_pkcs11.templates import secret_in_session

if TYPE_CHECKING:
    from keyhier_pkcs11.session import Connection

__all__ = ["main"]

_VALUE: Final = bytes(range(32))


class _Trial:
    """Threads that use one token at the same time, and what came of it."""

    def __init__(self, connection: Connection, until: float) -> None:
        self._connection = connection
        self._until = until
        self._template = secret_in_session(KeyType.GENERIC_SECRET, private=connection.logged_in) | {
            Attribute.VALUE: _VALUE
        }
        self.rounds = 0
        self.failures: Counter[str] = Counter()

    def work(self) -> None:
        """Go round until the time is up; one thread of several."""
        while time.monotonic() < self._until:
            try:
                self.round()
            except PKCS11Error as error:
                self.failures[code_of(error)] += 1
            except KeyhierError as error:
                self.failures[error.native or type(error).__name__] += 1
            self.rounds += 1

    def round(self) -> None:
        """Use the token once in each of several ways."""
        with self._connection.session() as session:
            session.generate_random(256)
            made = session.create_object(self._template)
            if made[Attribute.VALUE] != _VALUE:
                self.failures["wrong values"] += 1
            made.destroy()
        with self._connection.objects_lock, self._connection.session() as session:
            search(session, {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.TOKEN: True})


def main() -> None:
    """Read the task, do it, and write the result."""
    # A core file would hold the PIN.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    task = json.loads(sys.stdin.buffer.readline())
    pin = sys.stdin.buffer.read().decode()
    address = TokenAddress.from_uri(
        VaultUri.parse(task["uri"]), (lambda _: pin) if task["pin"] else None
    )
    driver = Pkcs11Driver.open(address)
    trial = _Trial(driver.connection, time.monotonic() + task["seconds"])
    try:
        trial.round()
    except PKCS11Error as error:
        raise translated(error, "a round", "what the threads were to do, on one thread") from error
    threads = [threading.Thread(target=trial.work) for _ in range(task["threads"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    driver.close()
    result = {"rounds": trial.rounds, "failures": trial.failures}
    sys.stdout.write(f"{json.dumps(result)}\n")


if __name__ == "__main__":
    try:
        main()
    except KeyhierError as error:
        told = {"error": error.message, "native": error.native, "remedy": error.remedy}
        sys.stdout.write(f"{json.dumps(told)}\n")
