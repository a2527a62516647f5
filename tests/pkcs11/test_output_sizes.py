"""Modules that tell a smaller size for an output than they then want, as NSS does."""

from __future__ import annotations

import ctypes
import os
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from pkcs11.exceptions import FunctionNotSupported, PKCS11Error

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import ImportKey
from keyhier.secret import SecretBytes
from keyhier.testing.faults import Ckr, Native
from keyhier_pkcs11.module import load_module

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keyhier.driver import KeyVersion
    from keyhier.testing.faults import Faults
    from keyhier.testing.p11_kit import NetworkHsm
    from keyhier.testing.prepared import PreparedToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver


@pytest.fixture
def nss(nss_token: PreparedToken, open_driver: OpenDriver) -> Iterator[Pkcs11Driver]:
    """NSS's token, from which what a test leaves is deleted."""
    driver = open_driver(nss_token.uri)
    yield driver
    for key in driver.list_keys():
        driver.delete_key(key)


def known_key(driver: Pkcs11Driver, algorithm: WrapAlgorithm, value: bytes) -> KeyVersion:
    request = ImportKey(f"known-{algorithm}", KeySpec.AES_256, SecretBytes(value), algorithm)
    return driver.import_key(request)


@pytest.mark.parametrize("size", [1, 15, 16, 17, 32, 48 * 1024])
@pytest.mark.parametrize("aad", [b"", b"the disk"], ids=["no aad", "aad"])
def test_what_nss_seals_opens_outside(nss: Pkcs11Driver, size: int, aad: bytes) -> None:
    value, secret = os.urandom(32), os.urandom(size)
    key = known_key(nss, WrapAlgorithm.A256GCM, value)
    sealed = nss.wrap(key, WrapAlgorithm.A256GCM, SecretBytes(secret), aad)
    assert AESGCM(value).decrypt(sealed[:12], sealed[12:], aad or None) == secret
    assert nss.unwrap(key, WrapAlgorithm.A256GCM, sealed, aad) == secret


@pytest.mark.parametrize("size", [1, 8, 31, 32, 33, 156, 172, 256])
def test_what_nss_wraps_with_padding_opens_outside(nss: Pkcs11Driver, size: int) -> None:
    value, secret = os.urandom(32), os.urandom(size)
    key = known_key(nss, WrapAlgorithm.A256KWP, value)
    wrapped = nss.wrap(key, WrapAlgorithm.A256KWP, SecretBytes(secret))
    assert aes_key_unwrap_with_padding(value, wrapped) == secret
    assert nss.unwrap(key, WrapAlgorithm.A256KWP, wrapped) == secret


def understating(
    encrypt: Native, session: int, data: int, length: int, output: int | None, told: int
) -> int:
    """C_Encrypt that tells the size of the plaintext for the ciphertext's."""
    if output is None:
        ctypes.c_ulong.from_address(told).value = length
        return Ckr.OK
    return encrypt(session, data, length, output, told)


def test_a_module_that_keeps_the_operation_active_is_not_told_to_begin_again(
    faults: Faults, driver: Pkcs11Driver
) -> None:
    value = os.urandom(32)
    key = known_key(driver, WrapAlgorithm.A256GCM, value)
    with faults.replace("C_Encrypt", understating):
        sealed = driver.wrap(key, WrapAlgorithm.A256GCM, SecretBytes(b"secret"))
    assert AESGCM(value).decrypt(sealed[:12], sealed[12:], None) == b"secret"


def test_a_failure_past_python_pkcs11_has_its_code(nss_token: PreparedToken) -> None:
    module = load_module(nss_token.module_path, nss_token.init_args)
    no_session, length = ctypes.c_ulong(987654), ctypes.c_ulong(16)
    with pytest.raises(PKCS11Error, match="Unmapped error code 0xb3"):
        module.call("C_Encrypt", no_session, bytes(16), length, None, ctypes.byref(length))


def test_a_module_with_new_lists_is_not_called_past_python_pkcs11(
    network_hsm: NetworkHsm, open_driver: OpenDriver
) -> None:
    open_driver(network_hsm.uri)
    with pytest.raises(FunctionNotSupported):
        load_module(network_hsm.token.module_path).call("C_Encrypt")
