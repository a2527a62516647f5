"""Drivers on SoftHSM tokens, and keys made in software for them to import."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from keyhier.algorithms import KeySpec
from keyhier.driver import ImportKey, KeyVersion, OpenOptions
from keyhier.secret import SecretBytes
from keyhier.testing.faults import Faults
from keyhier.uri import VaultUri
from keyhier_pkcs11 import backend

if TYPE_CHECKING:
    from keyhier.pin import PinCallback
    from keyhier.testing.softhsm import SoftHsm, SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver

OpenDriver = Callable[..., "Pkcs11Driver"]


@pytest.fixture
def open_driver() -> Iterator[OpenDriver]:
    """Open vaults by URI; they are closed afterwards."""
    opened: list[Pkcs11Driver] = []

    def open_uri(uri: str, pin: PinCallback | None = None) -> Pkcs11Driver:
        driver = backend.open(VaultUri.parse(uri), OpenOptions(pin))
        opened.append(driver)
        return driver

    yield open_uri
    for driver in opened:
        driver.close()


@pytest.fixture
def faults(softhsm: SoftHsm) -> Iterator[Faults]:
    """Faults of SoftHSM while the test runs; none at first."""
    with Faults(softhsm.module_path) as block:
        yield block


@pytest.fixture
def driver(softhsm_token: SoftHsmToken, open_driver: OpenDriver) -> Pkcs11Driver:
    """A vault open on a fresh token."""
    return open_driver(softhsm_token.uri)


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    """An RSA key made in software, which is faster than on a token."""
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def rsa_version(driver: Pkcs11Driver, rsa_key: rsa.RSAPrivateKey) -> KeyVersion:
    """That key, imported under the name ``imported``."""
    der = rsa_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return driver.import_key(ImportKey("imported", KeySpec.RSA_2048, SecretBytes(der)))
