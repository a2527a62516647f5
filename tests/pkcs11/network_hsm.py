"""A network HSM to kill, stop and restart: SoftHSM behind p11-kit-server."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken

SERVER = "/usr/libexec/p11-kit/p11-kit-server"


class NetworkHsm:
    """One token behind a socket, served by a process group that takes signals."""

    def __init__(self, token: SoftHsmToken, socket: Path) -> None:
        self._token = token
        self._socket = socket
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs in its environment."""
        client = next(Path("/usr/lib").glob("*/pkcs11/p11-kit-client.so"))
        uri = self._token.uri.replace(str(self._token.module_path), str(client))
        return {"P11_KIT_SERVER_ADDRESS": f"unix:path={self._socket}", "URI": uri}

    def start(self) -> None:
        """Serve, and wait until clients can connect."""
        self._socket.unlink(missing_ok=True)
        self._process = subprocess.Popen(
            [
                SERVER,
                *("-f", "-n", str(self._socket), "--provider", str(self._token.module_path)),
                f"pkcs11:token={self._token.label}",
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        while self._process.poll() is None and not self._socket.exists():
            time.sleep(0.005)

    def kill(self) -> None:
        """End every server process at once."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Let clients wait."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Answer them."""
        assert self._process is not None
        os.killpg(self._process.pid, signal.SIGCONT)
