"""The vault's file on the disk: what it must be, and that a failed write changes nothing."""

from __future__ import annotations

import errno
import fcntl
import os
import resource
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from keyhier.errors import (
    AccessDeniedError,
    CapacityError,
    IntegrityError,
    InvalidInputError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
)
from keyhier_memory.driver import MemoryDriver
from keyhier_memory.vault_file import MAX_FILE_BYTES, VaultFile
from tests.memory.vaults import create_aes, open_file

NOBODY = 65534


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """A folder of a user whom permissions bind, unlike root; the test runs as that user."""
    folder = Path(tempfile.mkdtemp(prefix="keyhier-"))
    user = os.geteuid()
    if user == 0:
        os.chown(folder, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    try:
        yield folder
    finally:
        os.seteuid(user)
        shutil.rmtree(folder)


@contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """Let the system refuse larger files, as a full disk does."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def names(vault: MemoryDriver) -> list[str]:
    return [key.id.name for key in vault.list_keys()]


def neighbours(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.parent.iterdir())


def test_the_file_and_its_neighbours_are_the_owners_alone(vault_path: Path) -> None:
    mask = os.umask(0)
    try:
        create_aes(open_file(vault_path))
    finally:
        os.umask(mask)
    assert neighbours(vault_path) == ["vault", "vault.lock", "vault.previous"]
    for entry in vault_path.parent.iterdir():
        assert entry.stat().st_mode & 0o777 == 0o600


def test_the_previous_copy_is_the_vault_before_the_last_change(vault_path: Path) -> None:
    vault = open_file(vault_path)
    create_aes(vault, "a")
    before = vault_path.read_bytes()
    create_aes(vault, "b")
    previous = vault_path.with_name("vault.previous")
    assert previous.read_bytes() == before
    assert names(open_file(previous)) == ["a"]


def test_reading_writes_nothing(vault_path: Path) -> None:
    create_aes(open_file(vault_path))
    before = {entry: entry.stat() for entry in vault_path.parent.iterdir()}
    vault = open_file(vault_path)
    assert names(vault) == ["kek"]
    vault.backup_key("kek")
    vault.close()
    for entry, status in before.items():
        assert entry.stat().st_mtime_ns == status.st_mtime_ns
        assert entry.stat().st_ino == status.st_ino


def test_a_folder_is_no_vault(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="no ordinary file"):
        open_file(tmp_path)


def test_a_pipe_is_no_vault_and_nobody_waits_for_it(vault_path: Path) -> None:
    os.mkfifo(vault_path, 0o600)
    with pytest.raises(InvalidInputError, match="no ordinary file"):
        open_file(vault_path)


def test_a_symbolic_link_is_refused_also_a_dangling_one(vault_path: Path) -> None:
    real = vault_path.with_name("real")
    vault_path.symlink_to(real)
    with pytest.raises(InvalidInputError, match=r"symbolic link.*name the file"):
        open_file(vault_path)
    assert not real.exists()
    open_file(real)
    with pytest.raises(InvalidInputError, match="symbolic link"):
        open_file(vault_path)


def test_a_symbolic_link_in_the_locks_place_is_refused(vault_path: Path) -> None:
    target = vault_path.with_name("target")
    vault_path.with_name("vault.lock").symlink_to(target)
    with pytest.raises(InvalidInputError, match="symbolic link"):
        open_file(vault_path)
    assert neighbours(vault_path) == ["vault.lock"]


def test_a_file_open_to_others_is_refused(vault_path: Path) -> None:
    open_file(vault_path)
    for mode in (0o640, 0o604, 0o620):
        vault_path.chmod(mode)
        with pytest.raises(AccessDeniedError, match="chmod 600"):
            open_file(vault_path)


def test_a_file_of_another_user_is_refused(own_folder: Path) -> None:
    assert own_folder.is_dir()
    with pytest.raises(AccessDeniedError, match="another user"):
        open_file(Path("/etc/passwd"))


def test_a_folder_that_may_not_be_searched_is_denied(own_folder: Path) -> None:
    path = own_folder / "vault"
    open_file(path)
    own_folder.chmod(0o000)
    try:
        with pytest.raises(AccessDeniedError) as caught:
            open_file(path)
    finally:
        own_folder.chmod(0o700)
    assert caught.value.native == "stat: EACCES"


def test_a_file_that_may_not_be_read_is_denied(own_folder: Path) -> None:
    path = own_folder / "vault"
    open_file(path)
    path.chmod(0o000)
    with pytest.raises(AccessDeniedError) as caught:
        open_file(path)
    assert caught.value.native == "open: EACCES"


def test_a_folder_that_may_not_be_written_lets_read_and_changes_nothing(own_folder: Path) -> None:
    path = own_folder / "vault"
    vault = open_file(path)
    made = create_aes(vault)
    before = path.read_bytes()
    own_folder.chmod(0o500)
    try:
        with pytest.raises(AccessDeniedError) as caught:
            create_aes(vault, "other")
        assert names(open_file(path)) == ["kek"]
        with pytest.raises(AccessDeniedError):
            open_file(own_folder / "new")
    finally:
        own_folder.chmod(0o700)
    assert caught.value.native == "write: EACCES"
    assert list(vault.list_keys()) == [made]
    assert path.read_bytes() == before
    create_aes(vault, "other")


def test_a_missing_folder_is_not_found(vault_path: Path) -> None:
    for path in (vault_path / "none" / "vault", vault_path.parent / "none" / "vault"):
        with pytest.raises(NotFoundError):
            open_file(path)
    open_file(vault_path)
    with pytest.raises(NotFoundError):
        open_file(vault_path / "a file is no folder")


def test_a_name_too_long_for_the_system_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="cannot be a file"):
        open_file(tmp_path / ("x" * 300))


def test_a_file_larger_than_any_vault_is_not_read(vault_path: Path) -> None:
    open_file(vault_path)
    os.truncate(vault_path, MAX_FILE_BYTES + 1)
    with pytest.raises(IntegrityError, match="larger"):
        open_file(vault_path)


def test_an_empty_file_is_no_new_vault(vault_path: Path) -> None:
    vault_path.touch(0o600)
    with pytest.raises(IntegrityError, match="is no vault's file"):
        open_file(vault_path)
    assert vault_path.read_bytes() == b""


def test_what_could_not_be_read_again_is_not_written(vault_path: Path) -> None:
    open_file(vault_path)
    before = vault_path.read_bytes()
    with pytest.raises(CapacityError, match="purge deleted keys"):
        VaultFile(vault_path).replace(bytes(MAX_FILE_BYTES + 1), before)
    assert vault_path.read_bytes() == before


@pytest.mark.parametrize("room", [0, 1])
def test_a_disk_that_is_full_leaves_file_and_vault_as_they_were(
    vault_path: Path, room: int
) -> None:
    vault = open_file(vault_path)
    made = create_aes(vault)
    before = vault_path.read_bytes()
    # With room 0 the previous copy does not fit either, with 1 only the new file does not.
    with (
        files_of_at_most(len(before) - 1 + room),
        pytest.raises(UnavailableError, match="as it was") as caught,
    ):
        create_aes(vault, "other")
    assert caught.value.native == "write: EFBIG"
    assert neighbours(vault_path) == ["vault", "vault.lock", "vault.previous"]
    assert vault_path.read_bytes() == before
    assert list(vault.list_keys()) == [made]
    create_aes(vault, "other")
    assert names(open_file(vault_path)) == ["kek", "other"]


def test_a_folder_whose_sync_fails_is_told_and_the_change_is_there(
    vault_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = open_file(vault_path)
    sync = os.fsync

    def fail_for_folders(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        sync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fail_for_folders)
        with pytest.raises(UnavailableError, match="was written, but its folder") as caught:
            create_aes(vault)
    assert caught.value.native == "fsync: EIO"
    assert names(vault) == names(open_file(vault_path)) == ["kek"]


def test_a_disk_that_is_full_at_the_first_write_leaves_no_file(vault_path: Path) -> None:
    with files_of_at_most(10), pytest.raises(UnavailableError):
        open_file(vault_path)
    assert neighbours(vault_path) == ["vault.lock"]
    open_file(vault_path)


def test_a_half_written_file_of_a_killed_process_is_not_in_the_way(vault_path: Path) -> None:
    vault = open_file(vault_path)
    vault_path.with_name("vault.new").write_bytes(b"half a")
    create_aes(vault)
    assert names(open_file(vault_path)) == ["kek"]
    assert "vault.new" not in neighbours(vault_path)


def test_what_cannot_be_moved_out_of_the_way_changes_nothing(vault_path: Path) -> None:
    vault = open_file(vault_path)
    vault_path.with_name("vault.new").mkdir()
    with pytest.raises(KeyhierError):
        create_aes(vault)
    assert names(open_file(vault_path)) == []


def test_a_lock_that_is_never_let_go_is_told(vault_path: Path) -> None:
    vault = open_file(vault_path, lock_seconds=0.05)
    with vault_path.with_name("vault.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(UnavailableError, match=r"vault\.lock for 0\.05 s"):
            create_aes(vault)
        # Readers need no lock.
        assert names(open_file(vault_path)) == []
    create_aes(vault)


def test_a_file_that_vanished_is_told_and_not_made_again(vault_path: Path) -> None:
    vault = open_file(vault_path)
    create_aes(vault)
    vault_path.unlink()
    with pytest.raises(UnavailableError, match="is gone"):
        vault.get_key("kek")
    with pytest.raises(UnavailableError, match="is gone"):
        create_aes(vault, "other")
    assert not vault_path.exists()
    with pytest.raises(IntegrityError, match="move the previous copy"):
        open_file(vault_path)
    vault_path.with_name("vault.previous").rename(vault_path)
    assert names(vault) == []
