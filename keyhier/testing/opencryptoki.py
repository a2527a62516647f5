"""An opencryptoki token for tests, whose configuration belongs to the whole system.

opencryptoki has one configuration, one daemon and one folder of tokens for a machine, at fixed
places. So this takes a machine that does not use it, and root: what is there is moved aside, and
put back afterwards. A process that was killed before it could leaves a journal, by which the next
one puts everything back first.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Final

from keyhier.errors import (
    AccessDeniedError,
    InvalidStateError,
    NotFoundError,
    UnavailableError,
)
from keyhier.testing.cryptoki import Cryptoki
from keyhier.testing.folders import new_folder
from keyhier.testing.prepared import PreparedToken, write_pin

__all__ = ["find_opencryptoki", "opencryptoki_token"]

_DAEMON: Final = Path("/usr/sbin/pkcsslotd")
_MODULES: Final = (
    "/usr/lib/x86_64-linux-gnu/opencryptoki/libopencryptoki.so.0",
    "/usr/lib/aarch64-linux-gnu/opencryptoki/libopencryptoki.so.0",
    "/usr/lib64/opencryptoki/libopencryptoki.so.0",
    "/usr/lib/opencryptoki/libopencryptoki.so.0",
)
_CONFIGURATION: Final = Path("/etc/opencryptoki/opencryptoki.conf")
_TOKEN: Final = Path("/var/lib/opencryptoki/swtok")
_LOCKS: Final = Path("/run/lock/opencryptoki")
_SOCKET: Final = Path("/run/pkcsslotd.socket")
_PID: Final = Path("/run/pkcsslotd.pid")
# All that the daemon and the token write.
_PLACES: Final = (
    _CONFIGURATION,
    _TOKEN,
    _LOCKS,
    _SOCKET,
    _PID,
    Path("/dev/shm/var.lib.opencryptoki.swtok"),  # noqa: S108  # Where shm_open makes it.
)
_ASIDE: Final = ".before-keyhier"
_JOURNAL: Final = Path("/var/lib/keyhier-opencryptoki.journal")
_ONE_SLOT: Final = "version opencryptoki-3.1\nslot 0\n{\nstdll = libpkcs11_sw.so\n}\n"
_GROUP: Final = "pkcs11"

_FACTORY_SO_PIN: Final = "87654321"
_PATIENCE_SECONDS: Final = 10.0
_PAUSE_SECONDS: Final = 0.01
_RESPITE_SECONDS: Final = 0.5


def find_opencryptoki() -> Path | None:
    """Return opencryptoki's PKCS#11 module, or None where it or its daemon is not installed."""
    found = next((Path(place) for place in _MODULES if Path(place).exists()), None)
    return found if _DAEMON.exists() else None


@contextmanager
def opencryptoki_token() -> Iterator[PreparedToken]:
    """Lend a fresh opencryptoki token, the machine's only one, until the block ends.

    A second process that asks waits until the first is done. Close every vault on the token
    before the block ends: the module is finalised then. It is a copy for this token alone, of no
    use afterwards: opencryptoki 3.8.1 closes the number of its lock file whenever it is finalised,
    and after the first time that is a number of somebody else's file.

    Raises:
        NotFoundError: opencryptoki is not installed.
        AccessDeniedError: this process is not root.
        InvalidStateError: the machine uses opencryptoki: its daemon runs.
        UnavailableError: the daemon does not start, or refuses.
    """
    installed = find_opencryptoki()
    if installed is None:
        raise NotFoundError("opencryptoki is not installed", remedy="install opencryptoki")
    if os.geteuid() != 0:
        raise AccessDeniedError("opencryptoki's configuration is root's", remedy="run as root")
    with ExitStack() as stack:
        stack.enter_context(_alone())
        if _JOURNAL.exists():
            # What runs is the daemon of the process that left it.
            _wait_for(_ended)
        if _daemons():
            raise InvalidStateError(
                "this machine uses opencryptoki: pkcsslotd is running",
                remedy="stop it for the time of the test: systemctl stop pkcsslotd",
            )
        _put_back()
        stack.callback(_put_back)
        _move_aside()
        _configure()
        stack.enter_context(_daemon())
        folder = new_folder("opencryptoki")
        stack.callback(shutil.rmtree, folder)
        module_path = Path(shutil.copy(installed, folder))
        cryptoki = Cryptoki(module_path)
        cryptoki.initialize()
        stack.callback(cryptoki.finalize)
        yield _prepare(cryptoki, module_path, folder)


@contextmanager
def _alone() -> Iterator[None]:
    # A folder can be locked as a file can, and there is one here that stays.
    folder = os.open(_CONFIGURATION.parent, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def _prepare(cryptoki: Cryptoki, module_path: Path, folder: Path) -> PreparedToken:
    label = f"keyhier-{secrets.token_hex(4)}"
    # At most 8 characters; what it was made with has to be changed before it is of use.
    so_pin, first_pin, pin = (secrets.token_hex(4) for _ in range(3))
    (slot,) = cryptoki.slots()
    cryptoki.init_token(slot, label, _FACTORY_SO_PIN)
    cryptoki.change_so_pin(slot, _FACTORY_SO_PIN, so_pin)
    cryptoki.init_pin(slot, so_pin, first_pin)
    cryptoki.change_pin(slot, first_pin, pin)
    pin_file = write_pin(folder / "pin", pin)
    return PreparedToken(label=label, pin=pin, pin_file=pin_file, module_path=module_path)


@contextmanager
def _daemon() -> Iterator[None]:
    # It ends with this process, however that ends.
    command = ["setpriv", "--pdeathsig", "TERM", str(_DAEMON), "-f"]
    daemon = subprocess.Popen(  # noqa: S603  # The program found above.
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(lambda: (_SOCKET.exists() and _PID.exists()) or daemon.poll() is not None)
        if daemon.poll() is not None or not _SOCKET.exists():
            raise UnavailableError("pkcsslotd does not start")
        yield
    finally:
        # It misses a signal that comes just as it begins to wait.
        while daemon.poll() is None:
            daemon.terminate()
            with suppress(subprocess.TimeoutExpired):
                daemon.wait(_RESPITE_SECONDS)


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while not condition() and time.monotonic() < deadline:
        time.sleep(_PAUSE_SECONDS)


def _ended() -> bool:
    """Ask every pkcsslotd to end; True when there is none."""
    for process in _daemons():
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    time.sleep(_RESPITE_SECONDS)
    return not _daemons()


def _daemons() -> list[int]:
    """Return the processes that run pkcsslotd: none of ours while nobody has the lock."""
    processes = Path("/proc").glob("[0-9]*")
    return [int(process.name) for process in processes if _program(process) == _DAEMON]


def _program(process: Path) -> Path | None:
    try:
        return (process / "exe").readlink()
    except OSError:
        # It has ended meanwhile.
        return None


def _move_aside() -> None:
    present = [place for place in _PLACES if place.exists()]
    written = _JOURNAL.with_suffix(".new")
    written.write_text("".join(f"{place}\n" for place in present))
    # Whoever finds the journal finds it whole.
    written.rename(_JOURNAL)
    for place in present:
        place.rename(_aside(place))


def _configure() -> None:
    _CONFIGURATION.write_text(_ONE_SLOT)
    for folder in (_TOKEN, _TOKEN / "TOK_OBJ", _LOCKS, _LOCKS / _TOKEN.name):
        folder.mkdir()
        folder.chmod(0o770)
        shutil.chown(folder, "root", _GROUP)


def _put_back() -> None:
    """Put back what the journal says was there, and remove what was not."""
    if not _JOURNAL.exists():
        return
    before = _JOURNAL.read_text().splitlines()
    for place in _PLACES:
        aside = _aside(place)
        # What the journal names and does not lie aside was not moved yet.
        if str(place) in before and not aside.exists():
            continue
        if place.is_dir():
            shutil.rmtree(place)
        else:
            place.unlink(missing_ok=True)
        if aside.exists():
            aside.rename(place)
    _JOURNAL.unlink()


def _aside(place: Path) -> Path:
    return place.with_name(place.name + _ASIDE)
