"""Unwrapping with RSA keys on a SoftHSM token."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, KeyVersion
from keyhier.errors import UnavailableError, UnsupportedError, UnwrapError
from keyhier.testing.faults import Ckr

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver

OAEP = WrapAlgorithm.RSA_OAEP
SHA1 = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
SECRET = bytes(range(32))


def wrapped(key: KeyVersion, how: padding.AsymmetricPadding = SHA1) -> bytes:
    assert key.public_key is not None
    return key.public_key.encrypt(SECRET, how)


def test_the_default_follows_what_the_token_can_open(rsa_version: KeyVersion) -> None:
    # SoftHSM takes no other hash than SHA-1 in OAEP.
    assert rsa_version.algorithms == (OAEP, WrapAlgorithm.RSA_AES_KWP, WrapAlgorithm.RSA1_5)


def test_what_the_public_half_wrapped_opens(driver: Pkcs11Driver, rsa_version: KeyVersion) -> None:
    assert driver.unwrap(rsa_version, OAEP, wrapped(rsa_version)) == SECRET
    opened = driver.unwrap(
        rsa_version, WrapAlgorithm.RSA1_5, wrapped(rsa_version, padding.PKCS1v15())
    )
    assert opened == SECRET


@pytest.mark.parametrize("change", ["flip", "short", "long", "empty", "huge", "other hash"])
def test_promise_3_what_the_key_rejects_is_one_error_without_a_cause(
    driver: Pkcs11Driver, rsa_version: KeyVersion, change: str
) -> None:
    good = wrapped(rsa_version)
    bad = {
        "flip": good[:-1] + bytes([good[-1] ^ 1]),
        "short": good[1:],
        "long": good + b"\0",
        "empty": b"",
        "huge": b"\xff" * 256,
        "other hash": wrapped(
            rsa_version, padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
        ),
    }[change]
    with pytest.raises(UnwrapError) as caught:
        driver.unwrap(rsa_version, OAEP, bad)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert caught.value.native is None
    assert driver.unwrap(rsa_version, OAEP, good) == SECRET


@pytest.mark.parametrize("bad", [b"", b"\1" * 255, b"\1" * 256, b"\xff" * 256, b"\1" * 257])
def test_bad_rsa1_5_padding_yields_the_same_bytes_each_time_as_a_good_one_does(
    driver: Pkcs11Driver, rsa_version: KeyVersion, bad: bytes
) -> None:
    results = {driver.unwrap(rsa_version, WrapAlgorithm.RSA1_5, bad).reveal() for _ in range(10)}
    assert len(results) == 1
    assert 1 <= len(results.pop()) <= 256 - 11


def test_bad_rsa1_5_padding_makes_the_same_calls_as_a_good_one(
    driver: Pkcs11Driver, rsa_version: KeyVersion, faults: Faults
) -> None:
    good = wrapped(rsa_version, padding.PKCS1v15())
    seen: list[list[str]] = []
    for each in (good, good, bytes(256), good, b"\xff" * 256, good):
        before = len(faults.calls)
        driver.unwrap(rsa_version, WrapAlgorithm.RSA1_5, each)
        seen.append([call.function for call in faults.calls[before:]])
    assert seen[1:] == [seen[1]] * 5
    assert "C_Decrypt" in seen[1]
    assert "C_GenerateRandom" not in seen[1]


def test_an_ambiguous_code_is_the_input_where_the_token_still_answers(
    driver: Pkcs11Driver, rsa_version: KeyVersion, faults: Faults
) -> None:
    good = wrapped(rsa_version)
    with faults.answer("C_Decrypt", Ckr.DEVICE_ERROR), pytest.raises(UnwrapError) as rejected:
        driver.unwrap(rsa_version, OAEP, good)
    assert rejected.value.__context__ is None
    with (
        faults.answer("C_Decrypt", Ckr.DEVICE_ERROR),
        faults.answer("C_GenerateRandom", Ckr.DEVICE_ERROR) as probes,
        pytest.raises(UnavailableError) as dead,
    ):
        driver.unwrap(rsa_version, OAEP, good)
    assert dead.value.native == "C_Decrypt: CKR_DEVICE_ERROR"
    assert len(probes.hits) == 1
    assert driver.unwrap(rsa_version, OAEP, good) == SECRET


def test_a_clear_code_needs_no_probe(
    driver: Pkcs11Driver, rsa_version: KeyVersion, faults: Faults
) -> None:
    with (
        faults.answer("C_Decrypt", Ckr.ENCRYPTED_DATA_INVALID),
        pytest.raises(UnwrapError),
    ):
        driver.unwrap(rsa_version, OAEP, wrapped(rsa_version))
    for algorithm in (OAEP, WrapAlgorithm.RSA1_5):
        with (
            faults.answer("C_Decrypt", Ckr.DEVICE_REMOVED),
            pytest.raises(UnavailableError) as caught,
        ):
            driver.unwrap(rsa_version, algorithm, wrapped(rsa_version))
        assert caught.value.native == "C_Decrypt: CKR_DEVICE_REMOVED"
    assert not faults.count("C_GenerateRandom")


def test_a_token_without_an_rng_is_alive_all_the_same(
    driver: Pkcs11Driver, rsa_version: KeyVersion, faults: Faults
) -> None:
    with faults.answer("C_GenerateRandom", 0x121):
        with pytest.raises(UnwrapError):
            driver.unwrap(rsa_version, OAEP, bytes(256))
        with pytest.raises(UnsupportedError):
            driver.random_bytes(3)


def test_the_session_of_a_failed_call_is_not_used_again(
    driver: Pkcs11Driver, rsa_version: KeyVersion, faults: Faults
) -> None:
    good = wrapped(rsa_version)
    driver.unwrap(rsa_version, OAEP, good)
    (session,) = driver._shared.login()._idle
    # A C_Decrypt that is not carried out leaves the operation active, as some modules do.
    with (
        faults.answer("C_Decrypt", Ckr.ENCRYPTED_DATA_INVALID),
        pytest.raises(UnwrapError),
    ):
        driver.unwrap(rsa_version, OAEP, good)
    assert session not in driver._shared.login()._idle
    assert driver.unwrap(rsa_version, OAEP, good) == SECRET


def test_a_token_without_oaep_or_without_rsa1_5_says_so(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with faults.hide_mechanisms(0x0009):
        driver = open_driver(softhsm_token.uri)
        assert driver.create_key(CreateKey("a", KeySpec.RSA_2048)).algorithms == (
            WrapAlgorithm.RSA1_5,
        )
        assert WrapAlgorithm.RSA_AES_KWP not in driver.algorithms
        driver._shared.abilities.__init__(driver._shared)  # type: ignore[misc]  # Forget the trial.
    with faults.hide_mechanisms(0x0001):
        assert driver.get_key("a").algorithms == (OAEP, WrapAlgorithm.RSA_AES_KWP)


def test_a_trial_that_meets_a_dead_token_is_not_kept(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    with (
        faults.answer("C_GenerateKeyPair", Ckr.DEVICE_ERROR),
        pytest.raises(UnavailableError) as one,
    ):
        _ = driver.algorithms
    assert one.value.native == "C_GenerateKeyPair: CKR_DEVICE_ERROR"
    with (
        faults.answer("C_Decrypt", Ckr.DEVICE_ERROR),
        faults.answer("C_GenerateRandom", Ckr.DEVICE_ERROR),
        pytest.raises(UnavailableError),
    ):
        _ = driver.algorithms
    with faults.answer("C_GetMechanismList", Ckr.DEVICE_ERROR):
        fresh = type(driver._shared.abilities)(driver._shared)
        with pytest.raises(UnavailableError):
            _ = fresh.listed
    assert OAEP in driver.algorithms


def test_larger_keys_work_alike(driver: Pkcs11Driver) -> None:
    key = driver.create_key(CreateKey("large", KeySpec.RSA_3072))
    assert driver.unwrap(key, OAEP, wrapped(key)) == SECRET
    assert key.public_key is not None
    assert isinstance(key.public_key, rsa.RSAPublicKey)
    assert key.public_key.key_size == 3072
