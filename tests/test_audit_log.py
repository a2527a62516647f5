"""The audit log: intent first, hash-chained, and what cannot be written is not done."""

from __future__ import annotations

import errno
import json
import logging
import os
import resource
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

import keyhier
from keyhier.audit_chain import Head, Verification, seal
from keyhier.audit_log import AuditLog, to_logging
from keyhier.errors import (
    AccessDeniedError,
    CapacityError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
    UnwrapError,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def entries(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def verified(*paths: Path, heads: list[Head] | None = None) -> Verification:
    verification = Verification.against(heads or [])
    for path in paths:
        verification.read(path.name, path.read_bytes().splitlines(keepends=True))
    verification.finish()
    return verification


def work(path: Path) -> Head:
    """Write a chain of seven lines."""
    with AuditLog(path, sync=False) as log, keyhier.open("memory:", audit=log) as vault:
        key = vault.create_key("kek", "AES-256")
        vault.unwrap(key.wrap(b"secret"))
        return log.head


def test_the_intent_stands_before_the_outcome(path: Path) -> None:
    record = "01a20907-08fb-72a3-afe1-780e05500495"
    with AuditLog(path, who="me") as log, keyhier.open("memory:", audit=log) as vault:
        key = vault.create_key("kek", "AES-256")
        wrapped = key.wrap(b"s3cr3t", context={"record": record, "vm": "web-01"})
        with pytest.raises(UnwrapError):
            vault.unwrap(wrapped, context={"record": record})
        second = key.rotate()
    began, *rest = entries(path)
    assert began["began"] == "chain"
    assert [(each["operation"], each["outcome"]) for each in rest] == [
        *(("create_key", "intent"), ("create_key", "ok"), ("wrap", "intent"), ("wrap", "ok")),
        *(("unwrap", "intent"), ("unwrap", "UnwrapError"), ("rotate", "intent"), ("rotate", "ok")),
    ]
    for intent, outcome in zip(rest[::2], rest[1::2], strict=True):
        assert intent["id"] == outcome["id"]
        assert "seconds" not in intent
        assert ("seconds" in outcome) == (outcome["outcome"] == "ok")
    assert rest[1]["made"] == rest[2]["key"] == rest[6]["key"] == str(key.id)
    assert rest[7]["made"] == str(second.id)
    assert rest[2]["record"] == rest[5]["record"] == record
    assert {each["who"] for each in rest} == {"me"}
    assert verified(path).problems == []


def test_promise_3_a_log_does_not_tell_how_long_a_failed_unwrap_took(path: Path) -> None:
    work(path)
    assert all(
        "." not in each["time"] and each["time"].endswith("+00:00") for each in entries(path)
    )


def test_promise_7_a_log_holds_no_secret_and_no_context(path: Path) -> None:
    with AuditLog(path) as log, keyhier.open("memory:", audit=log) as vault:
        key = vault.create_key("kek", "AES-256")
        vault.unwrap(key.wrap(b"s3cr3t", context={"vm": "web-01"}), context={"vm": "web-01"})
    assert b"s3cr3t" not in path.read_bytes()
    assert b"web-01" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_every_chain_goes_on_from_what_stood_there(path: Path) -> None:
    heads = [work(path), work(path)]
    found = verified(path, heads=heads)
    assert (found.entries, found.problems, found.unfinished) == (14, [], {})
    assert list(found.heads.values()) == heads
    assert Head.parse(str(heads[0])) == heads[0]


@pytest.mark.parametrize("number", range(14))
def test_a_changed_line_is_found(number: int, path: Path) -> None:
    work(path), work(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number] = lines[number].replace(b'"who":"', b'"who":"x', 1)
    path.write_bytes(b"".join(lines))
    assert verified(path).problems[0].line == number + 1


@pytest.mark.parametrize("number", range(13))
def test_a_line_that_was_taken_out_is_found(number: int, path: Path) -> None:
    work(path), work(path)
    lines = path.read_bytes().splitlines(keepends=True)
    del lines[number]
    path.write_bytes(b"".join(lines))
    assert verified(path).problems


@pytest.mark.parametrize("number", range(13))
def test_lines_that_changed_places_are_found(number: int, path: Path) -> None:
    work(path), work(path)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number : number + 2] = reversed(lines[number : number + 2])
    path.write_bytes(b"".join(lines))
    assert verified(path).problems


def test_a_chain_that_was_taken_out_whole_is_found(path: Path) -> None:
    work(path), work(path), work(path)
    lines = path.read_bytes().splitlines(keepends=True)
    for gone in (slice(0, 7), slice(7, 14)):
        rest = lines[:]
        del rest[gone]
        path.write_bytes(b"".join(rest))
        assert verified(path).problems


def woven(path: Path) -> list[bytes]:
    """Write a chain of seven lines, with another of seven in its midst; return the lines."""
    with AuditLog(path, sync=False) as log, keyhier.open("memory:", audit=log) as vault:
        key = vault.create_key("kek", "AES-256")
        work(path)
        vault.unwrap(key.wrap(b"secret"))
    assert verified(path).problems == []
    return path.read_bytes().splitlines(keepends=True)


@pytest.mark.parametrize("gone", [slice(3, 10), slice(8, 10), slice(9, 10), slice(4, 10)])
def test_the_end_of_a_chain_that_was_taken_out_is_found_while_others_go_on(
    gone: slice, path: Path
) -> None:
    lines = woven(path)
    del lines[gone]
    path.write_bytes(b"".join(lines))
    (problem,) = verified(path).problems
    assert "what stood before this line" in problem.text
    assert problem.line == gone.start + 1


def test_every_line_says_what_stood_before_it_in_the_file(path: Path) -> None:
    woven(path)
    found = entries(path)
    assert [each["after"] for each in found] == [None, *(each["hash"] for each in found[:-1])]


def test_a_line_that_says_nothing_of_the_one_before_is_found(path: Path) -> None:
    *lines, last = woven(path)
    entry = json.loads(last)
    del entry["after"], entry["hash"]
    path.write_bytes(b"".join([*lines, seal(entry)[0]]))
    (problem,) = verified(path).problems
    assert "what stood before this line" in problem.text


def test_a_shortened_or_rehashed_log_is_found_against_a_head(tmp_path: Path, path: Path) -> None:
    head = work(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-2]))
    assert verified(path).problems == []
    (problem,) = verified(path, heads=[head]).problems
    assert "shortened or hashed anew" in str(problem)
    other = tmp_path / "other.jsonl"
    assert verified(other_log(other), heads=[head]).problems


def other_log(path: Path) -> Path:
    work(path)
    return path


@pytest.mark.parametrize(
    "junk", [b"\n", b"{}\n", b"\xff\n", b"[" * 9000 + b"\n", b'{"chain":1,"hash":"' + b"0" * 64]
)
def test_what_is_no_entry_is_found(junk: bytes, path: Path) -> None:
    work(path)
    path.write_bytes(path.read_bytes() + junk)
    assert [problem.line for problem in verified(path).problems] == [8]


def test_what_a_crash_cut_off_stays_to_be_seen(path: Path) -> None:
    work(path)
    path.write_bytes(path.read_bytes()[:-20])
    work(path)
    assert [problem.line for problem in verified(path).problems] == [7]


def test_files_of_one_log_are_verified_together(tmp_path: Path, path: Path) -> None:
    work(path), work(path)
    lines = path.read_bytes().splitlines(keepends=True)
    older, newer = tmp_path / "older", tmp_path / "newer"
    older.write_bytes(b"".join(lines[:7]))
    newer.write_bytes(b"".join(lines[7:]))
    assert verified(older, newer).problems == []
    (problem,) = verified(newer).problems
    assert "older files come first" in problem.text
    # One that was renamed, after which a new one was begun.
    work(tmp_path / "new")
    assert verified(older, newer, tmp_path / "new").problems == []


def test_an_operation_that_did_not_end_is_named(path: Path) -> None:
    work(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:-1]))
    assert list(verified(path).unfinished.values()) == ["audit.jsonl:6"]


def test_threads_and_processes_write_one_file(path: Path) -> None:
    code = "import sys; from tests.test_audit_log import work; from pathlib import Path\n"
    code += "for _ in range(3): work(Path(sys.argv[1]))"
    others = [subprocess.Popen([sys.executable, "-c", code, str(path)]) for _ in range(2)]
    with AuditLog(path, sync=False) as log, keyhier.open("memory:", audit=log) as vault:
        key = vault.create_key("kek", "AES-256")
        threads = [
            threading.Thread(target=lambda: [key.wrap(b"x") for _ in range(20)]) for _ in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert [other.wait() for other in others] == [0, 0]
    found = verified(path)
    assert (found.entries, found.problems) == (1 + 2 + 160 + 42, [])
    assert len(found.heads) == 7


def test_a_forked_child_begins_a_chain_of_its_own(path: Path) -> None:
    with AuditLog(path) as log, keyhier.open("memory:", audit=log) as vault:
        key = vault.create_key("kek", "AES-256")
        child = os.fork()
        if not child:
            key.wrap(b"x")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        key.wrap(b"x")
    found = verified(path)
    assert found.problems == []
    assert [head.number for head in found.heads.values()] == [4, 2]


class Full:
    """A disk that takes nothing more: the limit on files' sizes, for this process."""

    def __enter__(self) -> None:
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, self.before[1]))

    def __exit__(self, *_: object) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_what_cannot_be_written_is_not_done(path: Path) -> None:
    # Python ignores SIGXFSZ, so that a write beyond the limit fails as on a full disk.
    with AuditLog(path) as log, keyhier.open("memory:", audit=log) as vault:
        size = path.stat().st_size
        with Full(), pytest.raises(CapacityError, match="cannot be written"):
            vault.create_key("kek", "AES-256")
        assert list(vault.keys()) == []
        assert path.stat().st_size == size
        vault.create_key("kek", "AES-256")
    assert verified(path).problems == []


def test_what_need_not_be_written_is_done_and_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (
        AuditLog(path, required=False) as log,
        keyhier.open("memory:", audit=log) as vault,
        caplog.at_level(logging.WARNING),
    ):
        with Full():
            vault.create_key("kek", "AES-256")
        vault.key("kek").wrap(b"x")
    assert caplog.text.count("an entry of the audit log was lost") == 2
    assert verified(path).problems == []


def test_a_closed_log_stops_work(path: Path) -> None:
    log = AuditLog(path)
    log.close()
    log.close()
    with (
        keyhier.open("memory:", audit=log) as vault,
        pytest.raises(InvalidStateError, match="the audit log is closed"),
    ):
        vault.create_key("kek", "AES-256")


def test_a_log_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    for place, error in (
        (tmp_path / "none" / "log", NotFoundError),
        (tmp_path, InvalidInputError),
        (Path("/proc/version"), UnavailableError),
    ):
        with pytest.raises(error) as raised:
            AuditLog(place)
        assert isinstance(raised.value, KeyhierError)
        assert (raised.value.remedy is not None) == (error is NotFoundError)
        assert raised.value.native in errno.errorcode.values()


def test_a_log_that_others_could_have_put_there_or_change_is_refused(
    tmp_path: Path, path: Path
) -> None:
    work(path)
    linked, fifo = tmp_path / "linked", tmp_path / "fifo"
    linked.symlink_to(path)
    os.mkfifo(fifo)
    before = path.read_bytes()
    with pytest.raises(InvalidInputError, match="symbolic link"):
        AuditLog(linked)
    for place in (fifo, Path("/dev/null")):
        with pytest.raises(InvalidInputError, match="no regular file"):
            AuditLog(place)
    for mode in (0o620, 0o602, 0o666):
        path.chmod(mode)
        with pytest.raises(AccessDeniedError, match="can be changed by others") as caught:
            AuditLog(path)
        assert f"chmod go-w {path}" in (caught.value.remedy or "")
    assert path.read_bytes() == before
    path.chmod(0o644)
    work(path)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_log_of_somebody_else_is_refused(path: Path) -> None:
    path.touch(mode=0o600)
    os.chown(path, 65534, 65534)
    with pytest.raises(AccessDeniedError, match="can be changed by others"):
        AuditLog(path)


def test_closing_a_log_closes_no_file_of_others(path: Path) -> None:
    log = AuditLog(path)
    (number,) = [
        int(each.name)
        for each in Path("/proc/self/fd").iterdir()
        if each.is_symlink() and each.exists() and each.samefile(path)
    ]
    # Somebody closes what is not theirs, so that the log's own closing fails.
    os.close(number)
    with pytest.raises(UnavailableError):
        log.close()
    mine = os.open("/dev/null", os.O_RDONLY)
    assert mine == number
    log.close()
    os.close(mine)


def test_a_listener_gets_every_entry_and_the_head(path: Path) -> None:
    told: list[tuple[Mapping[str, Any], Head]] = []
    with AuditLog(path, listener=lambda *each: told.append(each)) as log:
        with keyhier.open("memory:", audit=log) as vault:
            vault.create_key("kek", "AES-256")
        assert told[-1][1] == log.head
    assert [{**entry, "hash": head.hash} for entry, head in told] == entries(path)


def test_a_logger_gets_every_entry_and_the_head(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO), AuditLog(path, listener=to_logging()) as log:
        with keyhier.open("memory:", audit=log) as vault:
            vault.create_key("kek", "AES-256")
        assert caplog.records[-1].__dict__["keyhier_head"] == str(log.head)
    assert [record.__dict__["keyhier"].get("outcome") for record in caplog.records] == [
        *(None, "intent", "ok")
    ]
    assert "create_key kek: ok" in caplog.text


@pytest.mark.parametrize("text", ["", "a:1:b", f"{'0' * 32}:x:{'0' * 64}"])
def test_what_is_no_head_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="a head has the form"):
        Head.parse(text)
