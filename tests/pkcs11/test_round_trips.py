"""What is asked of the token once a key was found: on a network HSM each call is a round trip."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa

from keyhier import rsa_wrap
from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import ImportKey
from keyhier.secret import SecretBytes

if TYPE_CHECKING:
    from keyhier.driver import KeyVersion
    from keyhier.testing.faults import Faults
    from keyhier_pkcs11.driver import Pkcs11Driver

OTHERS = 8


def _crowd(driver: Pkcs11Driver) -> None:
    for number in range(OTHERS):
        key = SecretBytes(bytes(32))
        driver.import_key(ImportKey(f"other-{number}", KeySpec.AES_256, key, WrapAlgorithm.A256KW))


def _calls(faults: Faults, operation: Callable[[], object]) -> list[str]:
    before = len(faults.calls)
    operation()
    return [call.function for call in faults.calls[before:]]


def test_an_unwrap_makes_the_calls_of_a_decryption_and_no_other(
    faults: Faults, driver: Pkcs11Driver, rsa_version: KeyVersion, rsa_key: rsa.RSAPrivateKey
) -> None:
    _crowd(driver)
    wrapped = rsa_wrap.wrap(rsa_key.public_key(), WrapAlgorithm.RSA_OAEP, SecretBytes(b"k" * 32))
    driver.unwrap(rsa_version, WrapAlgorithm.RSA_OAEP, wrapped)
    made = _calls(faults, lambda: driver.unwrap(rsa_version, WrapAlgorithm.RSA_OAEP, wrapped))
    # python-pkcs11 asks for the length first.
    assert made == ["C_DecryptInit", "C_Decrypt", "C_Decrypt"]


def test_other_keys_make_no_calls_more_when_one_is_looked_up(
    faults: Faults, driver: Pkcs11Driver, rsa_version: KeyVersion
) -> None:
    name, version = rsa_version.id.name, rsa_version.id.version
    driver.get_key(name, version)
    alone = [_calls(faults, partial(driver.get_key, name, each)) for each in (None, version)]
    _crowd(driver)
    among = [_calls(faults, partial(driver.get_key, name, each)) for each in (None, version)]
    assert among == alone
