"""One result whatever a token can do: decrypt or unwrap, with or without a key wrap and an IV."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pkcs11.constants import Attribute

from keyhier import rsa_wrap
from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, KeyVersion
from keyhier.errors import UnavailableError, UnsupportedError, UnwrapError
from keyhier.secret import SecretBytes
from keyhier.testing.faults import Ckr, Native
from keyhier_pkcs11.profile import Way
from keyhier_pkcs11.rsa import private_key_parts
from keyhier_pkcs11.templates import rsa_private_key

if TYPE_CHECKING:
    from keyhier.testing.faults import Fault, Faults
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver

OAEP = 0x0009
CKF_DECRYPT, CKF_UNWRAP = 0x0200, 0x40000
KEY_ID = b"\xa1\xb2"


def planted(
    driver: Pkcs11Driver, key: rsa.RSAPrivateKey, usages: tuple[Attribute, ...]
) -> KeyVersion:
    """Put a key of another program on the token, for these usages only."""
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    template = rsa_private_key("ops", KEY_ID, extractable=False, private=True, usages=usages)
    template.update(private_key_parts(SecretBytes(der)))
    with driver._shared.session() as session:
        session.create_object(template)
    return driver.get_key("ops")


def mechanism_flags(faults: Faults, mechanism: int, *, remove: int) -> Fault:
    """Take flags away that the token shows for a mechanism (CK_MECHANISM_INFO, byte 16)."""

    def get_mechanism_info(proceed: Native, slot: int, asked: int, info: int) -> int:
        code = proceed(slot, asked, info)
        if code == Ckr.OK and asked == mechanism:
            ctypes.c_ulong.from_address(info + 16).value &= ~remove
        return code

    return faults.replace("C_GetMechanismInfo", get_mechanism_info)


def test_a_key_that_may_only_unwrap_opens_by_c_unwrap_key(
    driver: Pkcs11Driver, rsa_key: rsa.RSAPrivateKey, faults: Faults
) -> None:
    key = planted(driver, rsa_key, (Attribute.UNWRAP,))
    # RSA1_5 is not among them: a read after a good padding only would show by its time.
    assert key.algorithms == (WrapAlgorithm.RSA_OAEP, WrapAlgorithm.RSA_AES_KWP)
    wrapped = rsa_wrap.wrap(rsa_key.public_key(), WrapAlgorithm.RSA_OAEP, SecretBytes(b"secret"))
    faults.calls.clear()
    assert driver.unwrap(key, WrapAlgorithm.RSA_OAEP, wrapped) == b"secret"
    assert (faults.count("C_UnwrapKey"), faults.count("C_Decrypt")) == (1, 0)
    with pytest.raises(UnwrapError) as caught:
        driver.unwrap(key, WrapAlgorithm.RSA_OAEP, bytes(256))
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)


def test_a_key_that_may_only_decrypt_opens_by_c_decrypt(
    driver: Pkcs11Driver, rsa_key: rsa.RSAPrivateKey
) -> None:
    key = planted(driver, rsa_key, (Attribute.DECRYPT,))
    wrapped = rsa_wrap.wrap(rsa_key.public_key(), WrapAlgorithm.RSA_OAEP, SecretBytes(b"secret"))
    assert driver.unwrap(key, WrapAlgorithm.RSA_OAEP, wrapped) == b"secret"


@pytest.mark.parametrize(
    ("missing", "way", "usage"),
    [
        (CKF_UNWRAP, Way.DECRYPT, Attribute.DECRYPT),
        (CKF_DECRYPT, Way.UNWRAP, Attribute.UNWRAP),
    ],
)
def test_a_token_with_one_way_makes_keys_for_it_alone(
    softhsm_token: SoftHsmToken,
    open_driver: OpenDriver,
    missing: int,
    way: Way,
    usage: Attribute,
    faults: Faults,
) -> None:
    with mechanism_flags(faults, OAEP, remove=missing):
        driver = open_driver(softhsm_token.uri)
        key = driver.create_key(CreateKey("one-way", KeySpec.RSA_2048))
        assert driver._shared.abilities.rsa_ways == (way,)
        (found,) = driver._objects.find()
        assert found.usages == {usage}
        assert key.enabled
        assert key.public_key is not None
        wrapped = rsa_wrap.wrap(key.public_key, WrapAlgorithm.RSA_OAEP, SecretBytes(b"secret"))
        assert driver.unwrap(key, WrapAlgorithm.RSA_OAEP, wrapped) == b"secret"
        off = driver.set_enabled(key, enabled=False)
        assert not off.enabled
        with pytest.raises(UnsupportedError, match="into itself"):
            driver.unwrap_into(key, WrapAlgorithm.RSA1_5, wrapped, WrapAlgorithm.A256KW, key.id)


def test_a_token_that_says_neither_is_asked(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with mechanism_flags(faults, OAEP, remove=CKF_DECRYPT | CKF_UNWRAP):
        driver = open_driver(softhsm_token.uri)
        assert driver._shared.abilities.rsa_ways == (Way.DECRYPT, Way.UNWRAP)


def test_a_key_that_the_token_cannot_use_has_no_algorithm(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, rsa_key: rsa.RSAPrivateKey, faults: Faults
) -> None:
    with mechanism_flags(faults, OAEP, remove=CKF_UNWRAP):
        driver = open_driver(softhsm_token.uri)
        assert planted(driver, rsa_key, (Attribute.UNWRAP,)).algorithms == ()


def test_a_token_that_makes_no_key_pair_is_tried_with_a_key_that_is_there(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, rsa_key: rsa.RSAPrivateKey
) -> None:
    driver = open_driver(softhsm_token.uri + "&profile=tpm2-pkcs11")
    assert driver.algorithms == frozenset()
    der = rsa_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    template = rsa_private_key("ops", KEY_ID, extractable=False, private=True)
    template.update(private_key_parts(SecretBytes(der)))
    with driver._shared.session() as session:
        session.create_object(template)
    assert WrapAlgorithm.RSA_OAEP in driver.algorithms


def test_a_key_pair_that_cannot_be_made_is_no_reason_to_fail(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    with faults.answer("C_GenerateKeyPair", Ckr.ATTRIBUTE_VALUE_INVALID):
        assert WrapAlgorithm.RSA_OAEP not in driver.algorithms
    assert WrapAlgorithm.RSA_OAEP in driver.algorithms


# ------------------------------------------------------------------ AES


def test_a_key_wrap_that_is_not_the_rfc_s_is_not_used(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    # As on the older AWS CloudHSM, whose CKM_AES_KEY_WRAP pads.
    driver = open_driver(softhsm_token.uri)
    with faults.answer("C_UnwrapKey", Ckr.WRAPPED_KEY_INVALID):
        assert driver._shared.abilities.find_key_wrap(WrapAlgorithm.A256KW) is None
    request = CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256KW)
    with pytest.raises(UnsupportedError, match="what A256KW needs"):
        driver.create_key(request)


def test_a_key_wrap_that_wraps_otherwise_wraps_nothing(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    with faults.answer("C_WrapKey", Ckr.KEY_NOT_WRAPPABLE):
        key = driver.create_key(CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256KW))
    with pytest.raises(UnsupportedError, match="RFC 3394"):
        driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))


def test_where_nothing_can_be_tried_only_the_standard_s_own_number_is_believed(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    abilities = open_driver(softhsm_token.uri)._shared.abilities
    with faults.answer("C_CreateObject", Ckr.TEMPLATE_INCONSISTENT):
        assert abilities.key_wrap(WrapAlgorithm.A256KW).mechanism == 0x2109
        assert abilities.find_key_wrap(WrapAlgorithm.A256KWP) is None
        assert abilities.gcm()


@pytest.mark.parametrize("function", ["C_Encrypt", "C_Decrypt"])
def test_gcm_that_takes_no_iv_is_not_used(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, function: str, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    with faults.answer(function, Ckr.MECHANISM_PARAM_INVALID):
        assert not driver._shared.abilities.gcm()
    assert not {WrapAlgorithm.A256GCM, WrapAlgorithm.A256GCMKW} & driver.algorithms


def test_gcm_that_seals_otherwise_is_not_used(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    def careless(
        encrypt: Native, session: int, data: int, length: int, output: int | None, written: int
    ) -> int:
        code = encrypt(session, data, length, output, written)
        if output is not None:
            ctypes.c_ubyte.from_address(output).value ^= 1
        return code

    driver = open_driver(softhsm_token.uri)
    with faults.replace("C_Encrypt", careless):
        assert not driver._shared.abilities.gcm()


@pytest.mark.parametrize("code", [Ckr.DEVICE_REMOVED, Ckr.GENERAL_ERROR])
def test_gcm_that_meets_a_dead_token_is_not_judged(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, code: int, faults: Faults
) -> None:
    driver = open_driver(softhsm_token.uri)
    for function in ("C_CreateObject", "C_Decrypt", "C_DestroyObject"):
        with (
            faults.answer(function, code),
            faults.answer("C_GenerateRandom", Ckr.DEVICE_REMOVED),
            pytest.raises(UnavailableError),
        ):
            driver._shared.abilities.gcm()
    assert driver._shared.abilities.gcm()


def test_a_token_that_wants_to_be_told_the_length_is_told(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    # SoftHSM refuses what Luna demands, so what is proved is that it is asked for.
    driver = open_driver(softhsm_token.uri + "&profile=luna")
    assert driver._shared.abilities.find_key_wrap(WrapAlgorithm.A256KW) is None


def test_a_token_that_takes_no_content_key_in_the_clear_says_so(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    # As one in FIPS mode may.
    driver = open_driver(softhsm_token.uri)
    key = driver.create_key(CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256KW))
    sealing = driver.create_key(CreateKey("gcm", KeySpec.AES_256, WrapAlgorithm.A256GCMKW))
    with faults.answer("C_CreateObject", Ckr.TEMPLATE_INCONSISTENT):
        with pytest.raises(UnsupportedError, match="in the clear") as caught:
            driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))
        assert caught.value.native == "C_CreateObject: CKR_TEMPLATE_INCONSISTENT"
        # As its remedy says.
        sealed = driver.wrap(sealing, WrapAlgorithm.A256GCMKW, SecretBytes(bytes(32)))
        assert driver.unwrap(sealing, WrapAlgorithm.A256GCMKW, sealed) == bytes(32)


def test_cbc_is_no_substitute_for_a_key_wrap(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with faults.hide_mechanisms(0x2109, 0x210A):
        driver = open_driver(softhsm_token.uri)
        for algorithm in (WrapAlgorithm.A256KW, WrapAlgorithm.A256KWP):
            with pytest.raises(UnsupportedError, match="CKM_AES_CBC_PAD, which it has, is no"):
                driver.create_key(CreateKey("kek", KeySpec.AES_256, algorithm))
        assert driver.create_key(CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256GCMKW))
