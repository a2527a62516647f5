"""The command, run inside the test or as a process of its own, on vaults that outlive a command."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from typer import main as typer_main
from typer.testing import CliRunner, Result

import keyhier
from keyhier.cli.application import app
from tests.memory.vaults import PASSPHRASE, open_file

COMMAND = Path(sys.executable).with_name("keyhier")

Run = Callable[..., Result]
Process = Callable[..., "subprocess.CompletedProcess[bytes]"]


@attrs.frozen
class VaultFile:
    """A memory vault in a file, with the RSA key ``kek`` in it."""

    path: Path
    passphrase: Path

    @property
    def uri(self) -> str:
        return f"memory:?file={self.path}&pin-source=file:{self.passphrase}"

    def open(self) -> keyhier.Vault:
        return keyhier.open(self.uri)


@pytest.fixture(scope="session")
def vault_content(tmp_path_factory: pytest.TempPathFactory) -> VaultFile:
    """Made once, with the cheapest derivation, which a file keeps; each test gets a copy."""
    folder = tmp_path_factory.mktemp("vault")
    made = VaultFile(folder / "vault", folder / "passphrase")
    made.passphrase.write_text(PASSPHRASE)
    with keyhier.Vault(open_file(made.path), uri=made.uri) as vault:
        vault.create_key("kek", "RSA-2048")
    return made


@pytest.fixture
def vault_file(vault_content: VaultFile, tmp_path: Path) -> VaultFile:
    path = tmp_path / "vault"
    path.write_bytes(vault_content.path.read_bytes())
    path.chmod(0o600)
    return VaultFile(path, vault_content.passphrase)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, no settings of whoever runs the tests, and a terminal of 80 columns."""
    for name in list(os.environ):
        if name.startswith(("KEYHIER_", "XDG_")):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "80")
    return folder


@pytest.fixture
def configuration(home: Path) -> Path:
    """Where the user's own keyhier.toml is read, which is not there yet."""
    folder = home / ".config" / "keyhier"
    folder.mkdir(parents=True)
    return folder / "keyhier.toml"


@pytest.fixture(scope="session")
def command_tree() -> Iterator[None]:
    """Let the runner build the commands once: it would do so anew, slowly, for every run."""
    tree = typer_main.get_command(app)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("typer.testing._get_command", lambda _: tree)
        yield


@pytest.fixture
def run(command_tree: None) -> Run:
    """Run the command in this process. Standard input and secrets on standard output need one."""

    def invoke(*args: object, env: dict[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, [str(each) for each in args], env=env)

    return invoke


@pytest.fixture
def process() -> Process:
    """Run the command as a user does; returns what it wrote, as bytes, and its exit code."""

    def start(
        *args: object, stdin: bytes = b"", **options: Any
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [COMMAND, *map(str, args)], input=stdin, capture_output=True, check=False, **options
        )

    return start


def on_a_terminal(*arguments: object, stdin: bytes = b"") -> tuple[bytes, int]:
    """Run the command with a terminal for all its streams."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [COMMAND, *map(str, arguments)],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
    )
    os.close(slave)
    if stdin:
        os.write(master, stdin)
    shown = b""
    while True:
        try:
            chunk = os.read(master, 4096)
        except OSError:
            # A terminal ends like this when nobody has its other side open.
            break
        shown += chunk
    os.close(master)
    return shown, child.wait()
