"""A network HSM for tests, which can be killed, stopped and restarted.

It is a SoftHSM token behind p11-kit-server, used through p11-kit-client.so: every call travels
over a socket and is carried out in another process. p11-kit passes on no AES mechanism, so that
RSA keys are all it has.

The client takes the server's address from the environment when it is loaded, so a process has one
server at a time, always at the same address.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from functools import cache
from pathlib import Path
from typing import Final, Self

import attrs

from keyhier.errors import InvalidStateError, NotFoundError, UnavailableError
from keyhier.testing.folders import new_folder
from keyhier.testing.prepared import PreparedToken

__all__ = ["NetworkHsm", "find_p11_kit"]

_SERVERS: Final = ("/usr/libexec/p11-kit/p11-kit-server", "/usr/lib/p11-kit/p11-kit-server")
_CLIENTS: Final = (
    "/usr/lib/x86_64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib/aarch64-linux-gnu/pkcs11/p11-kit-client.so",
    "/usr/lib64/pkcs11/p11-kit-client.so",
    "/usr/lib/pkcs11/p11-kit-client.so",
)
_ADDRESS: Final = "P11_KIT_SERVER_ADDRESS"
_PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.005


def find_p11_kit() -> tuple[Path, Path] | None:
    """Return p11-kit's server and its client module, or None where they are not installed."""
    found = [
        next((Path(place) for place in places if Path(place).is_file()), None)
        for places in (_SERVERS, _CLIENTS)
    ]
    return (found[0], found[1]) if found[0] and found[1] else None


@cache
def _socket() -> Path:
    """Return where this process's servers listen; the folder is deleted when it ends."""
    return new_folder("p11-kit") / "socket"


class NetworkHsm:
    """A SoftHSM token behind a server of its own; a context manager that starts and ends it."""

    def __init__(self, token: PreparedToken) -> None:
        """Prepare to serve ``token``; :meth:`start` does.

        Raises:
            NotFoundError: p11-kit's server or client module is not installed.
        """
        found = find_p11_kit()
        if found is None:
            raise NotFoundError(
                "p11-kit's server or its client module is not installed",
                remedy="install p11-kit and p11-kit-modules",
            )
        self._program, client = found
        self._provider = token.module_path
        self._server: subprocess.Popen[bytes] | None = None
        self.socket = _socket()
        self.token = attrs.evolve(token, module_path=client)
        os.environ[_ADDRESS] = f"unix:path={self.socket}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def uri(self) -> str:
        """The URI that opens the token over the network."""
        return self.token.uri

    def start(self) -> None:
        """Start the server, for the first time or again, and wait until it listens.

        Raises:
            InvalidStateError: a server of this process is running.
            UnavailableError: the server does not start.
        """
        if self.socket.exists():
            raise InvalidStateError("a process has one network HSM at a time")
        command = [str(self._program), "-f", "-n", str(self.socket)]
        command += ["--provider", str(self._provider), self.token.uri.partition("?")[0]]
        # In a process group of its own, with the process that it starts for each client.
        self._server = subprocess.Popen(  # noqa: S603  # The program found above.
            command, stdout=subprocess.DEVNULL, process_group=0
        )
        deadline = time.monotonic() + _PATIENCE_SECONDS
        while not self.socket.exists():
            if self._server.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise UnavailableError("p11-kit-server does not start")
            time.sleep(_PAUSE_SECONDS)

    def kill(self) -> None:
        """End the server and what it does for its clients at once, as if the plug were pulled."""
        if self._server is not None:
            self._signal(signal.SIGKILL)
            self._server.wait()
            self._server = None
            self.socket.unlink(missing_ok=True)

    def stop(self) -> None:
        """Freeze the server: calls to it block until :meth:`resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a frozen server go on."""
        self._signal(signal.SIGCONT)

    def restart(self) -> None:
        """Kill the server and start it again."""
        self.kill()
        self.start()

    def _signal(self, number: signal.Signals) -> None:
        if self._server is None:
            raise InvalidStateError("the network HSM is not running")
        os.killpg(self._server.pid, number)
