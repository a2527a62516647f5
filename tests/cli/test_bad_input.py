"""Bad input at the command: one line, its exit code, no traceback, no secret, nothing changed."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

import keyhier
from keyhier import BitLockerKey
from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
from tests import jwe
from tests.cli.conftest import Process, Run, VaultFile

Unwrap = Callable[..., str]

SECRET = b"never to be seen in an error"


def refused(result: Result, exit_code: int) -> str:
    """Return the one line of a refusal."""
    assert result.exit_code == exit_code, result.output
    assert not result.stdout
    (line,) = result.stderr.splitlines()
    assert line.startswith("keyhier: error: ")
    assert SECRET.decode() not in line
    return line


@pytest.fixture(scope="module")
def prepared(
    vault_content: VaultFile, tmp_path_factory: pytest.TempPathFactory
) -> tuple[VaultFile, str]:
    """A vault that also holds the key of `tests.jwe`, and an envelope; neither is changed."""
    path = tmp_path_factory.mktemp("prepared") / "vault"
    path.write_bytes(vault_content.path.read_bytes())
    path.chmod(0o600)
    prepared = VaultFile(path, vault_content.passphrase)
    with prepared.open() as vault:
        vault.import_key("aes", jwe.KEK)
        return prepared, str(vault.key("kek").wrap(SECRET, context={"vm": "web-01"}))


@pytest.fixture
def envelope(prepared: tuple[VaultFile, str]) -> str:
    return prepared[1]


@pytest.fixture
def unwrap(run: Run, prepared: tuple[VaultFile, str], tmp_path: Path) -> Unwrap:
    """Unwrap a text at the command and check that nothing was written or changed."""
    vault_file = prepared[0]

    def attempt(text: str | bytes, exit_code: int, *options: str) -> str:
        file, out = tmp_path / "envelope", tmp_path / "out"
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        before = vault_file.path.read_bytes()
        result = run("unwrap", "--in", file, "--out", out, "--vault", vault_file.uri, *options)
        assert not out.exists()
        assert vault_file.path.read_bytes() == before
        return refused(result, exit_code)

    return attempt


# --------------------------------------------------------------------------- vaults


@pytest.mark.parametrize(
    ("uri", "exit_code"),
    [
        ("nonsense", 8),
        ("nonsense:", 10),
        ("memory:?colour=red", 8),
        ("memory:?file=/v&pin-value=1234", 8),
        ("memory:?file=/v&pin-source=|cat /etc/passwd", 8),
        ("memory:?file=/v&pin-source=%7Ccat", 8),
        ("memory:?file=relative", 8),
        ("pkcs11:token=a?module-path=/none.so&pin-source=env:NONE", 3),
        ("pkcs11:token=a?module-path=none.so", 8),
        ("pkcs11:token=a?module-path=/none.so&colour=red", 8),
        ("pkcs11:colour=red?module-path=/none.so", 8),
        ("pkcs11:slot-id=1?module-path=/none.so", 8),
        ("pkcs11:token=a?module-path=/etc/hostname", 8),
    ],
)
def test_a_bad_vault_uri(run: Run, uri: str, exit_code: int) -> None:
    line = refused(run("key", "list", "--vault", uri), exit_code)
    assert "1234" not in line


def test_a_wrong_pin(run: Run, softhsm_token: SoftHsmToken, tmp_path: Path) -> None:
    wrong = tmp_path / "pin"
    wrong.write_text("00000000-wrong")
    uri = softhsm_token.uri.replace(str(softhsm_token.pin_file), str(wrong))
    line = refused(run("key", "list", "--vault", uri), 7)
    assert "C_Login: CKR_PIN_INCORRECT" in line
    assert "00000000-wrong" not in line


def test_no_pin_and_no_terminal(process: Process, softhsm_token: SoftHsmToken) -> None:
    uri = softhsm_token.uri.partition("&")[0]
    done = process("key", "list", "--vault", uri)
    assert done.returncode == 7
    assert b"no terminal to ask at" in done.stderr


def test_no_such_token(run: Run, softhsm_token: SoftHsmToken) -> None:
    refused(run("key", "list", "--vault", softhsm_token.uri.replace("token=", "token=no-")), 3)


def test_two_tokens_with_one_label(run: Run, softhsm: SoftHsm) -> None:
    one = softhsm.new_token("keyhier-twins")
    other = softhsm.new_token("keyhier-twins")
    try:
        line = refused(run("key", "list", "--vault", one.uri), 11)
    finally:
        softhsm.remove(one)
        softhsm.remove(other)
    assert one.serial in line
    assert other.serial in line


# --------------------------------------------------------------------------- keys


@pytest.mark.parametrize("name", ["a b", "a/b", "ü", "", "a" * 128, "a_b", "\x1b[31m"])
def test_a_name_that_a_vault_refuses(run: Run, vault_file: VaultFile, name: str) -> None:
    before = vault_file.path.read_bytes()
    refused(run("key", "create", "--vault", vault_file.uri, "--", name), 8)
    assert vault_file.path.read_bytes() == before


@pytest.mark.parametrize(
    ("options", "exit_code"),
    [
        (["--spec", "RSA-1024"], 8),
        (["--spec", "rsa-2048"], 8),
        (["--algorithm", "RSA-OAEP"], 8),
        (["--spec", "AES-256", "--algorithm", "A128KW"], 8),
        (["--spec", "AES-256", "--algorithm", "ROT13"], 8),
    ],
)
def test_a_key_that_cannot_be(
    run: Run, vault_file: VaultFile, options: list[str], exit_code: int
) -> None:
    before = vault_file.path.read_bytes()
    refused(run("key", "create", "a", *options, "--vault", vault_file.uri), exit_code)
    assert vault_file.path.read_bytes() == before


def test_a_name_that_is_taken(run: Run, vault_file: VaultFile) -> None:
    before = vault_file.path.read_bytes()
    refused(run("key", "create", "kek", "--vault", vault_file.uri), 4)
    assert vault_file.path.read_bytes() == before


@pytest.mark.parametrize("command", ["show", "rotate", "disable", "enable"])
def test_a_missing_key(run: Run, vault_file: VaultFile, command: str) -> None:
    before = vault_file.path.read_bytes()
    refused(run("key", command, "none", "--vault", vault_file.uri), 3)
    assert vault_file.path.read_bytes() == before


def test_a_disabled_key(run: Run, vault_file: VaultFile, tmp_path: Path) -> None:
    file, out = tmp_path / "envelope", tmp_path / "out"
    with vault_file.open() as vault:
        file.write_text(str(vault.key("kek").wrap(SECRET, context={"vm": "web-01"})))
        vault.key("kek").disable()
    asked = ("unwrap", "--in", file, "--context", "vm=web-01", "--vault", vault_file.uri)
    refused(run(*asked, "--out", out), 9)
    assert not out.exists()
    refused(run("wrap", "kek", "--in", file, "--out", out, "--vault", vault_file.uri), 9)
    assert not out.exists()


# --------------------------------------------------------------------------- secrets


@pytest.mark.parametrize(
    ("length", "exit_code"), [(0, 8), (48 * 1024 + 1, 12), (1024 * 1024 + 1, 8)]
)
def test_a_secret_of_a_length_that_no_envelope_has(
    run: Run, vault_file: VaultFile, tmp_path: Path, length: int, exit_code: int
) -> None:
    secret, out = tmp_path / "secret", tmp_path / "out"
    secret.write_bytes(bytes(length))
    asked = ("wrap", "kek", "--in", secret, "--out", out, "--vault", vault_file.uri)
    refused(run(*asked), exit_code)
    assert not out.exists()


def test_a_missing_file(run: Run, vault_file: VaultFile, tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    refused(run("wrap", "kek", "--in", missing, "--vault", vault_file.uri), 3)
    refused(run("unwrap", "--in", missing, "--out", "x", "--vault", vault_file.uri), 3)
    refused(run("inspect", missing), 3)
    refused(run("inspect", tmp_path), 8)


def test_a_bek_file_of_any_wrong_length(run: Run, vault_file: VaultFile, tmp_path: Path) -> None:
    whole = BitLockerKey.generate().to_bytes().reveal()
    path = tmp_path / "a.BEK"
    for wrong in (*(whole[:length] for length in range(0, len(whole), 13)), whole + b"\0"):
        path.write_bytes(wrong)
        line = refused(run("inspect", path), 8)
        assert "no .BEK file" in line
    assert "the header says 156 bytes, the file has 157" in line
    refused(run("wrap", "kek", "--in", path, "--vault", vault_file.uri), 8)


def test_a_bek_file_whose_sizes_lie(run: Run, tmp_path: Path) -> None:
    content = bytearray(BitLockerKey.generate().to_bytes().reveal())
    for offset in (0, 12, 48):
        wrong = bytearray(content)
        struct.pack_into("<H", wrong, offset, 0x7FFF)
        path = tmp_path / "a.BEK"
        path.write_bytes(wrong)
        refused(run("inspect", path), 8)


@pytest.mark.parametrize(
    "context", [["a"], ["=a"], ["a=1", "a=2"], [f"{number}=x" for number in range(17)]]
)
def test_a_bad_context(run: Run, vault_file: VaultFile, tmp_path: Path, context: list[str]) -> None:
    secret, out = tmp_path / "secret", tmp_path / "out"
    secret.write_bytes(SECRET)
    options = [part for pair in context for part in ("--context", pair)]
    asked = ("wrap", "kek", "--in", secret, "--out", out, "--vault", vault_file.uri)
    refused(run(*asked, *options), 8)
    assert not out.exists()


def test_a_context_that_no_header_holds(run: Run, vault_file: VaultFile, tmp_path: Path) -> None:
    secret, out = tmp_path / "secret", tmp_path / "out"
    secret.write_bytes(SECRET)
    asked = ("wrap", "kek", "--in", secret, "--out", out, "--vault", vault_file.uri)
    assert "shorten the context" in refused(run(*asked, "--context", f"a={'x' * 1000}"), 12)
    assert not out.exists()


# --------------------------------------------------------------------------- envelopes


def test_promise_3_a_truncated_envelope(unwrap: Unwrap, envelope: str) -> None:
    for count in range(1, 5):
        unwrap(".".join(envelope.split(".")[:count]), 8, "--context", "vm=web-01")


@pytest.mark.parametrize("segment", range(5))
def test_promise_3_an_altered_envelope(unwrap: Unwrap, envelope: str, segment: int) -> None:
    segments = envelope.split(".")
    middle = len(segments[segment]) // 2
    other = "A" if segments[segment][middle] != "A" else "B"
    altered = segments[segment][:middle] + other + segments[segment][middle + 1 :]
    segments[segment] = altered
    # What is wrong with a header can be seen without the key; of the rest nothing is said.
    unwrap(".".join(segments), 8 if segment == 0 else 13, "--context", "vm=web-01")


@pytest.mark.parametrize("context", [[], ["vm=web-02"], ["vm=web-01", "a=b"], ["VM=web-01"]])
def test_promise_3_another_context(unwrap: Unwrap, envelope: str, context: list[str]) -> None:
    line = unwrap(envelope, 13, *(part for pair in context for part in ("--context", pair)))
    assert "web-0" not in line


@pytest.mark.parametrize(
    "change",
    [
        {"alg": "none"},
        {"alg": "dir"},
        {"alg": "RSA1_5"},
        {"alg": "PBES2-HS256+A128KW"},
        {"enc": "A128GCM"},
        {"enc": "A256CBC-HS512"},
        {"zip": "DEF"},
        {"crit": ["exp"], "exp": 1},
        {"crit": []},
        {"jku": "https://example.com"},
        {"kid": "memory:aes/1?module-path=/x.so"},
        {"kid": "pkcs11:token=a;object=b;id=%01?module-path=/x.so"},
        {"kid": "memory:aes"},
        {"ctx": {"vm": 1}},
        {"kid": "memory:aes/" + "1" * 600},
    ],
)
def test_promise_4_a_header_that_is_not_accepted(unwrap: Unwrap, change: dict[str, object]) -> None:
    unwrap(jwe.seal({**jwe.HEADER, **change}, SECRET), 8)


def test_a_duplicate_header_member(unwrap: Unwrap) -> None:
    header = '{"alg":"A256KW","enc":"A256GCM","kid":"memory:aes/1","kid":"memory:aes/1"}'
    unwrap(jwe.seal(header, SECRET), 8)


@pytest.mark.parametrize(
    "kid",
    [
        "memory:none/1",
        "memory:aes/1",
        "https://contoso.vault.azure.net/keys/kek/" + "0" * 32,
        "pkcs11:token=other;object=kek;id=%01",
    ],
)
def test_promise_4_a_kid_of_no_key_or_of_another_vault(unwrap: Unwrap, kid: str) -> None:
    unwrap(jwe.seal({**jwe.HEADER, "kid": kid}, SECRET), 13)


@pytest.mark.parametrize(
    "text",
    [b"", b"\n", b"not an envelope", b"a.b.c.d.e", b"\xff\xfe", b"e" * 100_000, b"e" * 300_000],
)
def test_what_is_no_envelope_at_all(unwrap: Unwrap, run: Run, tmp_path: Path, text: bytes) -> None:
    unwrap(text, 8)
    (tmp_path / "text").write_bytes(text)
    refused(run("inspect", tmp_path / "text"), 8)


@pytest.mark.parametrize("content", [b"", b"a", b"not an envelope", b"a.b.c.d.e", bytes(156)])
def test_what_is_neither_an_envelope_nor_a_bek_file(
    run: Run, tmp_path: Path, content: bytes
) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    assert "this is neither a wrapped key nor a .BEK file" in refused(run("inspect", path), 8)


def test_white_space_around_an_envelope_beyond_its_line_end(unwrap: Unwrap, envelope: str) -> None:
    for text in (f" {envelope}", f"{envelope} ", f"{envelope}\n\n"):
        unwrap(text, 8, "--context", "vm=web-01")


def test_an_envelope_whose_bitlocker_key_is_none(
    run: Run, vault_file: VaultFile, tmp_path: Path
) -> None:
    with keyhier.open(vault_file.uri) as vault:
        wrapped = vault.key("kek").wrap(SECRET, content_type="vnd.keyhier.bitlocker")
    file, folder = tmp_path / "envelope", tmp_path / "folder"
    file.write_text(str(wrapped))
    folder.mkdir()
    refused(run("unwrap", "--in", file, "--out", folder, "--vault", vault_file.uri), 8)
    assert not list(folder.iterdir())
