"""Wrapping and unwrapping with AES keys on a SoftHSM token, against `cryptography`."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import keywrap
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import ImportKey, KeyVersion
from keyhier.errors import IntegrityError, UnavailableError, UnsupportedError, UnwrapError
from keyhier.secret import SecretBytes
from keyhier.testing.faults import CkAttribute, Ckr, Native

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver

KEK = bytes(range(100, 132))
KEY_WRAPS = [
    (KeySpec.AES_128, WrapAlgorithm.A128KW),
    (KeySpec.AES_192, WrapAlgorithm.A192KW),
    (KeySpec.AES_256, WrapAlgorithm.A256KW),
]
ALIGNED = [16, 24, 32, 40, 64, 160, 4096, 65536]
UNALIGNED = [1, 7, 15, 17, 31, 156, 172 + 1, 4095]
GCM = [WrapAlgorithm.A256GCM, WrapAlgorithm.A256GCMKW]


@contextmanager
def unwrapped_as(faults: Faults, attribute: int, value: int) -> Iterator[None]:
    """Make C_UnwrapKey set a boolean attribute otherwise than its template says."""

    def careless(unwrap: Native, *arguments: int) -> int:
        template, count = arguments[5:7]
        for each in (CkAttribute * count).from_address(template):
            if each.type == attribute and each.value is not None:
                ctypes.c_ubyte.from_address(each.value).value = value
        return unwrap(*arguments)

    with faults.replace("C_UnwrapKey", careless):
        yield


def imported(driver: Pkcs11Driver, algorithm: WrapAlgorithm, spec: KeySpec) -> KeyVersion:
    material = SecretBytes(KEK[: spec.size])
    return driver.import_key(ImportKey("kek", spec, material, algorithm))


@pytest.mark.parametrize(("spec", "algorithm"), KEY_WRAPS)
def test_key_wrap_is_rfc_3394_at_every_length(
    driver: Pkcs11Driver, spec: KeySpec, algorithm: WrapAlgorithm
) -> None:
    key = imported(driver, algorithm, spec)
    for length in ALIGNED:
        plaintext = SecretBytes.random(length)
        expected = keywrap.aes_key_wrap(KEK[: spec.size], plaintext.reveal())
        assert driver.wrap(key, algorithm, plaintext) == expected
        assert driver.unwrap(key, algorithm, expected) == plaintext


def test_a_padded_wrap_is_rfc_5649_or_refused(driver: Pkcs11Driver) -> None:
    key = imported(driver, WrapAlgorithm.A256KWP, KeySpec.AES_256)
    for length in (8, *ALIGNED):
        plaintext = SecretBytes.random(length)
        expected = keywrap.aes_key_wrap_with_padding(KEK, plaintext.reveal())
        assert driver.wrap(key, WrapAlgorithm.A256KWP, plaintext) == expected
    for length in (*ALIGNED, *UNALIGNED):
        plaintext = SecretBytes.random(length)
        expected = keywrap.aes_key_wrap_with_padding(KEK, plaintext.reveal())
        assert driver.unwrap(key, WrapAlgorithm.A256KWP, expected) == plaintext
    for length in UNALIGNED:
        # SoftHSM would fill such a length with zeros, and nobody would know how many.
        with pytest.raises(UnsupportedError, match="RFC 5649"):
            driver.wrap(key, WrapAlgorithm.A256KWP, SecretBytes.random(length))


def test_key_wrap_never_pads(driver: Pkcs11Driver) -> None:
    key = imported(driver, WrapAlgorithm.A256KW, KeySpec.AES_256)
    with pytest.raises(UnsupportedError, match="multiples of 8"):
        driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes.random(17))


@pytest.mark.parametrize("algorithm", GCM)
def test_gcm_is_iv_ciphertext_and_tag(driver: Pkcs11Driver, algorithm: WrapAlgorithm) -> None:
    key = imported(driver, algorithm, KeySpec.AES_256)
    for length in (1, 32, 8193, 65536):
        for aad in (b"", b"additional"):
            plaintext = SecretBytes.random(length)
            sealed = driver.wrap(key, algorithm, plaintext, aad)
            assert len(sealed) == 12 + length + 16
            assert AESGCM(KEK).decrypt(sealed[:12], sealed[12:], aad) == plaintext
            ours = b"i" * 12 + AESGCM(KEK).encrypt(b"i" * 12, plaintext.reveal(), aad)
            assert driver.unwrap(key, algorithm, ours, aad) == plaintext
            with pytest.raises(UnwrapError):
                driver.unwrap(key, algorithm, ours, aad + b"!")


def test_every_gcm_wrap_has_a_fresh_iv(driver: Pkcs11Driver) -> None:
    key = imported(driver, WrapAlgorithm.A256GCM, KeySpec.AES_256)
    sealed = [driver.wrap(key, WrapAlgorithm.A256GCM, SecretBytes(b"x")) for _ in range(50)]
    assert len({each[:12] for each in sealed}) == 50


@pytest.mark.parametrize("algorithm", [WrapAlgorithm.A256KW, WrapAlgorithm.A256KWP, *GCM])
def test_promise_3_what_the_key_rejects_is_one_error_without_a_cause(
    driver: Pkcs11Driver, algorithm: WrapAlgorithm
) -> None:
    key = imported(driver, algorithm, KeySpec.AES_256)
    good = driver.wrap(key, algorithm, SecretBytes(bytes(32)))
    changed = [bytes([good[0] ^ 1]) + good[1:], good[:-1] + bytes([good[-1] ^ 1])]
    for bad in (*changed, good[:-1], good[:-8], good + bytes(8), good[:16], good[:3], b""):
        with pytest.raises(UnwrapError) as caught:
            driver.unwrap(key, algorithm, bad)
        assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert driver.unwrap(key, algorithm, good) == bytes(32)


@pytest.mark.parametrize("algorithm", [WrapAlgorithm.A256KW, WrapAlgorithm.A256KWP])
def test_nothing_that_was_unwrapped_stays_on_the_token(
    driver: Pkcs11Driver, algorithm: WrapAlgorithm
) -> None:
    key = imported(driver, algorithm, KeySpec.AES_256)
    wrapped = driver.wrap(key, algorithm, SecretBytes(bytes(32)))
    for _ in range(20):
        driver.wrap(key, algorithm, SecretBytes(bytes(32)))
        driver.unwrap(key, algorithm, wrapped)
        with pytest.raises(UnwrapError):
            driver.unwrap(key, algorithm, bytes(40))
    with driver._shared.session() as session:
        # The key itself and nothing else, of the session's objects either.
        assert len(list(session.get_objects({}))) == 1


def test_a_token_that_does_not_let_the_result_out_is_told(
    driver: Pkcs11Driver, faults: Faults
) -> None:
    key = imported(driver, WrapAlgorithm.A256KW, KeySpec.AES_256)
    wrapped = driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))
    with unwrapped_as(faults, 0x0103, 1), pytest.raises(UnsupportedError, match="let out"):
        driver.unwrap(key, WrapAlgorithm.A256KW, wrapped)
    with unwrapped_as(faults, 0x0001, 1), pytest.raises(IntegrityError, match="session"):
        driver.unwrap(key, WrapAlgorithm.A256KW, wrapped)
    assert len(driver._objects.find()) == 1


def test_a_token_without_the_mechanism_says_what_it_has(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with faults.hide_mechanisms(0x210A):
        driver = open_driver(softhsm_token.uri)
        assert WrapAlgorithm.A256KWP not in driver.algorithms
        key = imported(driver, WrapAlgorithm.A256KW, KeySpec.AES_256)
        for operation in (
            lambda: driver.wrap(key, WrapAlgorithm.A256KWP, SecretBytes(bytes(16))),
            lambda: driver.unwrap(key, WrapAlgorithm.A256KWP, bytes(24)),
        ):
            with pytest.raises(UnsupportedError, match="CKM_AES_KEY_WRAP"):
                operation()


@pytest.mark.parametrize("refusal", [0x0D1, 0x070])
def test_a_padded_key_wrap_that_cannot_be_proved_is_not_used(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, refusal: int, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    with faults.answer("C_CreateObject", refusal):
        assert driver._shared.abilities.padded_key_wrap() is None


def test_a_padded_key_wrap_that_unwraps_otherwise_is_not_used(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    wrapped_key_invalid = 0x110
    with faults.answer("C_UnwrapKey", wrapped_key_invalid):
        assert driver._shared.abilities.padded_key_wrap() is None


def test_a_trial_that_meets_a_dead_token_is_not_kept(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    for function in ("C_CreateObject", "C_UnwrapKey"):
        with (
            faults.answer(function, Ckr.DEVICE_REMOVED),
            pytest.raises(UnavailableError),
        ):
            driver._shared.abilities.padded_key_wrap()
    found = driver._shared.abilities.padded_key_wrap()
    assert found is not None
    assert (found.wraps_multiples, found.wraps_all) == (True, False)


def test_a_failed_wrap_names_the_call(driver: Pkcs11Driver, faults: Faults) -> None:
    key = imported(driver, WrapAlgorithm.A256KW, KeySpec.AES_256)
    with (
        faults.answer("C_WrapKey", Ckr.DEVICE_REMOVED),
        pytest.raises(UnavailableError) as caught,
    ):
        driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))
    assert caught.value.native == "C_WrapKey: CKR_DEVICE_REMOVED"
