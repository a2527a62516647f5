"""Vault: finding keys, capabilities, what vaults can do less, closing, batches."""

from __future__ import annotations

import logging
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import attrs
import pytest

import keyhier
from keyhier import AuditEvent, KeyId, SecretBytes, Vault, WrapAlgorithm, WrappedKey
from keyhier.errors import (
    AlreadyExistsError,
    AuthenticationError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnsupportedError,
    UnwrapError,
)
from tests import jwe
from tests.keys import ENVELOPE_KEYS, key_for, material
from tests.odd_vault import OddDriver

SECRET = b"what opens the disk"
VERSION = "0" * 32

every_envelope = pytest.mark.parametrize("algorithm", ENVELOPE_KEYS)


def _opaque(action: Callable[[], object]) -> None:
    with pytest.raises(UnwrapError) as caught:
        action()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert str(caught.value) == str(UnwrapError())


# ------------------------------------------------------------------ keys


def test_a_key_is_found_by_name_by_version_and_by_id(memory_vault: Vault) -> None:
    first = memory_vault.create_key("kek", "AES-256")
    second = first.rotate()
    assert memory_vault.key("kek") is second
    assert memory_vault.key("kek", first.version) is first
    assert memory_vault.key(first.id) is first
    assert memory_vault.key(str(first.id)) is first
    assert memory_vault.key(first.id.versionless) is second
    assert memory_vault.key("memory:kek", first.version) is first


@pytest.mark.parametrize(
    "name",
    ["kek", "memory:kek", f"memory:kek/{VERSION}", "https://contoso.vault.azure.net/keys/kek", ""],
)
def test_what_is_not_there_is_not_found(name: str, memory_vault: Vault) -> None:
    with pytest.raises(NotFoundError):
        memory_vault.key(name)


@pytest.mark.parametrize(
    "text",
    [
        f"https://contoso.vault.azure.net/keys/kek/{VERSION}",
        "pkcs11:token=t;object=kek;id=a",
        f"record:prod/kek/{VERSION}",
    ],
)
def test_another_vaults_id_is_not_found(text: str, memory_vault: Vault) -> None:
    memory_vault.create_key("kek", "AES-256")
    with pytest.raises(NotFoundError, match="is not a key of this vault"):
        memory_vault.key(KeyId.parse(text))


def test_promise_9_a_version_is_not_given_twice(memory_vault: Vault) -> None:
    key = memory_vault.create_key("kek", "AES-256")
    with pytest.raises(InvalidInputError, match="names a version already"):
        memory_vault.key(key.id, key.version)


@pytest.mark.parametrize("text", ["\0", "kek\0", "\ud800", "kek\udfff"])
def test_what_no_vault_can_be_asked_for_is_no_name_and_no_version(
    text: str, memory_vault: Vault
) -> None:
    refused: list[Callable[[], object]] = [
        lambda: memory_vault.key(text),
        lambda: memory_vault.key("kek", text),
        lambda: memory_vault.recover_key(text),
        lambda: memory_vault.purge_key(text, confirm=text),
        lambda: memory_vault.backup_key(text),
    ]
    for action in refused:
        with pytest.raises(InvalidInputError, match="no NUL and no lone surrogate"):
            action()


@pytest.mark.parametrize("part", ["kek\0", "kek\ud800"])
def test_an_id_that_was_made_and_not_read_is_checked_too(part: str, memory_vault: Vault) -> None:
    for key_id in (KeyId("memory", "", part, "1"), KeyId("memory", "", "kek", part)):
        with pytest.raises(InvalidInputError, match="no NUL and no lone surrogate"):
            memory_vault.key(key_id)


def test_an_id_with_query_attributes_is_no_name(memory_vault: Vault) -> None:
    with pytest.raises(InvalidInputError, match="no query attributes"):
        memory_vault.key("memory:kek?file=/etc/passwd")


def test_the_keys_are_listed_with_their_latest_versions(memory_vault: Vault) -> None:
    latest = [memory_vault.create_key(name, "AES-128").rotate() for name in ("b", "a", "c")]
    assert list(memory_vault.keys()) == sorted(latest, key=lambda key: key.name)


@pytest.mark.parametrize("name", ["", "a b", "a/b", "ä", "a" * 128, "a\n", "memory:a", None])
def test_a_bad_name_is_refused_and_changes_nothing(name: str, memory_vault: Vault) -> None:
    with pytest.raises(InvalidInputError, match="is no key name"):
        memory_vault.create_key(name, "AES-256")
    with pytest.raises(InvalidInputError, match="is no key name"):
        memory_vault.import_key(name, jwe.KEK)
    assert not list(memory_vault.keys())


@pytest.mark.parametrize("spec", ["RSA-1024", "AES", "", None])
def test_an_unknown_spec_is_refused(spec: str, memory_vault: Vault) -> None:
    with pytest.raises(InvalidInputError, match="unknown key spec"):
        memory_vault.create_key("kek", spec)


def test_promise_5_an_rsa_key_is_not_made_for_one_algorithm(memory_vault: Vault) -> None:
    with pytest.raises(InvalidInputError, match="not made for one algorithm"):
        memory_vault.create_key("kek", "RSA-2048", algorithm="RSA-OAEP")


@pytest.mark.parametrize(
    ("spec", "algorithm"),
    [("AES-128", "A256KW"), ("AES-256", "A128KW"), ("AES-256", "RSA-OAEP"), ("AES-192", "A256GCM")],
)
def test_promise_5_an_aes_key_is_made_for_an_algorithm_that_fits(
    spec: str, algorithm: str, memory_vault: Vault
) -> None:
    with pytest.raises(InvalidInputError, match=f"{algorithm} does not fit {spec}; what fits is A"):
        memory_vault.create_key("kek", spec, algorithm=algorithm)
    with pytest.raises(InvalidInputError, match="does not fit"):
        memory_vault.import_key("kek", material(spec), algorithm=algorithm)


@pytest.mark.parametrize(
    ("spec", "default"),
    [
        ("AES-128", "A128KW"),
        ("AES-192", "A192KW"),
        ("AES-256", "A256KW"),
        ("RSA-2048", "RSA-OAEP-256"),
    ],
)
def test_each_spec_has_one_safe_default(spec: str, default: str, memory_vault: Vault) -> None:
    assert memory_vault.create_key("kek", spec).default_algorithm == default


def test_a_name_that_is_taken_is_refused(memory_vault: Vault) -> None:
    memory_vault.create_key("kek", "AES-256")
    with pytest.raises(AlreadyExistsError):
        memory_vault.create_key("kek", "AES-256")
    with pytest.raises(AlreadyExistsError):
        memory_vault.import_key("kek", jwe.KEK)


def test_a_deleted_key_is_recovered_or_purged_by_name(memory_vault: Vault) -> None:
    key = memory_vault.create_key("kek", "AES-256")
    wrapped = key.wrap(SECRET)
    key.delete(confirm="kek")
    assert memory_vault.deleted() == ["kek"]
    assert not list(memory_vault.keys())
    with pytest.raises(InvalidStateError, match="soft-deleted"):
        memory_vault.key("kek")
    memory_vault.recover_key("kek")
    assert memory_vault.unwrap(wrapped) == SECRET
    key.delete(confirm="kek")
    with pytest.raises(InvalidInputError, match="give its name again"):
        memory_vault.purge_key("kek", confirm="KEK")
    assert memory_vault.deleted() == ["kek"]
    memory_vault.purge_key("kek", confirm="kek")
    assert memory_vault.deleted() == []
    with pytest.raises(NotFoundError):
        memory_vault.recover_key("kek")


def test_a_backup_brings_a_key_back_with_its_versions(memory_vault: Vault) -> None:
    key = memory_vault.create_key("kek", "AES-256")
    wrapped = [key.wrap(SECRET), key.rotate().wrap(SECRET)]
    backup = memory_vault.backup_key("kek")
    key.delete(confirm="kek")
    memory_vault.purge_key("kek", confirm="kek")
    assert memory_vault.restore_key(backup).name == "kek"
    for envelope in wrapped:
        assert memory_vault.unwrap(envelope) == SECRET


@pytest.mark.parametrize("length", [1, 32, 1024 * 1024])
def test_a_vault_gives_random_bytes(length: int, memory_vault: Vault) -> None:
    assert len(memory_vault.random_bytes(length)) == length
    assert memory_vault.random_bytes(32) != memory_vault.random_bytes(32)


@pytest.mark.parametrize("length", [0, -1, 1024 * 1024 + 1])
def test_random_bytes_have_bounds(length: int, memory_vault: Vault) -> None:
    with pytest.raises(InvalidInputError, match="1 to 1048576"):
        memory_vault.random_bytes(length)


def test_a_memory_vault_can_do_everything(memory_vault: Vault) -> None:
    able = memory_vault.capabilities
    assert able.scheme == "memory"
    assert set(able.key_specs) == set(keyhier.KeySpec)
    assert set(able.algorithms) == set(WrapAlgorithm)
    assert all(
        (able.imports, able.rotates, able.lifecycle, able.soft_delete, able.backup, able.random)
    )


# ------------------------------------------------------------------ PINs never show


@pytest.mark.parametrize("right", [True, False])
def test_promise_7_a_passphrase_shows_nowhere(
    right: bool,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.DEBUG)
    uri = f"memory:?file={tmp_path / 'vault'}&pin-source=env:KEYHIER_TEST_PIN"
    monkeypatch.setenv("KEYHIER_TEST_PIN", "s3cr3t")
    events: list[AuditEvent] = []
    shown: list[object] = []
    with keyhier.open(uri, audit=events.append) as vault:
        vault.create_key("kek", "AES-256").wrap(SECRET)
        shown += [vault, vault.uri, vault.capabilities, list(vault.keys()), events]
    if not right:
        monkeypatch.setenv("KEYHIER_TEST_PIN", "wr0ng-s3cr3t")
        with pytest.raises(AuthenticationError) as caught:
            keyhier.open(uri)
        shown += [caught.value, *traceback.format_exception(caught.value)]
        shown.append(pickle.dumps(caught.value))
    text = f"{shown} {caplog.text} {capfd.readouterr()} {(tmp_path / 'vault').read_bytes()!r}"
    assert "s3cr3t" not in text
    assert "KEYHIER_TEST_PIN" in text


# ------------------------------------------------------------------ vaults that can do less


def test_promise_3_a_drivers_own_words_about_a_failed_unwrap_are_not_passed_on() -> None:
    with Vault(OddDriver(talkative=True), uri="memory:") as vault:
        rsa_key = vault.create_key("rsa", "RSA-2048")
        aes_key = vault.create_key("aes", "AES-256")
        for key in (rsa_key, aes_key):
            changed = bytearray(key.wrap_raw(bytes(32)))
            changed[-1] ^= 1
            _opaque(lambda key=key, changed=changed: key.unwrap_raw(bytes(changed)))  # type: ignore[misc]
        transported = bytearray(rsa_key.wrap_raw(bytes(32), "RSA-AES-KWP"))
        for place in (0, -1):
            transported[place] ^= 1
            _opaque(lambda: rsa_key.unwrap_raw(bytes(transported), "RSA-AES-KWP"))
        text = jwe.seal({**jwe.HEADER, "kid": str(aes_key.id)})
        _opaque(lambda: vault.unwrap(text))


@pytest.mark.parametrize(
    "fault",
    [
        OddDriver(change_wrapped=lambda wrapped: wrapped[:-1] + bytes([wrapped[-1] ^ 1])),
        OddDriver(change_opened=lambda secret: SecretBytes(bytes(len(secret)))),
        OddDriver(change_opened=lambda secret: SecretBytes(secret.reveal() + b"\0")),
    ],
    ids=["wraps wrongly", "opens wrongly", "pads"],
)
def test_promise_8_what_a_vault_wraps_is_opened_before_it_is_handed_out(fault: OddDriver) -> None:
    with Vault(fault, uri="memory:") as vault:
        key = vault.create_key("kek", "AES-256")
        for wrap in (key.wrap, key.wrap_raw):
            with pytest.raises(IntegrityError, match="does not open again"):
                wrap(bytes(range(1, 33)))


def test_a_vault_says_what_it_cannot_do_before_it_starts() -> None:
    with Vault(OddDriver(algorithms=[WrapAlgorithm.RSA_OAEP]), uri="memory:") as vault:
        able = vault.capabilities
        assert able.algorithms == ("RSA-OAEP",)
        assert not any(
            (able.imports, able.rotates, able.lifecycle, able.soft_delete, able.backup, able.random)
        )
        key = vault.create_key("kek", "RSA-2048")
        refused: list[tuple[Callable[[], object], str]] = [
            (
                lambda: vault.create_key("big", "RSA-4096"),
                "cannot make RSA-4096 keys; it can make A",
            ),
            (lambda: vault.import_key("aes", jwe.KEK), "cannot import keys"),
            (key.rotate, "cannot rotate keys"),
            (key.disable, "cannot disable and enable keys"),
            (key.enable, "cannot disable and enable keys"),
            (lambda: key.delete(confirm="kek"), "cannot delete keys"),
            (vault.deleted, "cannot soft-delete keys"),
            (lambda: vault.recover_key("kek"), "cannot recover keys"),
            (lambda: vault.purge_key("kek", confirm="kek"), "cannot purge keys"),
            (lambda: vault.backup_key("kek"), "cannot back keys up"),
            (lambda: vault.restore_key(b""), "cannot restore keys"),
            (lambda: vault.random_bytes(1), "cannot generate random bytes"),
        ]
        for action, reason in refused:
            with pytest.raises(UnsupportedError, match=reason):
                action()
        assert list(vault.keys()) == [key]


def test_the_default_follows_what_the_vault_can_unwrap_and_says_so() -> None:
    with Vault(OddDriver(algorithms=[WrapAlgorithm.RSA_OAEP]), uri="memory:") as vault:
        key = vault.create_key("kek", "RSA-2048")
        assert key.default_algorithm == "RSA-OAEP"
        assert key.default_reason == (
            "this vault cannot unwrap with RSA-OAEP-256; the default is RSA-OAEP"
        )
        assert key.wrap(SECRET).algorithm == "RSA-OAEP"
        with pytest.raises(UnsupportedError, match="it can with RSA-OAEP"):
            key.wrap(SECRET, algorithm="RSA-OAEP-256")


def test_an_envelope_whose_mechanism_the_vault_lacks_is_told_as_such() -> None:
    driver = OddDriver(algorithms=[WrapAlgorithm.RSA_OAEP])
    with Vault(driver, uri="memory:") as vault, Vault(driver.inner, uri="memory:") as able:
        vault.create_key("kek", "RSA-2048")
        wrapped = able.key("kek").wrap(SECRET, algorithm="RSA-OAEP-256")
        with pytest.raises(UnsupportedError, match="cannot unwrap with RSA-OAEP-256; it can with"):
            vault.unwrap(wrapped)


@pytest.mark.parametrize("algorithms", [[WrapAlgorithm.RSA1_5], []])
def test_promise_5_where_only_rsa1_5_is_left_there_is_no_default(
    algorithms: list[WrapAlgorithm],
) -> None:
    with Vault(OddDriver(algorithms=algorithms), uri="memory:") as vault:
        key = vault.create_key("kek", "RSA-2048")
        for use in (key.wrap, key.wrap_raw):
            with pytest.raises(UnsupportedError, match="no default"):
                use(SECRET)


# ------------------------------------------------------------------ closed


def test_a_closed_vault_does_nothing() -> None:
    vault = keyhier.open("memory:")
    keys = [key_for(vault, algorithm, f"k-{n}") for n, algorithm in enumerate(ENVELOPE_KEYS)]
    wrapped = [key.wrap(SECRET) for key in keys]
    vault.close()
    vault.close()
    actions: list[Callable[[], object]] = [
        lambda: vault.capabilities,
        lambda: vault.create_key("kek", "AES-256"),
        lambda: vault.import_key("kek", jwe.KEK),
        lambda: vault.key("k-0"),
        lambda: list(vault.keys()),
        vault.deleted,
        lambda: vault.random_bytes(1),
        lambda: vault.backup_key("k-0"),
    ]
    for key, envelope in zip(keys, wrapped, strict=True):
        actions += [
            lambda key=key: key.wrap(SECRET),  # type: ignore[misc]
            lambda key=key: key.wrap_raw(bytes(32)),  # type: ignore[misc]
            lambda key=key, envelope=envelope: key.unwrap(envelope),  # type: ignore[misc]
            lambda envelope=envelope: vault.unwrap(envelope),  # type: ignore[misc]
            key.refresh,
            key.versions,
            key.rotate,
            key.disable,
            lambda key=key: key.delete(confirm=key.name),  # type: ignore[misc]
        ]
    for action in actions:
        with pytest.raises(InvalidStateError, match="closed"):
            action()


def test_a_vault_that_another_thread_closes_meanwhile_does_not_blame_the_envelope() -> None:
    class ClosesAndFindsNothing(OddDriver):
        def get_key(self, name: str, version: str | None = None) -> NoReturn:
            vault.close()
            raise NotFoundError("no private object can be seen any more")

    vault = Vault(ClosesAndFindsNothing(), uri="memory:")
    with pytest.raises(InvalidStateError, match="the vault is closed"):
        vault.unwrap(jwe.seal(jwe.HEADER))


def test_promise_3_an_envelope_that_was_made_and_not_read_fails_like_any_other(
    memory_vault: Vault,
) -> None:
    wrapped = memory_vault.create_key("kek", "AES-256").wrap(SECRET)
    _opaque(lambda: memory_vault.unwrap(attrs.evolve(wrapped, iv=b"")))
    _opaque(lambda: memory_vault.unwrap(attrs.evolve(wrapped, tag=b"")))


def test_a_vault_is_closed_when_its_block_fails() -> None:
    with pytest.raises(RuntimeError, match="on purpose"), keyhier.open("memory:") as vault:
        raise RuntimeError("on purpose")
    with pytest.raises(InvalidStateError, match="closed"):
        vault.key("kek")


def test_a_vault_shows_its_uri(memory_vault: Vault) -> None:
    assert memory_vault.uri == "memory:"
    assert repr(memory_vault) == "<Vault memory:>"


# ------------------------------------------------------------------ batches


def test_many_secrets_are_wrapped_and_opened_in_order(memory_vault: Vault) -> None:
    key = memory_vault.create_key("kek", "AES-256")
    told: list[int] = []
    items = [(str(n).encode(), {"n": str(n)}) for n in range(50)]
    wrapped = list(memory_vault.wrap_many(key, items, workers=3, progress=told.append))
    assert [outcome.index for outcome in wrapped] == list(range(50))
    assert told == list(range(1, 51))
    envelopes = ((outcome.result(), {"n": str(outcome.index)}) for outcome in wrapped)
    for outcome in memory_vault.unwrap_many(envelopes, workers=3):
        with outcome.result() as secret:
            assert secret == str(outcome.index).encode()


def test_promise_8_one_bad_item_does_not_stop_the_others(memory_vault: Vault) -> None:
    key = memory_vault.create_key("kek", "AES-256")
    good = key.wrap(SECRET)
    items: list[tuple[WrappedKey | str, dict[str, str] | None]] = [
        (good, None),
        (good, {"a": "b"}),
        ("no envelope", None),
        (str(good), None),
    ]
    outcomes = list(memory_vault.unwrap_many(items, workers=2))
    assert [type(outcome.error) for outcome in outcomes] == [
        type(None),
        UnwrapError,
        InvalidInputError,
        type(None),
    ]
    with pytest.raises(UnwrapError):
        outcomes[1].result()
    wrapped = list(memory_vault.wrap_many(key, [(b"", None), (SECRET, None)]))
    assert isinstance(wrapped[0].error, KeyhierError)
    assert memory_vault.unwrap(wrapped[1].result()) == SECRET


# ------------------------------------------------------------------ ids that do not fit


@pytest.mark.parametrize(
    "key_id",
    [
        KeyId("pkcs11", "disks", "é" * 200, "01"),
        KeyId("pkcs11", "disks", "kek", ""),
        KeyId("memory", "", "no key name", "1"),
    ],
    ids=["too long", "without a version", "not an id"],
)
def test_promise_8_nothing_is_wrapped_under_an_id_that_could_not_be_read_back(
    key_id: KeyId,
) -> None:
    driver = OddDriver()
    with Vault(driver, uri="memory:") as vault:
        vault.create_key("kek", "RSA-2048")
        driver.rename = lambda _: key_id
        with pytest.raises(InvalidInputError):
            vault.key("kek").wrap(SECRET)


def test_promise_4_a_kid_that_leads_to_another_version_opens_nothing() -> None:
    driver = OddDriver()
    with Vault(driver, uri="memory:") as vault:
        key = vault.create_key("kek", "AES-256")
        asked = attrs.evolve(key.id, version="1")
        driver.find_any_version = True
        assert vault.key(asked) is key
        kid = str(asked)
        _opaque(lambda: vault.unwrap(jwe.seal({**jwe.HEADER, "kid": kid})))
