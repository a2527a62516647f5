"""KekOperations: what a key version wraps and unwraps raw, and with which algorithms."""

from __future__ import annotations

import itertools

import pytest

import keyhier
from keyhier import Key, SecretBytes, Vault, WrapAlgorithm, WrappedKey
from keyhier.errors import CapacityError, InvalidInputError, UnsupportedError, UnwrapError
from tests.keys import RAW_KEYS, key_for
from tests.odd_vault import OddDriver

SECRET = b"what opens the disk, 156 bytes or so" * 4

every_raw = pytest.mark.parametrize("algorithm", RAW_KEYS)


def _raw_secret(algorithm: str) -> bytes:
    return bytes(range(32)) if algorithm.endswith("KW") else b"32 bytes and one more for a limit"


def _opened(secret: SecretBytes) -> bytes:
    with secret:
        return secret.reveal()


@every_raw
def test_promise_5_a_key_refuses_the_algorithms_it_is_not_for(
    algorithm: str, memory_vault: Vault
) -> None:
    key = key_for(memory_vault, algorithm)
    for other in set(keyhier.WrapAlgorithm) - set(key.algorithms):
        for use in (key.wrap, key.wrap_raw, key.unwrap_raw):
            with pytest.raises(UnsupportedError, match="cannot be used with"):
                use(bytes(32), algorithm=other)
    if key.spec.startswith("AES"):
        assert key.algorithms == (algorithm,)


@every_raw
def test_an_unknown_algorithm_is_refused(algorithm: str, memory_vault: Vault) -> None:
    key = key_for(memory_vault, algorithm)
    for use in (key.wrap, key.wrap_raw, key.unwrap_raw):
        with pytest.raises(InvalidInputError, match="unknown wrap algorithm"):
            use(bytes(32), algorithm="A512KW")


def test_promise_5_rsa1_5_is_never_a_default_and_gives_garbage_for_a_wrong_key(
    memory_vault: Vault,
) -> None:
    key = key_for(memory_vault, "RSA1_5")
    assert key.default_algorithm == "RSA-OAEP-256"
    assert key.default_reason is None
    wrapped = key.wrap_raw(SECRET, "RSA1_5")
    assert _opened(key.unwrap_raw(wrapped, "RSA1_5")) == SECRET
    changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    assert _opened(key.unwrap_raw(changed, "RSA1_5")) != SECRET
    with pytest.raises(UnwrapError):
        key.unwrap_raw(wrapped)


# ------------------------------------------------------------------ raw wraps


@every_raw
def test_what_was_wrapped_raw_opens_again(algorithm: str, memory_vault: Vault) -> None:
    key = key_for(memory_vault, algorithm)
    secret = _raw_secret(algorithm)
    for kind in (bytes, bytearray, SecretBytes):
        wrapped = key.wrap_raw(kind(secret), algorithm)
        assert isinstance(wrapped, bytes)
        assert secret not in wrapped
        assert _opened(key.unwrap_raw(wrapped, algorithm)) == secret


@every_raw
def test_promise_3_every_change_of_a_raw_wrap_is_one_opaque_failure(
    algorithm: str, memory_vault: Vault
) -> None:
    if algorithm == "RSA1_5":
        return  # It has a test of its own: garbage, by design.
    key = key_for(memory_vault, algorithm)
    wrapped = key.wrap_raw(_raw_secret(algorithm), algorithm)
    for place in range(0, len(wrapped), 7):
        changed = bytearray(wrapped)
        changed[place] ^= 0x40
        _raw_refused(key, bytes(changed), algorithm)
    for length in (len(wrapped) - 8, len(wrapped) + 8, len(wrapped) - 1, 0):
        try:
            key.unwrap_raw(wrapped[:length].ljust(length, b"\0"), algorithm)
        except InvalidInputError as error:
            assert "no output of" in str(error)  # noqa: PT017  # Either is right, by the length.
        except UnwrapError as error:
            assert error.__context__ is None  # noqa: PT017


def _raw_refused(key: Key, wrapped: bytes, algorithm: str, aad: bytes = b"") -> None:
    with pytest.raises(UnwrapError) as caught:
        key.unwrap_raw(wrapped, algorithm, aad=aad)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert str(caught.value) == str(UnwrapError())


def test_additional_data_is_bound_by_a256gcm_alone(memory_vault: Vault) -> None:
    key = key_for(memory_vault, "A256GCM")
    wrapped = key.wrap_raw(SECRET, aad=b"vm web-01")
    assert len(wrapped) == 12 + len(SECRET) + 16
    assert _opened(key.unwrap_raw(wrapped, aad=b"vm web-01")) == SECRET
    for aad in (b"", b"vm web-02"):
        _raw_refused(key, wrapped, "A256GCM", aad)
    for number, algorithm in enumerate(sorted(RAW_KEYS.keys() - {"A256GCM"})):
        other = key_for(memory_vault, algorithm, f"other-{number}")
        for use in (other.wrap_raw, other.unwrap_raw):
            with pytest.raises(InvalidInputError, match="takes no additional data"):
                use(bytes(32), algorithm, aad=b"x")


def test_a_secret_that_is_too_long_to_wrap_raw_is_refused(memory_vault: Vault) -> None:
    key = key_for(memory_vault, "RSA-OAEP")
    with pytest.raises(CapacityError, match="215 bytes do not fit: RSA-OAEP under RSA-2048"):
        key.wrap_raw(bytes(215), "RSA-OAEP")


def test_a_key_seals_with_gcm_at_most_2_to_the_32_times(memory_vault: Vault) -> None:
    # NIST SP 800-38D, section 8.3; nobody can wait for it, so the count starts near the end.
    for algorithm, name in (("A256GCM", "raw"), ("A256GCMKW", "kek")):
        key = key_for(memory_vault, algorithm, name)
        key._kek._seals = itertools.count(2**32)
        key.wrap_raw(SECRET)
        with pytest.raises(CapacityError, match="has sealed 2\\^32 times") as caught:
            key.wrap_raw(SECRET)
        assert caught.value.remedy == "rotate the key"
        assert key.rotate().wrap_raw(SECRET)


@pytest.mark.parametrize("answer", [None, b"", bytes(16), bytes(31), bytes(33)])
def test_promise_3_what_the_kek_rejects_goes_on_through_the_seal_with_a_random_key(
    answer: bytes | None,
) -> None:
    def change(opened: SecretBytes) -> SecretBytes:
        if answer is None:
            raise UnwrapError
        return SecretBytes(answer)

    with Vault(OddDriver(change_opened=change), uri="memory:") as vault:
        # An RSA key, whose wraps no vault is asked for.
        key = vault.create_key("kek", "RSA-2048")
        tried: list[bytes] = []
        wrapped = _Watched.of(key.wrap(SECRET), tried)
        for _ in range(2):
            with pytest.raises(UnwrapError):
                vault.unwrap(wrapped)
    assert [len(content_key) for content_key in tried] == [32, 32]
    assert tried[0] != tried[1]


class _Watched(WrappedKey):
    """An envelope that remembers which content keys its seal was tried with."""

    tried: list[bytes]

    @classmethod
    def of(cls, wrapped: WrappedKey, tried: list[bytes]) -> WrappedKey:
        watched = cls.parse(str(wrapped))
        object.__setattr__(watched, "tried", tried)
        return watched

    def open(self, content_key: SecretBytes) -> SecretBytes:
        self.tried.append(content_key.reveal())
        return super().open(content_key)


def test_a_key_that_can_only_do_what_is_not_safe_has_no_default_and_says_why() -> None:
    with Vault(OddDriver(algorithms=[WrapAlgorithm.RSA1_5]), uri="memory:") as vault:
        key = vault.create_key("kek", "RSA-2048")
        assert key.default_reason == "it can do RSA1_5 here, and no default is safe"
        with pytest.raises(UnsupportedError, match="no default is safe"):
            key.wrap(SECRET)
