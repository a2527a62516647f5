"""A private PostgreSQL for tests: a cluster in a temporary folder, reached by a Unix socket only.

Nothing of a PostgreSQL that the machine runs otherwise is read or changed. PostgreSQL refuses to
run as root, so for root it runs as ``postgres`` or ``nobody``. It ends with the process that
started it, however that ends.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Final, Self
from urllib.parse import quote

from keyhier.errors import NotFoundError, UnavailableError

__all__ = ["Postgresql", "find_postgresql"]

_DEBIAN: Final = Path("/usr/lib/postgresql")
_USER: Final = "keyhier"
_START_SECONDS: Final = 60.0
_PAUSE_SECONDS: Final = 0.05

# A server that is thrown away after the tests may lose what it wrote when the machine fails.
_SETTINGS: Final = (
    "listen_addresses=",
    "fsync=off",
    "full_page_writes=off",
    "shared_buffers=16MB",
    "max_connections=100",
)


def find_postgresql() -> Path | None:
    """Return the folder of the newest PostgreSQL's server programs, or None.

    Debian keeps them outside of the PATH.
    """
    versions = sorted(
        (place for place in _DEBIAN.glob("*/bin") if (place / "initdb").is_file()),
        key=lambda place: [int(part) for part in place.parent.name.split(".") if part.isdecimal()],
    )
    if versions:
        return versions[-1]
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


class Postgresql:
    """A running server; a context manager that ends it and deletes everything.

    Attributes:
        folder: where its data and its socket lie.
    """

    def __init__(self) -> None:
        """Make the cluster and start the server.

        Raises:
            NotFoundError: PostgreSQL is not installed.
            UnavailableError: it does not start.
        """
        programs = find_postgresql()
        if programs is None:
            raise NotFoundError("PostgreSQL's server is not installed", remedy="make packages")
        self._programs = programs
        self._server: subprocess.Popen[bytes] | None = None
        # Not in a folder of pytest's, which other users may not enter; a socket's path is short.
        self.folder = Path(tempfile.mkdtemp(prefix="keyhier-pg-"))
        try:
            self._make()
            self.start()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the server and delete its folder."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _make(self) -> None:
        as_user: list[str] = []
        if os.geteuid() == 0:
            user = _unprivileged()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            as_user = [f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"]
        self._as_user = ["setpriv", *as_user]
        made = subprocess.run(  # noqa: S603  # Its own arguments.
            [
                *self._as_user,
                str(self._programs / "initdb"),
                f"--pgdata={self.folder / 'data'}",
                f"--username={_USER}",
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C.UTF-8",
                "--no-sync",
            ],
            cwd="/",
            capture_output=True,
            check=False,
        )
        if made.returncode:
            raise UnavailableError("initdb failed", native=made.stderr.decode(errors="replace"))

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            UnavailableError: it does not.
        """
        settings = (*_SETTINGS, f"unix_socket_directories={self.folder}")
        log = self.folder / "log"
        with log.open("ab") as output:
            self._server = subprocess.Popen(  # noqa: S603  # Its own arguments.
                [
                    *self._as_user,
                    # Immediate shutdown when the process that started it is gone.
                    "--pdeathsig=QUIT",
                    str(self._programs / "postgres"),
                    f"-D{self.folder / 'data'}",
                    *(part for setting in settings for part in ("-c", setting)),
                ],
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        until = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > until:
                raise UnavailableError(
                    "PostgreSQL did not start", native=log.read_text(errors="replace")[-1000:]
                )
            time.sleep(_PAUSE_SECONDS)

    def _answers(self) -> bool:
        asked = subprocess.run(  # noqa: S603  # Its own arguments.
            [str(self._programs / "pg_isready"), "--quiet", f"--host={self.folder}"], check=False
        )
        return asked.returncode == 0

    def stop(self) -> None:
        """End the server at once, as a crash would; :meth:`start` brings it back."""
        if self._server is not None:
            self._server.send_signal(signal.SIGQUIT)
            self._server.wait()
            self._server = None

    def new_database(self) -> str:
        """Make an empty database and return the URL of a store of records in it."""
        name = f"keyhier_{secrets.token_hex(6)}"
        subprocess.run(  # noqa: S603  # Its own arguments.
            [
                str(self._programs / "createdb"),
                f"--host={self.folder}",
                f"--username={_USER}",
                name,
            ],
            check=True,
        )
        return f"postgresql:///{name}?host={quote(str(self.folder))}&user={_USER}"


def _unprivileged() -> pwd.struct_passwd:
    for name in ("postgres", "nobody"):
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise NotFoundError("PostgreSQL does not run as root, and there is no user `nobody`")
