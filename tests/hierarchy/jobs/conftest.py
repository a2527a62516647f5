"""Stores and vaults that processes share, and a process whose children are killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

import keyhier
from keyhier import Vault
from keyhier.records import open_records
from keyhier.records.sql.store import SqlRecords
from keyhier.testing.postgresql import Postgresql
from keyhier.testing.softhsm import SoftHsm
from tests.memory.vaults import PASSPHRASE, open_file
from tests.soak.scale import figures, scale

__all__ = ["figures", "scale"]

ROOT = Path(__file__).parents[3]


@attrs.define
class Workers:
    """The process; see :mod:`tests.hierarchy.jobs.worker`."""

    process: subprocess.Popen[str]

    def run(self, **order: Any) -> tuple[int, float]:
        """Have a child do what is ordered; return its exit code, or minus the signal, and when."""
        self.begin(**order)
        return self.wait()

    def begin(self, **order: Any) -> None:
        """Have a child do what is ordered, while others do something else."""
        assert self.process.stdin is not None
        whole: dict[str, Any] = {
            **dict.fromkeys(("key", "to", "job", "kill_after", "kill_at_write"), None),
            "stop_at_write": None,
            "stop_for": 0,
            "roll_back": False,
            "done": False,
            "batch": 16,
            "lease": 1.0,
            **order,
        }
        self.process.stdin.write(json.dumps(whole) + "\n")
        self.process.stdin.flush()

    def wait(self) -> tuple[int, float]:
        """Return what :meth:`run` returns, of what was begun."""
        assert self.process.stdout is not None
        answer = json.loads(self.process.stdout.readline())
        return answer["status"], answer["seconds"]


def start_workers() -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'backends'}"}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.hierarchy.jobs.worker"],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def workers(softhsm: SoftHsm) -> Iterator[Workers]:
    # Its children find SoftHSM's configuration in their environment.
    assert softhsm.folder.is_dir()
    with start_workers() as process:
        yield Workers(process)


@pytest.fixture
def four_workers(softhsm: SoftHsm) -> Iterator[list[Workers]]:
    with ExitStack() as stack:
        yield [Workers(stack.enter_context(start_workers())) for _ in range(4)]


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The URL of an empty store that several processes can open."""
    if request.param == "sqlite":
        return f"sqlite:{tmp_path}/records.db?timeout=20"
    server: Postgresql = request.getfixturevalue("postgresql")
    return server.new_database()


@pytest.fixture
def shared_store(shared_url: str) -> Iterator[SqlRecords]:
    with open_records(shared_url) as store:
        yield store


def memory_file(folder: Path, name: str) -> str:
    """The URI of a vault in a file that is quick to open, with a passphrase in another."""
    (folder / "passphrase").write_text(PASSPHRASE)
    (folder / "passphrase").chmod(0o600)
    # A file that is there keeps the derivation that it was made with.
    open_file(folder / f"{name}.vault").close()
    return f"memory:?file={folder}/{name}.vault&pin-source=file:{folder}/passphrase"


@attrs.frozen
class Place:
    """A vault that several processes can open, and a second one of another kind."""

    uri: str
    other_uri: str
    spec: str
    other_spec: str


@pytest.fixture(params=["softhsm", "memory"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    token = request.getfixturevalue("softhsm_token").uri
    file = memory_file(tmp_path, "kept")
    if request.param == "softhsm":
        return Place(token, file, "RSA-2048", "AES-256")
    return Place(file, token, "AES-256", "RSA-2048")


@pytest.fixture
def vault(place: Place) -> Iterator[Vault]:
    with keyhier.open(place.uri) as vault:
        vault.create_key("kek", place.spec)
        yield vault


@pytest.fixture
def other(place: Place) -> Iterator[Vault]:
    with keyhier.open(place.other_uri) as vault:
        vault.create_key("kek", place.other_spec)
        yield vault


@pytest.fixture
def store() -> Iterator[SqlRecords]:
    with open_records("memory:") as store:
        yield store


@pytest.fixture
def memory() -> Iterator[Vault]:
    with keyhier.open("memory:") as vault:
        vault.create_key("kek", "AES-256")
        yield vault


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """The file of a store that somebody writes into."""
    return tmp_path / "records.db"
