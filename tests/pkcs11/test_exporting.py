"""Keys that were made extractable leave a token, whole and not in the clear; others do not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap
from cryptography.hazmat.primitives.serialization import load_der_private_key
from pkcs11.mechanisms import Mechanism

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey
from keyhier.errors import IntegrityError, KeyhierError, UnavailableError, UnsupportedError
from keyhier.secret import SecretBytes
from keyhier.testing.faults import Ckr, Native

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver

KW = WrapAlgorithm.A256KW
AES = CreateKey("aes", KeySpec.AES_256, KW, extractable=True)


def test_an_aes_key_comes_out_as_it_is(driver: Pkcs11Driver) -> None:
    key = driver.create_key(AES)
    wrapped = driver.wrap(key, KW, SecretBytes(bytes(32)))
    with driver.export_key(key) as material:
        assert aes_key_unwrap(material.reveal(), wrapped) == bytes(32)
    # Nothing of the transport is left.
    assert len(driver._objects.find()) == 1


@pytest.mark.parametrize("number", range(4))
def test_an_rsa_key_comes_out_as_pkcs_8_however_long_that_is(
    driver: Pkcs11Driver, number: int
) -> None:
    key = driver.create_key(CreateKey(f"rsa-{number}", KeySpec.RSA_2048, extractable=True))
    with driver.export_key(key) as material:
        private = load_der_private_key(material.reveal(), None)
    assert isinstance(private, rsa.RSAPrivateKey)
    assert key.public_key is not None
    assert private.public_key().public_numbers() == key.public_key.public_numbers()


def test_what_was_not_made_extractable_stays(driver: Pkcs11Driver, faults: Faults) -> None:
    aes = driver.create_key(CreateKey("aes", KeySpec.AES_256, KW))
    pair = driver.create_key(CreateKey("rsa", KeySpec.RSA_2048))
    before = faults.count("C_WrapKey")
    for key in (aes, pair):
        with pytest.raises(UnsupportedError, match="not made extractable"):
            driver.export_key(key)
    assert faults.count("C_WrapKey") == before


@pytest.mark.parametrize(
    ("code", "error"),
    [(Ckr.KEY_NOT_WRAPPABLE, UnsupportedError), (Ckr.FUNCTION_FAILED, UnavailableError)],
)
def test_a_token_that_refuses_to_wrap_the_key_is_told(
    driver: Pkcs11Driver, faults: Faults, code: Ckr, error: type[KeyhierError]
) -> None:
    key = driver.create_key(AES)
    driver.export_key(key).wipe()
    with faults.answer("C_WrapKey", code), pytest.raises(error, match="C_WrapKey"):
        driver.export_key(key)


def test_what_the_token_wraps_and_is_not_the_key_is_told(
    driver: Pkcs11Driver, faults: Faults
) -> None:
    key = driver.create_key(AES)
    other = driver.create_key(CreateKey("other", KeySpec.RSA_2048, extractable=True))
    driver.export_key(key).wipe()
    handle = driver.connection.recovering(
        lambda login: driver._objects.handle(login, key.handle)  # type: ignore[arg-type]  # An identity.
    )

    def wrap_another(wrap: Native, *arguments: int) -> int:
        session, mechanism, wrapping, _, output, length = arguments
        return wrap(session, mechanism, wrapping, handle, output, length)

    with faults.replace("C_WrapKey", wrap_another), pytest.raises(IntegrityError):
        driver.export_key(other)


def test_a_token_without_key_wrap_with_padding_lets_no_key_go(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with faults.hide_mechanisms(Mechanism.AES_KEY_WRAP_PAD, Mechanism.AES_KEY_WRAP_KWP):
        driver = open_driver(softhsm_token.uri)
        key = driver.create_key(CreateKey("rsa", KeySpec.RSA_2048, extractable=True))
        with pytest.raises(UnsupportedError, match="padding"):
            driver.export_key(key)
