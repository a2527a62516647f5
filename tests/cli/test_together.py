"""Files that appear together: what failed left nothing, and what was there is there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keyhier.cli.together import Together
from keyhier.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidInputError,
    KeyhierError,
    NotFoundError,
)
from keyhier.secret import SecretBytes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "folder"
    path.mkdir()
    return path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def new() -> SecretBytes:
    return SecretBytes(b"new")


class Interruption(BaseException):
    """What ends the block; like Ctrl-C it is no Exception."""


@pytest.mark.parametrize("force", [False, True])
def test_both_files_appear_and_nothing_else_does(folder: Path, *, force: bool) -> None:
    with Together(force=force) as files:
        files.add(folder / "a", new())
        files.add(folder / "b", new())
        assert not {"a", "b"} & set(contents(folder))
        files.publish()
    assert contents(folder) == {"a": b"new", "b": b"new"}
    assert (folder / "a").stat().st_mode & 0o777 == 0o600


def test_both_files_are_replaced(folder: Path) -> None:
    for name in ("a", "b"):
        (folder / name).write_bytes(b"old")
    with Together(force=True) as files:
        files.add(folder / "a", new())
        files.add(folder / "b", new())
        assert contents(folder)["a"] == b"old"
        files.publish()
    assert contents(folder) == {"a": b"new", "b": b"new"}


@pytest.mark.parametrize("published", [False, True])
@pytest.mark.parametrize(
    ("force", "before"), [(False, {}), (True, {}), (True, {"a": b"old", "b": b"older"})]
)
def test_a_failure_brings_back_what_there_was(
    folder: Path, before: dict[str, bytes], *, force: bool, published: bool
) -> None:
    for name, content in before.items():
        (folder / name).write_bytes(content)

    def fail() -> None:
        with Together(force=force) as files:
            files.add(folder / "a", new())
            files.add(folder / "b", new())
            if published:
                files.publish()
            raise Interruption

    with pytest.raises(Interruption):
        fail()
    assert contents(folder) == before


def test_a_name_that_is_taken_meanwhile_is_not_replaced(folder: Path) -> None:
    def race() -> None:
        with Together(force=False) as files:
            files.add(folder / "a", new())
            files.add(folder / "b", new())
            (folder / "b").write_bytes(b"theirs")
            files.publish()

    with pytest.raises(AlreadyExistsError):
        race()
    assert contents(folder) == {"b": b"theirs"}


def test_a_folder_that_is_gone_meanwhile_leaves_no_first(folder: Path) -> None:
    (folder / "a").write_bytes(b"old")

    def race() -> None:
        with Together(force=True) as files:
            files.add(folder / "a", new())
            files.add(folder / "b" / "c", new())
            (folder / "b").rename(folder / "moved")
            files.publish()

    (folder / "b").mkdir()
    with pytest.raises(OSError, match="No such file"):
        race()
    assert contents(folder) == {"a": b"old"}


def _nothing(_: Path) -> None: ...


@pytest.mark.parametrize(
    ("name", "prepare", "force", "error"),
    [
        ("b", lambda path: path.write_bytes(b"old"), False, AlreadyExistsError),
        ("b", lambda path: path.symlink_to("nowhere"), False, AlreadyExistsError),
        ("b", Path.mkdir, True, InvalidInputError),
        ("b", os.mkfifo, True, InvalidInputError),
        ("none/b", _nothing, True, NotFoundError),
        ("b\0", _nothing, True, InvalidInputError),
        ("b" * 300, _nothing, True, InvalidInputError),
    ],
)
def test_a_second_file_that_cannot_be_leaves_no_first(
    folder: Path,
    name: str,
    prepare: Callable[[Path], object],
    error: type[KeyhierError],
    *,
    force: bool,
) -> None:
    prepare(folder / name)
    before = sorted(folder.iterdir())

    def fail() -> None:
        with Together(force=force) as files:
            files.add(folder / "a", new())
            files.add(folder / name, new())
            files.publish()

    with pytest.raises(error):
        fail()
    assert sorted(folder.iterdir()) == before


def test_a_link_is_replaced_and_what_it_leads_to_stays(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"mine")
    (folder / "a").symlink_to(tmp_path / "target")
    with Together(force=True) as files:
        files.add(folder / "a", new())
        files.publish()
    assert contents(folder) == {"a": b"new"}
    assert not (folder / "a").is_symlink()
    assert (tmp_path / "target").read_bytes() == b"mine"


@pytest.fixture
def shared_folder() -> Iterator[Path]:
    """A folder like /tmp: everybody may add files, and nobody may replace those of others."""
    with tempfile.TemporaryDirectory() as made:
        Path(made).chmod(0o1777)
        yield Path(made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_file_of_somebody_else_stays_and_leaves_no_first(shared_folder: Path) -> None:
    (shared_folder / "b").write_bytes(b"theirs")

    def fail() -> None:
        with Together(force=True) as files:
            files.add(shared_folder / "a", new())
            files.add(shared_folder / "b", new())
            files.publish()

    os.seteuid(65534)
    try:
        with pytest.raises(AccessDeniedError):
            fail()
    finally:
        os.seteuid(0)
    assert contents(shared_folder) == {"b": b"theirs"}
