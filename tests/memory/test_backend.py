"""The memory backend: its URI and what importing it costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from keyhier.driver import OpenOptions
from keyhier.errors import (
    AuthenticationError,
    InvalidInputError,
    KeyhierError,
    NotFoundError,
)
from keyhier.registry import backend_for
from keyhier.uri import VaultUri
from keyhier_memory import backend
from tests.memory.vaults import create_aes, open_file, open_memory


def open_uri(uri: str) -> None:
    backend.open(VaultUri.parse(uri), OpenOptions(pin=lambda _: "passphrase")).close()


def test_the_entry_point_leads_to_the_backend() -> None:
    assert backend_for("memory") is backend
    assert backend.unavailable() is None
    for form in backend.uri_forms:
        assert VaultUri.parse(form).scheme == "memory"
    assert "file" in backend.description


def test_importing_the_backend_loads_no_cryptography() -> None:
    code = (
        "import sys, keyhier_memory\n"
        "sys.exit(', '.join(m for m in sys.modules if m.split('.')[0] == 'cryptography') or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("memory:disks", "no path"),
        ("memory:///var/vault", "no path"),
        ("memory:?path=/vault", "unknown attribute 'path'"),
        ("memory:?file=vault", "absolute path"),
        ("memory:?file=", "absolute path"),
        ("memory:?file=/vault%00", "absolute path"),
        ("memory:?pin-source=env:PIN", "goes with file="),
        ("memory:?file=/vault&pin-source=%7Ccommand", "pin-source is one of"),
        ("memory:?file=/vault&pin-value=geheim", "pin-value is refused"),
    ],
)
def test_a_malformed_uri_is_refused_and_opens_nothing(uri: str, said: str) -> None:
    with pytest.raises(InvalidInputError, match=said) as caught:
        open_uri(uri)
    assert "geheim" not in str(caught.value)


def test_a_vault_without_a_file_starts_empty_and_is_alone() -> None:
    first, second = open_memory(), open_memory()
    create_aes(first)
    assert list(second.list_keys()) == []


def test_a_file_is_opened_with_the_passphrase_that_the_uri_refers_to(tmp_path: Path) -> None:
    path, pin = tmp_path / "my vault", tmp_path / "pin"
    pin.write_text("passphrase\n", encoding="utf-8")
    uri = VaultUri.parse(f"memory:?file={tmp_path}/my%20vault&pin-source=file:{pin}")
    made = create_aes(backend.open(uri, OpenOptions()))  # type: ignore[arg-type]  # It is one.
    with pytest.raises(AuthenticationError):
        open_file(path, "another")
    assert open_file(path, "passphrase").get_key("kek") == made


@pytest.mark.parametrize(
    "uri", ["memory:?file={}/vault", "memory:?file={}/vault&pin-source=prompt:"]
)
def test_without_a_source_or_a_terminal_no_file_is_made(
    uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Path("/dev/null").open(encoding="utf-8") as nothing:
        monkeypatch.setattr(sys, "stdin", nothing)
        with pytest.raises(AuthenticationError, match="no terminal"):
            backend.open(VaultUri.parse(uri.format(tmp_path)), OpenOptions())
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_told_before_anybody_is_asked(tmp_path: Path) -> None:
    def never(what: str) -> str:
        pytest.fail(f"asked for {what}")

    with pytest.raises(NotFoundError, match="there is no folder"):
        backend.open(VaultUri.parse(f"memory:?file={tmp_path}/none/vault"), OpenOptions(pin=never))


def test_promise_7_no_error_and_no_repr_shows_the_passphrase(tmp_path: Path) -> None:
    path = tmp_path / "vault"
    vault = open_file(path, "correct passphrase")
    with pytest.raises(KeyhierError) as caught:
        open_file(path, "secret guess")
    shown = f"{caught.value!r} {caught.value} {vault!r} {vars(vault)!r} {list(vault.list_keys())!r}"
    assert "passphrase'" not in shown
    assert "correct" not in shown
    assert "guess" not in shown
