"""How the command ends: exit codes, one line, no traceback, nothing on a terminal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from keyhier import errors
from keyhier.cli.failure import EXIT_CODES, Failure
from tests.cli.conftest import COMMAND, Process, Run, VaultFile, on_a_terminal

ERRORS_PAGE = Path(__file__).resolve().parents[2] / "docs" / "errors.md"


def test_every_error_of_the_tree_has_an_exit_code_of_its_own() -> None:
    classes = {getattr(errors, name) for name in errors.__all__} - {errors.KeyhierError}
    assert set(EXIT_CODES) == classes
    assert sorted(EXIT_CODES.values()) == list(range(3, 3 + len(classes)))


def test_the_page_says_the_exit_codes_that_the_command_has() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\d+) \|", ERRORS_PAGE.read_text(), re.MULTILINE)
    assert {name: int(code) for name, code in rows} == {
        kind.__name__: code for kind, code in EXIT_CODES.items()
    }


def test_a_subclass_ends_as_its_class_does() -> None:
    class Special(errors.ConflictError):
        pass

    assert Failure.of(Special("x")).exit_code == EXIT_CODES[errors.ConflictError]
    assert Failure.of(errors.KeyhierError("x")).exit_code == 1


def test_an_error_is_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.InvalidInputError("a\nb\x1b[31m\u202e", native="C_X: CKR_Y", remedy="do z")
    Failure.of(error).report(as_json=False)
    assert capsys.readouterr().err == ("keyhier: error: a\\nb\\x1b[31m\\u202e (C_X: CKR_Y); do z\n")


def test_the_json_of_an_error_says_everything(capsys: pytest.CaptureFixture[str]) -> None:
    error = errors.AmbiguousError("two", candidates=["a", "b"], native="C_X: CKR_Y", remedy="z")
    assert Failure.of(error).report(as_json=True) == 11
    assert json.loads(capsys.readouterr().err) == {
        "error": {
            "type": "AmbiguousError",
            "message": "two",
            "native": "C_X: CKR_Y",
            "remedy": "z",
            "exit_code": 11,
            "candidates": ["a", "b"],
        }
    }


def test_a_mistake_tells_where_and_not_what(process: Process, tmp_path: Path) -> None:
    # A third party's backend may raise anything at all.
    (tmp_path / "careless.py").write_text(
        "class Backend:\n"
        "    description, uri_forms = 'careless', ()\n"
        "    def unavailable(self): return None\n"
        "    def open(self, uri, options): raise ValueError('the secret is 42')\n"
        "backend = Backend()\n"
    )
    information = tmp_path / "careless-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: careless\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[keyhier.backends]\ncareless = careless:backend\n"
    )
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = process("key", "list", "--vault", "careless:", env=os.environ | {"PYTHONPATH": paths})
    assert done.returncode == 1
    assert re.fullmatch(
        r"keyhier: error: unexpected ValueError in keyhier\.opening, line \d+: this is a mistake "
        r"in keyhier; please report it\n",
        done.stderr.decode(),
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["key", "nonsense"],
        ["key", "list", "--nonsense"],
        ["key", "show"],
        ["wrap", "kek"],
        ["wrap", "kek", "--in", "x", "--type", "nonsense"],
        ["volume-key", "new", "luks", "--random", "dice"],
        ["--vault"],
        ["--json"],
    ],
)
def test_a_command_line_that_is_not_understood_ends_with_2(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert not result.stdout
    assert len(result.stderr.splitlines()) == 1
    with_json = run(*arguments, "--json")
    assert json.loads(with_json.stderr)["error"]["exit_code"] == 2


@pytest.mark.parametrize("arguments", [[], ["key"], ["volume-key"], ["volume-key", "new"]])
def test_a_group_alone_shows_its_help(run: Run, arguments: list[str]) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert "Usage: keyhier" in result.stdout
    assert not result.stderr


def test_the_version_is_shown(run: Run) -> None:
    number = json.loads(run("--version", "--json").stdout)["version"]
    assert run("--version").stdout == f"keyhier {number}\n"


def test_help_loads_no_vendors_package() -> None:
    script = (
        "import sys; sys.argv = ['keyhier', '--help']\n"
        "from keyhier.cli.main import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code\n"
        "assert 'pkcs11' not in sys.modules and 'sqlalchemy' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_its_packages_the_command_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['typer'] = None; sys.argv = ['keyhier', 'key', 'list']\n"
        "from keyhier.cli.main import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 10
    assert done.stderr.decode() == (
        "keyhier: error: the command needs the package typer, which is not installed; "
        "pip install 'keyhier[cli]'\n"
    )


def test_a_closed_pipe_is_quiet() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    for arguments in (["backends"], ["--help"]):
        done = subprocess.run(
            [COMMAND, *arguments], stdout=writer, stderr=subprocess.PIPE, check=False
        )
        assert (done.stderr, done.returncode) == (b"", 141)
    os.close(writer)


def test_a_full_disk_is_told() -> None:
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [COMMAND, "backends"], stdout=full, stderr=subprocess.PIPE, check=False
        )
    assert done.returncode == 16
    assert done.stderr.decode() == (
        "keyhier: error: the system refused: No space left on device (ENOSPC)\n"
    )


@pytest.mark.parametrize(
    ("closed", "told"),
    [
        ("<&-", b"stdin is closed; redirect it from /dev/null\n"),
        (">&-", b"stdout is closed; redirect it to /dev/null\n"),
        ("2>&-", b""),
    ],
)
def test_a_closed_stream_is_refused_before_a_file_takes_its_number(
    tmp_path: Path, closed: str, told: bytes
) -> None:
    out = tmp_path / "key"
    done = subprocess.run(
        ["sh", "-c", f'"$1" volume-key new luks --out "$2" {closed}', "sh", COMMAND, out],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 8
    assert not out.exists()
    assert done.stderr.removeprefix(b"keyhier: error: ") == told


@pytest.mark.parametrize("kind", ["bitlocker", "luks"])
def test_a_new_key_is_never_shown_on_a_terminal(kind: str) -> None:
    shown, code = on_a_terminal("volume-key", "new", kind, "--out", "-")
    assert code == 8
    assert shown == (
        b"keyhier: error: a secret is not shown on a terminal; name a file, "
        b"or send standard output into a pipe or a file\r\n"
    )


def test_what_is_unwrapped_is_never_shown_on_a_terminal(
    vault_file: VaultFile, tmp_path: Path
) -> None:
    envelope = tmp_path / "e.jwe"
    with vault_file.open() as vault:
        envelope.write_text(str(vault.key("kek").wrap(b"do not show me")))
    shown, code = on_a_terminal("unwrap", "--in", envelope, "--out", "-", "--vault", vault_file.uri)
    assert code == 8
    assert b"do not show me" not in shown


@pytest.mark.parametrize("source", ["-", "/dev/stdin"])
def test_a_secret_is_not_typed_where_it_shows(source: str) -> None:
    shown, code = on_a_terminal("wrap", "kek", "--in", source, "--vault", "memory:")
    assert code == 8
    assert b"is not typed at a terminal" in shown


@pytest.mark.parametrize(("answer", "code"), [(b"kek\n", 0), (b"other\n", 8), (b"\x04", 130)])
def test_a_deletion_asks_for_the_name_at_a_terminal(
    vault_file: VaultFile, answer: bytes, code: int
) -> None:
    shown, ended = on_a_terminal("key", "delete", "kek", "--vault", vault_file.uri, stdin=answer)
    assert ended == code, shown
    assert b"Type its name to delete kek" in shown
    with vault_file.open() as vault:
        assert vault.deleted() == (["kek"] if code == 0 else [])


def test_ctrl_c_is_quiet(vault_file: VaultFile) -> None:
    # Reading an envelope from a pipe that nobody writes to waits for ever.
    child = subprocess.Popen(
        [COMMAND, "inspect", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    stat = Path(f"/proc/{child.pid}/wchan")
    waits = ("pipe_read", "anon_pipe_read", "pipe_wait")
    for _ in range(600):
        if stat.read_text() in waits:
            break
        time.sleep(0.05)
    child.send_signal(signal.SIGINT)
    stdout, stderr = child.communicate(timeout=60)
    assert (stdout, stderr, child.returncode) == (b"", b"", 130)


@pytest.mark.parametrize("module", ["attrs", "typer", "keyhier.cli.key", "keyhier.vault"])
def test_ctrl_c_is_quiet_while_the_command_is_loaded(module: str) -> None:
    script = (
        "import signal, sys\n"
        "class Interrupting:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: signal.raise_signal(signal.SIGINT)\n"
        "sys.meta_path.insert(0, Interrupting())\n"
        "sys.argv = ['keyhier', 'key', 'list', '--vault', 'memory:']\n"
        "from keyhier.cli.main import main\n"
        "main()"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == (b"", b"", 130)


def test_promise_7_a_pin_is_in_no_error(
    process: Process, vault_file: VaultFile, tmp_path: Path
) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("a very wrong passphrase")
    uri = f"memory:?file={vault_file.path}&pin-source=file:{wrong}"
    done = process("key", "list", "--vault", uri)
    assert done.returncode == 7
    assert b"a very wrong passphrase" not in done.stderr + done.stdout
    done = process("key", "list", "--vault", "memory:?file=/v&pin-value=4711")
    assert done.returncode == 8
    assert b"4711" not in done.stderr
