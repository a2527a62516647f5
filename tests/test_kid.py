"""What a kid leads to: the keys of the vault that is open, aliases included, and nothing else."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import keyhier
from keyhier import KeyId, Vault
from keyhier.errors import (
    AmbiguousError,
    InvalidInputError,
    UnwrapError,
)
from tests import jwe
from tests.keys import ENVELOPE_KEYS, key_for, material

SECRET = b"what opens the disk"
VERSION = "0" * 32

every_envelope = pytest.mark.parametrize("algorithm", ENVELOPE_KEYS)


def _opaque(action: Callable[[], object]) -> None:
    with pytest.raises(UnwrapError) as caught:
        action()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert str(caught.value) == str(UnwrapError())


# ------------------------------------------------------------------ opening by the kid


@every_envelope
def test_promise_1_a_vault_opens_an_envelope_by_the_version_it_names(
    algorithm: str, memory_vault: Vault
) -> None:
    first = key_for(memory_vault, algorithm)
    wrapped = first.wrap(SECRET, algorithm=algorithm, context={"vm": "web-01"})
    second = first.rotate()
    again = second.wrap(SECRET, algorithm=algorithm, context={"vm": "web-01"})
    assert wrapped.kid != again.kid
    for envelope in (wrapped, again, str(wrapped), str(again)):
        with memory_vault.unwrap(envelope, context={"vm": "web-01"}) as secret:
            assert secret == SECRET


@every_envelope
def test_promise_2_a_vault_compares_the_context(algorithm: str, memory_vault: Vault) -> None:
    wrapped = key_for(memory_vault, algorithm).wrap(
        SECRET, algorithm=algorithm, context={"vm": "web-01"}
    )
    for context in (None, {}, {"vm": "web-02"}):
        _opaque(lambda context=context: memory_vault.unwrap(wrapped, context=context))  # type: ignore[misc]


@pytest.mark.parametrize(
    "kid",
    [
        "memory:kek/" + VERSION,
        "memory:other/1",
        f"https://contoso.vault.azure.net/keys/kek/{VERSION}",
        "pkcs11:token=t;object=kek;id=%01",
        "record:prod/kek/1",
    ],
)
def test_promise_3_an_envelope_of_another_vault_is_an_opaque_failure(
    kid: str, memory_vault: Vault
) -> None:
    memory_vault.import_key("kek", jwe.KEK)
    _opaque(lambda: memory_vault.unwrap(jwe.seal({**jwe.HEADER, "kid": kid})))


def test_an_envelope_made_by_hand_opens(memory_vault: Vault) -> None:
    key = memory_vault.import_key("kek", jwe.KEK)
    text = jwe.seal({**jwe.HEADER, "kid": str(key.id), "typ": "JOSE"}, SECRET)
    assert memory_vault.unwrap(text) == SECRET


def test_a_key_that_another_vault_object_deleted_opens_nothing(tmp_path: Path) -> None:
    uri = f"memory:?file={tmp_path / 'vault'}"
    with keyhier.open(uri, pin=lambda _: "p") as one, keyhier.open(uri, pin=lambda _: "p") as two:
        key = one.create_key("kek", "AES-256")
        wrapped = key.wrap(SECRET)
        two.key("kek").delete(confirm="kek")
        two.purge_key("kek", confirm="kek")
        _opaque(lambda: one.unwrap(wrapped))


# ------------------------------------------------------------------ aliases


@every_envelope
def test_a_key_that_moved_keeps_its_envelopes(algorithm: str) -> None:
    with keyhier.open("memory:") as old:
        wrapped = key_for(old, algorithm).wrap(SECRET, algorithm=algorithm)
    with keyhier.open("memory:") as vault:
        moved = key_for(vault, algorithm, "new-kek")
        # An alias names the version, which is known only now: the vault's file would keep it.
        aliases = {wrapped.kid: moved.id}
        again = Vault(vault._opened.driver, uri="memory:", aliases=aliases)
        assert again.unwrap(wrapped) == SECRET
        _opaque(lambda: vault.unwrap(wrapped))


def test_an_alias_is_given_when_opening(tmp_path: Path) -> None:
    uri = f"memory:?file={tmp_path / 'vault'}"
    with keyhier.open("memory:") as old, keyhier.open(uri, pin=lambda _: "p") as new:
        wrapped = old.import_key("kek", material("RSA-2048")).wrap(SECRET)
        moved = new.import_key("kek", material("RSA-2048"))
    aliases = {str(wrapped.kid): str(moved.id)}
    with keyhier.open(uri, pin=lambda _: "p", aliases=aliases) as vault:
        assert vault.unwrap(str(wrapped)) == SECRET


def test_an_rsa_key_proves_by_its_thumbprint_that_it_is_the_one_that_moved() -> None:
    with keyhier.open("memory:") as vault:
        key = vault.import_key("kek", material("RSA-2048"))
        old = KeyId.parse("memory:old/1")
        again = Vault(vault._opened.driver, uri="memory:", aliases={old: key.id})
        text = str(key.wrap(SECRET))
        segments = text.split(".")
        for change in ({}, {"kth": jwe.encode(bytes(32))}, {"kth": None}):
            members = jwe.header_of(text) | {"kid": str(old)} | change
            header = {name: value for name, value in members.items() if value is not None}
            # The seal is over the header, so only its absence or falsehood is refused before it.
            moved = ".".join([jwe.encode(json.dumps(header).encode()), *segments[1:]])
            _opaque(lambda moved=moved: again.unwrap(moved))  # type: ignore[misc]


def test_an_alias_to_another_rsa_key_opens_nothing() -> None:
    with keyhier.open("memory:") as old, keyhier.open("memory:") as new:
        wrapped = old.import_key("kek", material("RSA-2048")).wrap(SECRET)
        other = new.import_key("kek", material("RSA-2048", 2))
        vault = Vault(new._opened.driver, uri="memory:", aliases={wrapped.kid: other.id})
        _opaque(lambda: vault.unwrap(wrapped))


def test_an_alias_to_a_key_that_is_not_here_opens_nothing(memory_vault: Vault) -> None:
    wrapped = memory_vault.create_key("kek", "AES-256").wrap(SECRET)
    for target in ("memory:gone/1", "pkcs11:token=t;id=a"):
        aliases = {wrapped.kid: KeyId.parse(target)}
        vault = Vault(memory_vault._opened.driver, uri="memory:", aliases=aliases)
        _opaque(lambda vault=vault: vault.unwrap(wrapped))  # type: ignore[misc]


@pytest.mark.parametrize(
    "aliases",
    [
        {"memory:a": "memory:b/1"},
        {"memory:a/1": "memory:b"},
        {"a": "memory:b/1"},
        {"memory:a/1": "memory:b/1?file=/x"},
        {"memory:a/1": "pkcs11:token=t;object=b;id=%01"},
    ],
)
def test_promise_4_an_alias_goes_from_one_exact_version_to_another(aliases: dict[str, str]) -> None:
    with pytest.raises(InvalidInputError):
        keyhier.open("memory:", aliases=aliases)


def test_promise_9_two_aliases_for_one_id_are_refused_with_both() -> None:
    old = f"https://contoso.vault.azure.net/keys/kek/{VERSION}"
    with pytest.raises(AmbiguousError) as caught:
        keyhier.open("memory:", aliases={old: "memory:a/1", old.upper(): "memory:b/1"})
    assert caught.value.candidates == ("memory:a/1", "memory:b/1")
    keyhier.open("memory:", aliases={old: "memory:a/1", old.upper(): "memory:a/1"}).close()


# ------------------------------------------------------------------ an envelope is data

WATCHED = """
import json, os, sys
import keyhier
from tests import jwe

envelopes = json.load(sys.stdin)
events = []
watching = False

def watch(event, arguments):
    if watching:
        events.append(f"{event} {arguments!r:.200}")

sys.addaudithook(watch)
with keyhier.open("memory:") as vault:
    key = vault.import_key("kek", jwe.KEK)
    assert vault.unwrap(jwe.seal({**jwe.HEADER, "kid": str(key.id)})) == b"secret"
    before, outcomes = set(sys.modules), []
    for text in envelopes:
        watching = True
        try:
            vault.unwrap(text)
        except keyhier.KeyhierError as error:
            outcome = type(error).__name__
        watching = False
        outcomes.append(outcome)
# These say that Python looks at itself.
allowed = ("object.__getattr__", "compile", "exec", "sys._getframe", "code.__new__")
json.dump(
    {
        "outcomes": outcomes,
        "modules": sorted(set(sys.modules) - before),
        "events": [event for event in events if not event.startswith(allowed)],
    },
    sys.stdout,
)
"""


def test_promise_4_no_module_file_or_host_is_opened_because_an_envelope_names_it(
    tmp_path: Path,
) -> None:
    bait = tmp_path / "evil.so"
    bait.write_bytes(b"\x7fELF")
    kids = [
        f"https://contoso.vault.azure.net/keys/kek/{VERSION}",
        f"https://127.0.0.1:9/keys/kek/{VERSION}",
        "pkcs11:token=t;object=kek;id=%01",
        "record:prod/kek/1",
        "memory:other/1",
        # These are refused as they stand.
        f"pkcs11:token=t;id=%01?module-path={bait}",
        f"pkcs11:token=t;id=%01;module-path={bait}",
        "pkcs11:token=t;id=%01?pin-source=file:/etc/passwd",
        f"memory:kek/1?file={bait}",
        f"file:{bait}",
        "http://127.0.0.1:9/keys/kek",
    ]
    header = {**jwe.HEADER, "jku": "https://127.0.0.1:9/jwks", "x5u": f"file:{bait}"}
    texts = [jwe.seal({**jwe.HEADER, "kid": kid}) for kid in kids] + [jwe.seal(header)]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED],
        input=json.dumps(texts),
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[1],
    )
    report = json.loads(done.stdout)
    assert report["outcomes"] == ["UnwrapError"] * 5 + ["InvalidInputError"] * 7
    assert report["modules"] == []
    assert report["events"] == []
