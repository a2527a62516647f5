"""One file, many vaults: nothing is lost, whoever writes and whoever is killed."""

from __future__ import annotations

import os
import pty
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from keyhier.algorithms import KeySpec
from keyhier.driver import CreateKey, OpenOptions
from keyhier.errors import AuthenticationError
from keyhier.pin import PinSource
from keyhier.uri import VaultUri
from keyhier_memory import backend
from keyhier_memory.driver import MemoryDriver
from keyhier_memory.file_format import Cost
from keyhier_memory.file_store import FileStore
from keyhier_memory.vault_file import VaultFile
from tests.memory.vaults import CHEAP, PASSPHRASE, create_aes, open_file, opened, seal

ROOT = Path(__file__).resolve().parents[2]


def start_writer(path: Path, prefix: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.memory.writer", str(path), prefix, str(count)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def ids(vault: MemoryDriver) -> set[str]:
    return {str(key.id) for key in vault.list_keys()}


def test_what_one_vault_changes_another_sees_at_once(vault_path: Path) -> None:
    first, second = open_file(vault_path), open_file(vault_path)
    made = create_aes(first)
    wrapped = seal(first, made)
    assert opened(second, second.get_key("kek"), wrapped) == bytes(range(32))
    rotated = second.rotate_key("kek")
    assert first.list_versions("kek") == [made, rotated]
    second.delete_key(made)
    assert list(first.list_deleted()) == ["kek"]


def test_a_vault_comes_back_with_everything_when_it_is_opened_again(vault_path: Path) -> None:
    vault = open_file(vault_path)
    first = create_aes(vault)
    wrapped = seal(vault, first)
    vault.set_enabled(vault.rotate_key("kek"), enabled=False)
    create_aes(vault, "gone")
    vault.delete_key(vault.get_key("gone"))
    backup = vault.backup_key("kek")
    versions = vault.list_versions("kek")
    vault.close()
    again = open_file(vault_path)
    assert again.list_versions("kek") == versions
    assert list(again.list_deleted()) == ["gone"]
    assert opened(again, first, wrapped) == bytes(range(32))
    again.delete_key(first)
    again.purge_key("kek")
    assert again.restore_key(backup) == versions[-1]


def test_a_new_file_gets_the_default_cost_and_a_file_that_is_there_keeps_its_own(
    vault_path: Path,
) -> None:
    for cost in (Cost(), CHEAP):
        path = vault_path.with_name(f"vault-{cost.p}")
        source = PinSource(callback=lambda _: PASSPHRASE)
        MemoryDriver(FileStore.open(VaultFile(path), source, cost)).close()
        uri = VaultUri.parse(f"memory:?file={path}")
        opened_by_uri = backend.open(uri, OpenOptions(pin=lambda _: PASSPHRASE))
        opened_by_uri.create_key(CreateKey("kek", KeySpec.AES_256))
        assert Cost(*path.read_bytes()[15:18]) == cost


def test_all_who_make_the_same_new_file_at_once_share_it(vault_path: Path) -> None:
    vaults: list[MemoryDriver] = []
    threads = [
        threading.Thread(target=lambda: vaults.append(open_file(vault_path))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(vaults) == 4
    for number, vault in enumerate(vaults):
        create_aes(vault, f"kek-{number}")
    assert [len(ids(vault)) for vault in vaults] == [4] * 4


def test_readers_see_something_whole_while_another_writes(vault_path: Path) -> None:
    writer, reader = open_file(vault_path), open_file(vault_path)
    create_aes(writer)
    done = threading.Event()
    seen: list[int] = []
    failed: list[BaseException] = []

    def read() -> None:
        try:
            while not done.is_set():
                seen.append(len(reader.list_versions("kek")))
        except BaseException as error:  # noqa: BLE001  # It is raised again in the test's own thread.
            failed.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    for _ in range(8):
        writer.rotate_key("kek")
    done.set()
    thread.join()
    assert failed == []
    assert seen == sorted(seen)
    assert len(reader.list_versions("kek")) == 9


def test_promise_8_two_processes_at_once_lose_nothing(vault_path: Path) -> None:
    writers = [start_writer(vault_path, prefix, 20) for prefix in ("a", "b")]
    told: set[str] = set()
    for writer in writers:
        output, _ = writer.communicate(timeout=120)
        assert writer.returncode == 0
        told.update(output.split())
    assert len(told) == 40
    assert ids(open_file(vault_path)) == told


def test_promise_8_a_writer_killed_at_any_moment_loses_nothing(vault_path: Path) -> None:
    # The moments differ from run to run, and each must do.
    moments = random.Random()
    told: set[str] = set()
    for number in range(15):
        with start_writer(vault_path, f"n{number}-", 10_000) as writer:
            assert writer.stdout is not None
            told.add(writer.stdout.readline().strip())
            time.sleep(moments.uniform(0, 0.3))
            writer.send_signal(signal.SIGKILL)
            rest = writer.stdout.read()
        # The pipe may end in the middle of a line, never of an acknowledged one.
        told.update(line for line in rest.split("\n")[:-1] if line)
        kept = ids(open_file(vault_path))
        assert told <= kept
        # At most the one that was being told when the process was killed is there besides.
        assert len(kept - told) <= 1
        told = kept
    open_file(vault_path.with_name("vault.previous"))


def test_a_file_exchanged_for_another_vaults_does_not_open_until_it_is_back(
    vault_path: Path,
) -> None:
    vault = open_file(vault_path)
    made = create_aes(vault)
    kept = vault_path.with_name("kept")
    vault_path.rename(kept)
    vault_path.with_name("vault.previous").unlink()
    open_file(vault_path, "another passphrase")
    attempts: list[Callable[[], object]] = [
        lambda: vault.get_key("kek"),
        lambda: create_aes(vault, "other"),
    ]
    for attempt in attempts:
        with pytest.raises(AuthenticationError, match="wrong or the file was altered"):
            attempt()
    kept.replace(vault_path)
    assert vault.get_key("kek") == made


def ask_in_a_terminal(path: Path, answers: Sequence[str]) -> str:
    """Open the vault in a child with a terminal, answer its prompts, return what it printed."""
    code = (
        "import sys; from keyhier_memory import backend; from keyhier.uri import VaultUri\n"
        "from keyhier.driver import OpenOptions; from keyhier.errors import KeyhierError\n"
        "try: backend.open(VaultUri.parse(sys.argv[1]), OpenOptions()); print('opened')\n"
        "except KeyhierError as error: print(error)\n"
        "print('the end')"
    )
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", code, f"memory:?file={path}"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    printed = b""
    waiting = list(answers)
    try:
        while b"the end" not in printed:
            printed += os.read(ours, 1024)
            # What is typed before the prompt is thrown away.
            if waiting and printed.count(b"passphrase for") > len(answers) - len(waiting):
                os.write(ours, waiting.pop(0).encode() + b"\n")
        assert child.wait(60) == 0
    finally:
        child.kill()
        child.wait()
        os.close(ours)
    return printed.decode()


def test_a_new_files_passphrase_is_asked_twice_at_a_terminal(vault_path: Path) -> None:
    printed = ask_in_a_terminal(vault_path, [PASSPHRASE, PASSPHRASE + "x"])
    assert "differ; no file was made" in printed
    assert not vault_path.exists()
    printed = ask_in_a_terminal(vault_path, [PASSPHRASE, PASSPHRASE])
    assert "opened" in printed
    printed = ask_in_a_terminal(vault_path, [PASSPHRASE])
    assert "opened" in printed
    assert PASSPHRASE not in printed
