"""Wraps and unwraps: what comes back, what is rejected, and how little is said about it."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from hypothesis import given
from hypothesis import strategies as st

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, algorithms_for, capacity
from keyhier.errors import UnsupportedError, UnwrapError
from keyhier.secret import SecretBytes
from keyhier_memory import operations
from keyhier_memory.keys import Material

AES = [
    (spec, algorithm)
    for spec in KeySpec
    if spec.key_type is KeyType.AES
    for algorithm in algorithms_for(spec)
]
GCM = [WrapAlgorithm.A256GCM, WrapAlgorithm.A256GCMKW]
RSA = Material.generate(KeySpec.RSA_2048, None)
REJECTING = [WrapAlgorithm.RSA_OAEP, WrapAlgorithm.RSA_OAEP_256]
SECRET = bytes(range(32))


def unwrapped(
    material: Material, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
) -> bytes:
    with operations.unwrap(material, algorithm, wrapped, aad) as secret:
        return secret.reveal()


def wrapped_with_rsa(algorithm: WrapAlgorithm, secret: bytes = SECRET) -> bytes:
    assert RSA.public_key is not None
    if algorithm is WrapAlgorithm.RSA1_5:
        return RSA.public_key.encrypt(secret, padding.PKCS1v15())
    digest = hashes.SHA256() if algorithm is WrapAlgorithm.RSA_OAEP_256 else hashes.SHA1()
    return RSA.public_key.encrypt(secret, padding.OAEP(padding.MGF1(digest), digest, None))


def check_opaque(attempt: Callable[[], object]) -> None:
    with pytest.raises(UnwrapError) as caught:
        attempt()
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
    assert str(caught.value) == str(UnwrapError())


@pytest.mark.parametrize(("spec", "algorithm"), AES)
def test_what_aes_wraps_it_unwraps(spec: KeySpec, algorithm: WrapAlgorithm) -> None:
    material = Material.generate(spec, algorithm)
    for length in (16, 32, 1024, 65536):
        secret = os.urandom(length)
        wrapped = operations.wrap(material, algorithm, SecretBytes(secret), b"")
        assert isinstance(wrapped, bytes)
        assert unwrapped(material, algorithm, wrapped) == secret


@pytest.mark.parametrize("length", [1, 7, 8, 9, 15])
def test_key_wrap_with_padding_takes_any_length(length: int) -> None:
    material = Material.generate(KeySpec.AES_256, WrapAlgorithm.A256KWP)
    wrapped = operations.wrap(material, WrapAlgorithm.A256KWP, SecretBytes(SECRET[:length]), b"")
    assert unwrapped(material, WrapAlgorithm.A256KWP, wrapped) == SECRET[:length]


@pytest.mark.parametrize("algorithm", GCM)
def test_gcm_gives_iv_ciphertext_and_tag_with_a_fresh_iv(algorithm: WrapAlgorithm) -> None:
    material = Material.generate(KeySpec.AES_256, algorithm)
    first, second = (
        operations.wrap(material, algorithm, SecretBytes(SECRET), b"aad") for _ in range(2)
    )
    assert len(first) == 12 + len(SECRET) + 16
    assert first[:12] != second[:12]
    assert AESGCM(material.secret.view()).decrypt(first[:12], first[12:], b"aad") == SECRET


@pytest.mark.parametrize(("spec", "algorithm"), AES)
def test_promise_3_whatever_aes_rejects_is_one_error_that_says_nothing(
    spec: KeySpec, algorithm: WrapAlgorithm
) -> None:
    material, other = (Material.generate(spec, algorithm) for _ in range(2))
    wrapped = operations.wrap(material, algorithm, SecretBytes(SECRET), b"")
    check_opaque(lambda: unwrapped(other, algorithm, wrapped))
    for at in range(len(wrapped)):
        altered = bytearray(wrapped)
        altered[at] ^= 1
        check_opaque(partial(unwrapped, material, algorithm, bytes(altered)))
        check_opaque(partial(unwrapped, material, algorithm, wrapped[:at]))
    for more in (b"\0", bytes(8)):
        check_opaque(partial(unwrapped, material, algorithm, wrapped + more))


@pytest.mark.parametrize("algorithm", GCM)
def test_promise_3_other_additional_data_are_the_same_error(algorithm: WrapAlgorithm) -> None:
    material = Material.generate(KeySpec.AES_256, algorithm)
    wrapped = operations.wrap(material, algorithm, SecretBytes(SECRET), b"aad")
    assert unwrapped(material, algorithm, wrapped, b"aad") == SECRET
    check_opaque(lambda: unwrapped(material, algorithm, wrapped, b"Aad"))
    check_opaque(lambda: unwrapped(material, algorithm, wrapped))


@pytest.mark.parametrize("algorithm", [*REJECTING, WrapAlgorithm.RSA1_5])
def test_rsa_opens_what_was_wrapped_with_the_public_half(algorithm: WrapAlgorithm) -> None:
    largest = os.urandom(capacity(algorithm, KeySpec.RSA_2048))
    for secret in (b"x", SECRET, largest):
        assert unwrapped(RSA, algorithm, wrapped_with_rsa(algorithm, secret)) == secret


@pytest.mark.parametrize("algorithm", REJECTING)
def test_promise_3_whatever_oaep_rejects_is_one_error_that_says_nothing(
    algorithm: WrapAlgorithm,
) -> None:
    wrapped = wrapped_with_rsa(algorithm)
    other = next(name for name in REJECTING if name is not algorithm)
    for bad in (
        wrapped_with_rsa(other),
        b"",
        wrapped[:-1],
        wrapped + b"\0",
        bytes(256),
        b"\xff" * 256,
        wrapped[:-1] + bytes([wrapped[-1] ^ 1]),
    ):
        check_opaque(partial(unwrapped, RSA, algorithm, bad))


def test_promise_5_rsa1_5_never_tells_whether_the_padding_was_good() -> None:
    limit = capacity(WrapAlgorithm.RSA1_5, KeySpec.RSA_2048)
    lengths = set()
    for bad in (
        *(b"\0" + os.urandom(255) for _ in range(20)),
        *[b"\xff" * 256] * 5,  # As a number it is larger than the modulus.
        *[b"", b"x", bytes(256), bytes(257)] * 3,
    ):
        with operations.unwrap(RSA, WrapAlgorithm.RSA1_5, bad, b"") as garbage:
            assert len(garbage) <= limit
            lengths.add(len(garbage))
    assert len(lengths) > 5


def test_promise_5_a_version_is_for_its_one_algorithm() -> None:
    for _, algorithm in AES:
        for spec, purpose in AES:
            if algorithm is purpose:
                continue
            material = Material.generate(spec, purpose)
            with pytest.raises(UnsupportedError, match=f"is for {purpose}, not for {algorithm}"):
                operations.wrap(material, algorithm, SecretBytes(SECRET), b"")
            with pytest.raises(UnsupportedError, match=f"is for {purpose}, not for {algorithm}"):
                operations.unwrap(material, algorithm, bytes(64), b"")


def test_what_is_composed_above_the_driver_is_not_done_in_it() -> None:
    with pytest.raises(UnsupportedError, match="composed"):
        operations.unwrap(RSA, WrapAlgorithm.RSA_AES_KWP, bytes(300), b"")
    with pytest.raises(UnsupportedError, match="public half"):
        operations.wrap(RSA, WrapAlgorithm.RSA_OAEP, SecretBytes(SECRET), b"")


@given(st.binary(max_size=600), st.sampled_from([*AES, (KeySpec.RSA_2048, None)]))
def test_any_bytes_are_opened_or_rejected_and_nothing_else(
    wrapped: bytes, kind: tuple[KeySpec, WrapAlgorithm | None]
) -> None:
    spec, purpose = kind
    material = RSA if purpose is None else Material.generate(spec, purpose)
    algorithm = purpose or WrapAlgorithm.RSA_OAEP_256
    check_opaque(lambda: unwrapped(material, algorithm, wrapped))
