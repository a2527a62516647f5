"""Files that hold a secret."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import pytest

from keyhier.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
)
from keyhier.secret import SecretBytes
from keyhier.secret_file import read_secret_file, write_secret_file


@pytest.fixture
def secret() -> Iterator[SecretBytes]:
    with SecretBytes(b"the secret") as made:
        yield made


@pytest.fixture
def no_hard_links(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system answers as it does on FAT; none can be mounted here."""

    def refuse(*args: object, **options: object) -> NoReturn:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)


@pytest.fixture
def no_modes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The system answers as it does where modes cannot be changed."""

    def refuse(*args: object) -> NoReturn:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "fchmod", refuse)


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_file_holds_the_secret_and_nothing_else(tmp_path: Path, secret: SecretBytes) -> None:
    path = tmp_path / "key"
    write_secret_file(path, secret)
    assert path.read_bytes() == b"the secret"
    assert list(tmp_path.iterdir()) == [path]
    assert not secret.wiped


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o277, 0o777])
def test_the_mode_is_0600_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    # The umask is the process's: another thread's files must not see it.
    program = (
        "import os, sys; from keyhier.secret import SecretBytes; "
        "from keyhier.secret_file import write_secret_file; "
        "os.umask(int(sys.argv[2])); write_secret_file(sys.argv[1], SecretBytes(b'x'))"
    )
    path = tmp_path / "key"
    subprocess.run([sys.executable, "-c", program, path, str(umask)], check=True)
    assert mode(path) == 0o600


def test_a_relative_name_is_taken_in_the_working_directory(
    tmp_path: Path, secret: SecretBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write_secret_file("key", secret)
    assert (tmp_path / "key").read_bytes() == b"the secret"


def test_an_existing_file_is_refused_and_kept(tmp_path: Path, secret: SecretBytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"before")
    with pytest.raises(AlreadyExistsError) as refused:
        write_secret_file(path, secret)
    assert refused.value.remedy
    assert path.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [path]


def test_overwriting_replaces_the_file_and_its_mode(tmp_path: Path, secret: SecretBytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"before")
    path.chmod(0o644)
    with path.open("rb") as opened:
        write_secret_file(path, secret, overwrite=True)
        # Whoever had the old file open does not see the new one through it.
        assert opened.read() == b"before"
    assert path.read_bytes() == b"the secret"
    assert mode(path) == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("dangling", [False, True])
def test_a_symbolic_link_is_never_followed(
    tmp_path: Path, secret: SecretBytes, *, dangling: bool
) -> None:
    elsewhere = tmp_path / "elsewhere"
    if not dangling:
        elsewhere.write_bytes(b"before")
    path = tmp_path / "key"
    path.symlink_to(elsewhere)
    with pytest.raises(AlreadyExistsError):
        write_secret_file(path, secret)
    assert path.is_symlink()
    write_secret_file(path, secret, overwrite=True)
    assert not path.is_symlink()
    assert path.read_bytes() == b"the secret"
    assert elsewhere.exists() != dangling
    assert dangling or elsewhere.read_bytes() == b"before"


def test_of_many_writers_exactly_one_succeeds(tmp_path: Path) -> None:
    path = tmp_path / "key"
    start = threading.Barrier(8)

    def write(number: int) -> bool:
        with SecretBytes(bytes([number]) * 1000) as mine:
            start.wait()
            try:
                write_secret_file(path, mine)
            except AlreadyExistsError:
                return False
            return True

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(write, range(8)))
    assert won.count(True) == 1
    assert path.read_bytes() == bytes([won.index(True)]) * 1000
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.usefixtures("no_hard_links", "no_modes")
class TestOnFat:
    def test_a_new_file_is_written(self, tmp_path: Path, secret: SecretBytes) -> None:
        path = tmp_path / "key"
        write_secret_file(path, secret)
        assert path.read_bytes() == b"the secret"
        assert mode(path) == 0o600
        assert list(tmp_path.iterdir()) == [path]

    def test_an_existing_file_is_refused_and_kept(
        self, tmp_path: Path, secret: SecretBytes
    ) -> None:
        path = tmp_path / "key"
        path.write_bytes(b"before")
        with pytest.raises(AlreadyExistsError):
            write_secret_file(path, secret)
        assert path.read_bytes() == b"before"
        assert list(tmp_path.iterdir()) == [path]

    def test_overwriting_replaces_it(self, tmp_path: Path, secret: SecretBytes) -> None:
        path = tmp_path / "key"
        path.write_bytes(b"before")
        write_secret_file(path, secret, overwrite=True)
        assert path.read_bytes() == b"the secret"


@pytest.mark.parametrize(
    ("where", "overwrite", "expected", "native"),
    [
        ("missing/key", False, NotFoundError, "ENOENT"),
        ("file/key", False, NotFoundError, "ENOTDIR"),
        ("folder", False, AlreadyExistsError, "EEXIST"),
        ("folder", True, InvalidInputError, "EISDIR"),
        ("x" * 300, False, InvalidInputError, "ENAMETOOLONG"),
        ("a\0b", False, InvalidInputError, None),
    ],
)
def test_a_place_that_cannot_hold_it_is_told(
    tmp_path: Path,
    secret: SecretBytes,
    where: str,
    overwrite: bool,
    expected: type[KeyhierError],
    native: str | None,
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with pytest.raises(expected) as refused:
        write_secret_file(tmp_path / where, secret, overwrite=overwrite)
    assert refused.value.native == native
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


def test_a_folder_that_refuses_new_files_is_told(secret: SecretBytes) -> None:
    # Nobody makes files here, not even root.
    with pytest.raises(AccessDeniedError):
        write_secret_file("/sys/keyhier-test", secret)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_disk_that_fills_up_leaves_what_was_there(tmp_path: Path, *, overwrite: bool) -> None:
    # A limit on the size of files stops the writing halfway, like a full disk.
    program = """
import resource, sys
from keyhier.errors import UnavailableError
from keyhier.secret import SecretBytes
from keyhier.secret_file import write_secret_file
resource.setrlimit(resource.RLIMIT_FSIZE, (100, resource.RLIM_INFINITY))
try:
    write_secret_file(sys.argv[1], SecretBytes(bytes(1000)), overwrite=sys.argv[2] == "True")
except UnavailableError as error:
    assert error.native == "EFBIG", error.native
    # What coverage writes at the end is no part of the test.
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    sys.exit(7)
"""
    path = tmp_path / "key"
    if overwrite:
        path.write_bytes(b"before")
    done = subprocess.run([sys.executable, "-c", program, path, str(overwrite)], check=False)
    assert done.returncode == 7
    assert list(tmp_path.iterdir()) == ([path] if overwrite else [])
    assert not overwrite or path.read_bytes() == b"before"


def fsync_that_refuses_folders(refusal: int) -> Callable[[int], None]:
    sync = os.fsync

    def fsync(handle: int) -> None:
        if stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(refusal, os.strerror(refusal))
        sync(handle)

    return fsync


def test_a_file_system_that_syncs_no_folders_will_do(
    tmp_path: Path, secret: SecretBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", fsync_that_refuses_folders(errno.EINVAL))
    write_secret_file(tmp_path / "key", secret)
    assert (tmp_path / "key").read_bytes() == b"the secret"


def test_a_folder_whose_sync_fails_is_told(
    tmp_path: Path, secret: SecretBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", fsync_that_refuses_folders(errno.EIO))
    with pytest.raises(UnavailableError, match="EIO"):
        write_secret_file(tmp_path / "key", secret)


def test_a_wiped_secret_leaves_nothing(tmp_path: Path, secret: SecretBytes) -> None:
    secret.wipe()
    with pytest.raises(InvalidStateError):
        write_secret_file(tmp_path / "key", secret)
    assert not list(tmp_path.iterdir())


def open_files() -> set[str]:
    return {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}


def test_no_file_is_left_open(tmp_path: Path, secret: SecretBytes) -> None:
    write_secret_file(tmp_path / "key", secret)
    read_secret_file(tmp_path / "key", limit=100).wipe()
    for refused in (tmp_path / "key", tmp_path / "missing" / "key"):
        with pytest.raises(KeyhierError):
            write_secret_file(refused, secret)
    assert not [name for name in open_files() if name.startswith(str(tmp_path))]


@pytest.mark.parametrize("length", [0, 1, 99, 100])
def test_a_file_is_read_up_to_the_limit(tmp_path: Path, length: int) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"k" * length)
    with read_secret_file(path, limit=100) as read:
        assert read == b"k" * length


def test_a_longer_file_is_refused_even_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(bytes(101))
    for source in (path, Path("/dev/zero")):
        with pytest.raises(InvalidInputError, match="longer than 100 bytes"):
            read_secret_file(source, limit=100)


def test_a_pipe_is_read_to_its_end() -> None:
    reading, writing = os.pipe()
    try:

        def write() -> None:
            for part in (b"the ", b"secret"):
                os.write(writing, part)
            os.close(writing)

        writer = threading.Thread(target=write)
        writer.start()
        with read_secret_file(f"/dev/fd/{reading}", limit=100) as read:
            assert read == b"the secret"
        writer.join()
    finally:
        os.close(reading)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ("/missing", NotFoundError),
        ("/", InvalidInputError),
        ("/a\0b", InvalidInputError),
        # The first page of a process's memory is never there.
        ("/proc/self/mem", UnavailableError),
    ],
)
def test_what_cannot_be_read_is_told(where: str, expected: type[KeyhierError]) -> None:
    with pytest.raises(expected, match="cannot be read"):
        read_secret_file(where, limit=100)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_device_or_pipe_is_never_replaced(
    overwrite: bool, secret: SecretBytes, tmp_path: Path
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(InvalidInputError, match="no ordinary file"):
        write_secret_file(pipe, secret, overwrite=overwrite)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]
