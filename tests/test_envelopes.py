"""Envelopes: what one key version seals and opens, for every algorithm, on a memory vault."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st

import keyhier
from keyhier import AuditEvent, BitLockerKey, Key, LinuxPassphrase, SecretBytes, Vault, WrappedKey
from keyhier.errors import (
    CapacityError,
    InvalidInputError,
    InvalidStateError,
    UnsupportedError,
    UnwrapError,
)
from tests import jwe
from tests.keys import ENVELOPE_KEYS, RAW_KEYS, key_for, material, private_key

SECRET = b"what opens the disk, 156 bytes or so" * 4
CONTEXT = {"vm": "web-01", "volume": "C: café"}

every_envelope = pytest.mark.parametrize("algorithm", ENVELOPE_KEYS)
every_raw = pytest.mark.parametrize("algorithm", RAW_KEYS)


def _opened(secret: SecretBytes) -> bytes:
    with secret:
        return secret.reveal()


@pytest.fixture(scope="module")
def shared() -> Iterator[dict[str, Key]]:
    """A key for each envelope algorithm, in a vault that no test changes."""
    with keyhier.open("memory:") as vault:
        yield {
            algorithm: key_for(vault, algorithm, f"kek-{number}")
            for number, algorithm in enumerate(ENVELOPE_KEYS)
        }


# ------------------------------------------------------------------ envelopes


@every_envelope
def test_promise_1_an_envelope_is_a_compact_jwe_that_names_its_key_version(
    algorithm: str, shared: dict[str, Key]
) -> None:
    key = shared[algorithm]
    text = str(key.wrap(SECRET, algorithm=algorithm, context=CONTEXT))
    header = jwe.header_of(text)
    assert header["alg"] == algorithm
    assert header["enc"] == "A256GCM"
    assert header["kid"] == str(key.id)
    assert key.version
    assert header["kid"].endswith(f"/{key.version}")
    assert header["cty"] == "octet-stream"
    assert header["ctx"] == CONTEXT
    assert set(header) == {"alg", "enc", "kid", "cty", "ctx"} | (
        {"kth"} if algorithm.startswith("RSA") else set()
    ) | ({"iv", "tag"} if algorithm == "A256GCMKW" else set())
    _, encrypted_key, iv, ciphertext, tag = map(jwe.decode, text.split("."))
    assert len(encrypted_key) == {"RSA": 256, "A25": 40, "A12": 40, "A19": 40}[
        algorithm[:3]
    ] - 8 * (algorithm == "A256GCMKW")
    assert (len(iv), len(ciphertext), len(tag)) == (12, len(SECRET), 16)


@every_envelope
@given(
    secret=st.binary(min_size=1, max_size=300),
    context=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
        max_size=4,
    ),
)
def test_promise_1_what_was_wrapped_opens_again(
    algorithm: str, shared: dict[str, Key], secret: bytes, context: dict[str, str]
) -> None:
    key = shared[algorithm]
    wrapped = key.wrap(secret, algorithm=algorithm, context=context)
    assert _opened(key.unwrap(wrapped, context=context)) == secret
    assert _opened(key.unwrap(str(wrapped), context=context)) == secret
    assert wrapped.context == context
    assert WrappedKey.parse(str(wrapped)) == wrapped


@every_envelope
def test_two_wraps_of_one_secret_have_nothing_in_common(
    algorithm: str, shared: dict[str, Key]
) -> None:
    one, other = (shared[algorithm].wrap(SECRET, algorithm=algorithm) for _ in range(2))
    assert one.encrypted_key != other.encrypted_key
    assert one.iv != other.iv
    assert one.ciphertext != other.ciphertext


@pytest.mark.parametrize("size", [1, 7, 48 * 1024])
def test_promise_1_a_secret_may_have_48_kib(size: int, shared: dict[str, Key]) -> None:
    key = shared["A256KW"]
    assert _opened(key.unwrap(str(key.wrap(bytes(size))))) == bytes(size)


def test_a_longer_secret_and_an_empty_one_are_refused(shared: dict[str, Key]) -> None:
    with pytest.raises(CapacityError, match="at most 49152 bytes"):
        shared["A256KW"].wrap(bytes(48 * 1024 + 1))
    for empty in (b"", bytearray(), SecretBytes(b"")):
        with pytest.raises(InvalidInputError, match="nothing to wrap"):
            shared["A256KW"].wrap(empty)


@pytest.mark.parametrize(
    ("secret", "content_type"),
    [
        (SECRET, "octet-stream"),
        (bytearray(SECRET), "octet-stream"),
        (SecretBytes(SECRET), "octet-stream"),
        (BitLockerKey.generate(), "vnd.keyhier.bitlocker"),
        (LinuxPassphrase.generate(), "vnd.keyhier.luks"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_envelope_says_what_the_secret_is(
    secret: keyhier.secret.Secret, content_type: str, shared: dict[str, Key]
) -> None:
    key = shared["A256KW"]
    wrapped = key.wrap(secret)
    assert wrapped.content_type == content_type
    expected = (
        secret.to_secret() if not isinstance(secret, bytes | bytearray | SecretBytes) else secret
    )
    assert key.unwrap(wrapped) == expected
    assert key.wrap(secret, content_type="vnd.acme.key").content_type == "vnd.acme.key"


@pytest.mark.parametrize("content_type", ["", "a b", "é", "a" * 128, "a\n", "\ud800", 7])
def test_a_content_type_that_could_not_be_read_back_is_refused(
    content_type: str, shared: dict[str, Key]
) -> None:
    for key in shared.values():
        with pytest.raises(InvalidInputError, match="content type"):
            key.wrap(SECRET, content_type=content_type)


@pytest.mark.parametrize("secret", ["text", None, 7, memoryview(SECRET), [1, 2], object()])
def test_what_is_no_secret_is_refused(secret: bytes, shared: dict[str, Key]) -> None:
    with pytest.raises(InvalidInputError, match="a secret is bytes or a volume key"):
        shared["A256KW"].wrap(secret)
    with pytest.raises(InvalidInputError, match="a secret is bytes or a volume key"):
        shared["A256KW"].wrap_raw(secret)


def test_a_wiped_secret_is_refused(shared: dict[str, Key]) -> None:
    secret = SecretBytes(SECRET)
    secret.wipe()
    for key in shared.values():
        with pytest.raises(InvalidStateError, match="wiped"):
            key.wrap(secret)


class _Recorded:
    """A secret with a form of its own that remembers the copies it gave out."""

    content_type = "vnd.acme.key"

    def __init__(self, data: bytes = SECRET) -> None:
        self._data = data
        self.copies: list[SecretBytes] = []

    def to_secret(self) -> SecretBytes:
        self.copies.append(SecretBytes(self._data))
        return self.copies[-1]


@every_envelope
def test_promise_6_the_copy_that_was_wrapped_is_wiped(
    algorithm: str, shared: dict[str, Key]
) -> None:
    secret, empty = _Recorded(), _Recorded(b"")
    shared[algorithm].wrap(secret, algorithm=algorithm)
    with pytest.raises(InvalidInputError):
        shared[algorithm].wrap(empty, algorithm=algorithm)
    for copy in secret.copies + empty.copies:
        assert copy.wiped


def test_promise_6_the_callers_own_secret_is_left_alone(shared: dict[str, Key]) -> None:
    with SecretBytes(SECRET) as secret:
        shared["A256KW"].wrap(secret)
        shared["RSA-OAEP"].wrap(secret)
        with pytest.raises(CapacityError):
            shared["RSA-OAEP"].wrap_raw(SecretBytes(bytes(300)))
        assert secret == SECRET


def test_promise_6_the_copy_that_was_wrapped_raw_is_wiped(memory_vault: Vault) -> None:
    secret, long = _Recorded(), _Recorded(bytes(70_000))
    key = key_for(memory_vault, "A256KWP")
    key.wrap_raw(secret)
    with pytest.raises(CapacityError):
        key.wrap_raw(long)
    assert all(copy.wiped for copy in secret.copies + long.copies)


# ------------------------------------------------------------------ context


@every_envelope
@pytest.mark.parametrize(
    ("bound", "given_one"),
    [
        (CONTEXT, None),
        (CONTEXT, {}),
        (CONTEXT, {"vm": "web-01"}),
        (CONTEXT, CONTEXT | {"more": ""}),
        (CONTEXT, {"vm": "web-02", "volume": "C: café"}),
        (CONTEXT, {"vm": "web-01", "Volume": "C: café"}),
        (CONTEXT, {"vm": "web-01", "volume": "C: cafe\u0301"}),
        (CONTEXT, {"vm": "web-01", "volume": "C: café "}),
        (None, CONTEXT),
        ({}, {"": ""}),
        ({"a": "b"}, {"b": "a"}),
    ],
)
def test_promise_2_another_context_does_not_open(
    algorithm: str,
    bound: dict[str, str] | None,
    given_one: dict[str, str] | None,
    shared: dict[str, Key],
) -> None:
    wrapped = shared[algorithm].wrap(SECRET, algorithm=algorithm, context=bound)
    _refused(shared[algorithm], str(wrapped), given_one)


@pytest.mark.parametrize(("bound", "given_one"), [(None, {}), ({}, None), ({}, {}), (None, None)])
def test_promise_2_an_empty_context_is_none(
    bound: dict[str, str] | None, given_one: dict[str, str] | None, shared: dict[str, Key]
) -> None:
    wrapped = shared["A256KW"].wrap(SECRET, context=bound)
    assert "ctx" not in jwe.header_of(str(wrapped))
    assert shared["A256KW"].unwrap(wrapped, context=given_one) == SECRET


def test_promise_2_the_order_of_the_entries_does_not_matter(shared: dict[str, Key]) -> None:
    wrapped = shared["A256KW"].wrap(SECRET, context=CONTEXT)
    turned = dict(reversed(CONTEXT.items()))
    assert shared["A256KW"].unwrap(wrapped, context=turned) == SECRET


@pytest.mark.parametrize(
    "context",
    [
        {str(n): "" for n in range(17)},
        {"a": 1},
        {1: "a"},
        {"a": None},
        {"a": "\ud800"},
        {"\udfff": "a"},
        [("a", "b")],
        ["a"],
        [],
        "text",
        "",
        0,
        b"",
    ],
)
def test_promise_2_what_is_no_context_is_refused(
    context: dict[str, str], shared: dict[str, Key]
) -> None:
    key = shared["A256KW"]
    with pytest.raises(InvalidInputError, match="a context"):
        key.wrap(SECRET, context=context)
    wrapped = key.wrap(SECRET)
    with pytest.raises(InvalidInputError, match="a context"):
        key.unwrap(wrapped, context=context)


@every_envelope
def test_promise_2_the_header_stays_under_1024_bytes(
    algorithm: str, shared: dict[str, Key]
) -> None:
    key = shared[algorithm]
    longest = 0
    for length in range(1000):
        try:
            text = str(key.wrap(SECRET, algorithm=algorithm, context={"a": "x" * length}))
        except CapacityError:
            break
        longest = len(text.partition(".")[0])
        WrappedKey.parse(text)
    assert 1020 < longest < 1024


def test_promise_2_a_context_is_copied_when_it_is_bound(shared: dict[str, Key]) -> None:
    context = dict(CONTEXT)
    wrapped = shared["A256KW"].wrap(SECRET, context=context)
    context["vm"] = "web-02"
    assert wrapped.context == CONTEXT


# ------------------------------------------------------------------ one opaque failure


def _refused(key: Key, text: str, context: dict[str, str] | None = None) -> None:
    """Assert that a well-formed envelope does not open, and that nothing is said about why."""
    with pytest.raises(UnwrapError) as caught:
        key.unwrap(text, context=context)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert str(caught.value) == str(UnwrapError())
    assert caught.value.args == UnwrapError().args


@every_envelope
def test_promise_3_a_change_of_any_character_does_not_open(
    algorithm: str, shared: dict[str, Key]
) -> None:
    key = shared[algorithm]
    text = str(key.wrap(b"0123456789", algorithm=algorithm, context={"vm": "web-01"}))
    opaque = malformed = 0
    for place, character in enumerate(text):
        changed = text[:place] + ("A" if character != "A" else "B") + text[place + 1 :]
        try:
            WrappedKey.parse(changed)
        except InvalidInputError:
            malformed += 1
            with pytest.raises(InvalidInputError):
                key.unwrap(changed, context={"vm": "web-01"})
            continue
        opaque += 1
        _refused(key, changed, {"vm": "web-01"})
    assert opaque > 40
    assert malformed > 5


@every_envelope
@given(data=st.data())
def test_promise_3_segments_of_two_envelopes_do_not_mix(
    algorithm: str, shared: dict[str, Key], data: st.DataObject
) -> None:
    key = shared[algorithm]
    pair = [str(key.wrap(SECRET, algorithm=algorithm)).split(".") for _ in range(2)]
    chosen = data.draw(st.lists(st.integers(0, 1), min_size=5, max_size=5))
    if algorithm != "A256GCMKW":
        chosen[0] = 0  # The headers are the same.
    mixed = ".".join(pair[which][number] for number, which in enumerate(chosen))
    parts = chosen[1:] if algorithm != "A256GCMKW" else chosen
    if len(set(parts)) == 1:
        assert key.unwrap(mixed) == SECRET
    else:
        _refused(key, mixed)


@every_envelope
def test_promise_3_another_key_under_the_same_id_does_not_open(algorithm: str) -> None:
    with keyhier.open("memory:") as one, keyhier.open("memory:") as other:
        first, second = key_for(one, algorithm), key_for(other, algorithm, number=2)
        text = str(first.wrap(SECRET, algorithm=algorithm))
        members = jwe.header_of(text) | {"kid": str(second.id)}
        members.pop("kth", None)
        _refused(second, ".".join([jwe.encode(json.dumps(members).encode()), *text.split(".")[1:]]))
        _refused(second, text)


def test_promise_3_a_content_key_of_another_length_does_not_open(memory_vault: Vault) -> None:
    key = memory_vault.import_key("kek", material("RSA-2048"))
    public = private_key(1).public_key()
    oaep = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
    members = {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": str(key.id)}
    for content_key, opens in ((bytes(32), True), (bytes(16), False), (bytes(24), False)):
        encrypted = public.encrypt(content_key, oaep)
        text = jwe.seal(members, SECRET, content_key=content_key, encrypted_key=encrypted)
        if opens:
            assert key.unwrap(text) == SECRET
        else:
            _refused(key, text)
    _refused(
        key,
        jwe.seal(members, content_key=bytes(32), encrypted_key=public.encrypt(b"", oaep)),
    )


def test_promise_3_every_opaque_failure_makes_the_same_audit_event() -> None:
    events: list[AuditEvent] = []
    with keyhier.open("memory:", audit=events.append) as vault:
        key = vault.import_key("kek", jwe.KEK)
        good = {"alg": "A256KW", "enc": "A256GCM", "kid": str(key.id)}
        text = jwe.seal(good, SECRET)
        other_tag = text[:-2] + ("AA" if text[-2:] != "AA" else "QQ")
        failures: list[tuple[str, dict[str, str] | None]] = [
            (text, CONTEXT),
            (jwe.seal(good | {"ctx": CONTEXT}), None),
            (jwe.seal(good, encrypted_key=bytes(40)), None),
            (jwe.seal(good, kek=bytes(32)), None),
            (other_tag, None),
        ]
        events.clear()
        for failing, context in failures:
            for unwrap in (key.unwrap, vault.unwrap):
                with pytest.raises(UnwrapError):
                    unwrap(failing, context=context)
    assert len(events) == 2 * len(failures)
    assert set(events) == {AuditEvent("unwrap", str(key.id), "A256KW", "UnwrapError")}


# ------------------------------------------------------------------ one purpose


def test_promise_5_the_algorithm_of_an_envelope_is_the_one_the_key_is_for(
    memory_vault: Vault,
) -> None:
    # Rightly wrapped with the key, only not with the algorithm that the version is for.
    key = memory_vault.import_key("kek", jwe.KEK, algorithm="A256GCMKW")
    _refused(key, jwe.seal({"alg": "A256KW", "enc": "A256GCM", "kid": str(key.id)}))
    rsa_key = memory_vault.import_key("rsa", material("RSA-2048"))
    _refused(rsa_key, jwe.seal({"alg": "A256KW", "enc": "A256GCM", "kid": str(rsa_key.id)}))
    members = {"alg": "RSA-OAEP", "enc": "A256GCM", "kid": str(key.id)}
    _refused(key, jwe.seal(members, encrypted_key=bytes(256)))


@pytest.mark.parametrize("algorithm", sorted(RAW_KEYS.keys() - ENVELOPE_KEYS.keys()))
def test_promise_5_what_is_only_raw_makes_no_envelope(algorithm: str, memory_vault: Vault) -> None:
    key = key_for(memory_vault, algorithm)
    with pytest.raises(UnsupportedError, match=f"{algorithm} exists only raw"):
        key.wrap(SECRET, algorithm=algorithm)
