"""Keys that are unwrapped into a SoftHSM token, and tokens that ignore how they are to be made."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, cast

import pytest
from cryptography.hazmat.primitives import keywrap
from pkcs11.constants import Attribute

from keyhier import rsa_wrap
from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, KeyVersion
from keyhier.errors import (
    IntegrityError,
    InvalidStateError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier.testing.faults import Ckr
from keyhier_pkcs11.session_keys import SessionKey
from tests.pkcs11.test_aes import unwrapped_as

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver

RECORD = KeyId.parse("record:fleet/web/1")
KEK = bytes(range(32))
CKA_TOKEN, CKA_SENSITIVE, CKA_EXTRACTABLE = 0x0001, 0x0103, 0x0162


@pytest.fixture
def outer(driver: Pkcs11Driver) -> KeyVersion:
    """A key on the token under which others are wrapped."""
    return driver.create_key(CreateKey("outer", KeySpec.AES_256, WrapAlgorithm.A256KW))


@pytest.fixture
def wrapped(driver: Pkcs11Driver, outer: KeyVersion) -> bytes:
    """A key encryption key, wrapped under it."""
    return driver.wrap(outer, WrapAlgorithm.A256KW, SecretBytes(KEK))


def unwrap_into(driver: Pkcs11Driver, outer: KeyVersion, wrapped: bytes) -> KeyVersion:
    algorithm = WrapAlgorithm.A256KW
    return driver.unwrap_into(outer, algorithm, wrapped, WrapAlgorithm.A256KW, RECORD)


def objects(driver: Pkcs11Driver) -> int:
    """Count everything that the token and its sessions hold."""
    with driver._shared.session() as session:
        return len(list(session.get_objects({})))


def attributes(driver: Pkcs11Driver, key: KeyVersion) -> dict[Attribute, object]:
    names = [
        Attribute.TOKEN,
        Attribute.SENSITIVE,
        Attribute.EXTRACTABLE,
        Attribute.VALUE,
        Attribute.WRAP,
        Attribute.UNWRAP,
        Attribute.ENCRYPT,
        Attribute.DECRYPT,
        Attribute.SIGN,
        Attribute.DERIVE,
    ]
    with driver._shared.session() as session:
        number = cast("SessionKey", key.handle).number
        (found,) = [each for each in session.get_objects({}) if each.handle == number]
        return dict(found.get_attributes(names))


def test_the_key_is_the_token_s_own_for_one_purpose_and_never_shown(
    driver: Pkcs11Driver, outer: KeyVersion, wrapped: bytes
) -> None:
    key = unwrap_into(driver, outer, wrapped)
    assert attributes(driver, key) == {
        Attribute.TOKEN: False,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.WRAP: True,
        Attribute.UNWRAP: True,
        Attribute.ENCRYPT: False,
        Attribute.DECRYPT: False,
        Attribute.SIGN: False,
        Attribute.DERIVE: False,
    }
    assert driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(KEK)) == keywrap.aes_key_wrap(
        KEK, KEK
    )


@pytest.mark.parametrize(("attribute", "value"), [(CKA_SENSITIVE, 0), (CKA_EXTRACTABLE, 1)])
def test_a_token_that_ignores_the_template_is_told_again(
    driver: Pkcs11Driver,
    outer: KeyVersion,
    wrapped: bytes,
    attribute: int,
    value: int,
    faults: Faults,
) -> None:
    with unwrapped_as(faults, attribute, value):
        key = unwrap_into(driver, outer, wrapped)
    found = attributes(driver, key)
    assert (found[Attribute.SENSITIVE], found[Attribute.EXTRACTABLE]) == (True, False)


def test_a_token_that_does_not_listen_keeps_no_key(
    driver: Pkcs11Driver, outer: KeyVersion, wrapped: bytes, faults: Faults
) -> None:
    before = objects(driver)
    with (
        unwrapped_as(faults, CKA_EXTRACTABLE, 1),
        faults.answer("C_SetAttributeValue", Ckr.ATTRIBUTE_READ_ONLY),
        pytest.raises(IntegrityError, match="CKA_EXTRACTABLE"),
    ):
        unwrap_into(driver, outer, wrapped)
    with (
        unwrapped_as(faults, CKA_TOKEN, 1),
        pytest.raises(IntegrityError, match="CKA_TOKEN"),
    ):
        unwrap_into(driver, outer, wrapped)
    assert objects(driver) == before


@pytest.mark.parametrize("length", [1, 20, 31, 33, 64])
def test_what_is_no_aes_key_is_found_by_using_it(
    driver: Pkcs11Driver, rsa_version: KeyVersion, length: int
) -> None:
    # OAEP hides the length and SoftHSM does not tell it.
    assert rsa_version.public_key is not None
    before = objects(driver)
    algorithm = WrapAlgorithm.RSA_OAEP
    wrapped = rsa_wrap.wrap(rsa_version.public_key, algorithm, SecretBytes.random(length))
    with pytest.raises(UnwrapError) as caught:
        driver.unwrap_into(rsa_version, algorithm, wrapped, WrapAlgorithm.A256KW, RECORD)
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert objects(driver) == before


def test_nothing_is_left_of_a_transport_key(driver: Pkcs11Driver, rsa_version: KeyVersion) -> None:
    assert rsa_version.public_key is not None
    before = objects(driver)
    algorithm = WrapAlgorithm.RSA_AES_KWP
    wrapped = rsa_wrap.wrap(rsa_version.public_key, algorithm, SecretBytes(KEK))
    key = driver.unwrap_into(rsa_version, algorithm, wrapped, WrapAlgorithm.A256KW, RECORD)
    assert objects(driver) == before + 1
    driver.discard(key)
    driver.discard(key)
    assert objects(driver) == before


def test_a_vault_that_is_closed_leaves_no_key_behind(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    first, second = open_driver(softhsm_token.uri), open_driver(softhsm_token.uri)
    outer = first.create_key(CreateKey("outer", KeySpec.AES_256, WrapAlgorithm.A256KW))
    wrapped = first.wrap(outer, WrapAlgorithm.A256KW, SecretBytes(KEK))
    before = objects(second)
    for _ in range(3):
        key = unwrap_into(first, outer, wrapped)
    assert objects(second) == before + 3
    first.close()
    assert objects(second) == before
    with pytest.raises(InvalidStateError):
        first.wrap(key, WrapAlgorithm.A256KW, SecretBytes(KEK))


def test_a_key_goes_with_the_login_that_it_belongs_to(
    driver: Pkcs11Driver, outer: KeyVersion, wrapped: bytes
) -> None:
    key = unwrap_into(driver, outer, wrapped)
    driver._shared._end_login()
    with pytest.raises(NotFoundError, match="unwrap it again"):
        driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(KEK))
    driver.discard(key)


def test_a_key_in_the_token_unwraps_another_into_it(
    driver: Pkcs11Driver, outer: KeyVersion, wrapped: bytes
) -> None:
    kek = unwrap_into(driver, outer, wrapped)
    inner = unwrap_into(driver, kek, keywrap.aes_key_wrap(KEK, bytes(32)))
    assert driver.wrap(inner, WrapAlgorithm.A256KW, SecretBytes(KEK)) == keywrap.aes_key_wrap(
        bytes(32), KEK
    )
    driver.discard(kek)
    with pytest.raises(InvalidStateError, match="closed"):
        unwrap_into(driver, kek, keywrap.aes_key_wrap(KEK, bytes(32)))
    kek = unwrap_into(driver, outer, wrapped)
    driver._shared._end_login()
    with pytest.raises(NotFoundError, match="unwrap it again"):
        unwrap_into(driver, kek, keywrap.aes_key_wrap(KEK, bytes(32)))


def test_a_token_that_is_not_there_is_told_as_such(
    driver: Pkcs11Driver, outer: KeyVersion, wrapped: bytes, faults: Faults
) -> None:
    before = objects(driver)
    for function in ("C_UnwrapKey", "C_WrapKey"):
        with (
            faults.answer(function, Ckr.DEVICE_REMOVED),
            faults.answer("C_GenerateRandom", Ckr.DEVICE_REMOVED),
            pytest.raises(UnavailableError),
        ):
            unwrap_into(driver, outer, wrapped)
    assert objects(driver) == before


def test_a_key_that_only_decrypts_unwraps_nothing_into_the_token(
    driver: Pkcs11Driver, rsa_version: KeyVersion
) -> None:
    sealing = driver.create_key(CreateKey("gcm", KeySpec.AES_256, WrapAlgorithm.A256GCMKW))
    for key, algorithm, length in (
        (sealing, WrapAlgorithm.A256GCMKW, 60),
        (rsa_version, WrapAlgorithm.RSA1_5, 256),
        (rsa_version, WrapAlgorithm.RSA_OAEP_256, 256),
    ):
        with pytest.raises(UnsupportedError, match="unwrap keys into"):
            driver.unwrap_into(key, algorithm, bytes(length), WrapAlgorithm.A256KW, RECORD)


def test_a_token_without_a_key_wrap_does_not_take_cbc_for_one(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    with faults.hide_mechanisms(0x2109, 0x210A):
        driver = open_driver(softhsm_token.uri)
        key = driver.create_key(CreateKey("rsa", KeySpec.RSA_2048))
        with pytest.raises(UnsupportedError, match="CKM_AES_CBC_PAD, which it has, is no"):
            driver.unwrap_into(
                key, WrapAlgorithm.RSA_OAEP, bytes(256), WrapAlgorithm.A256KW, RECORD
            )
        with pytest.raises(UnsupportedError, match="CKM_AES_CBC_PAD, which it has, is no"):
            driver.unwrap_into(
                key, WrapAlgorithm.RSA_AES_KWP, bytes(296), WrapAlgorithm.A256GCMKW, RECORD
            )


# A key that is kept holds a session for long, which is no call that a fork or a restart waits for.
KEEPER = """
import os, sys, time
import keyhier
from keyhier.errors import NotFoundError

RECORD = "record:fleet/web/1"
with keyhier.open(sys.argv[1]) as vault:
    outer = vault.create_key("outer", "AES-256")
    wrapped = outer.wrap_raw(os.urandom(32))
    key = outer.unwrap_into(wrapped, key_id=RECORD)
    envelope = key.wrap(b"secret")
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        try:
            key.unwrap(envelope)
        except NotFoundError:
            key.close()
            with outer.unwrap_into(wrapped, key_id=RECORD) as own, own.unwrap(envelope) as secret:
                os._exit(secret != b"secret")
        os._exit(2)
    assert time.monotonic() - started < 2, "the fork waited for the key that is kept"
    assert os.waitpid(child, 0)[1] == 0
    with key.unwrap(envelope) as secret:
        assert secret == b"secret"
"""


def test_a_child_unwraps_a_key_of_its_own_and_leaves_the_parent_s_alone(
    softhsm_token: SoftHsmToken,
) -> None:
    command = [sys.executable, "-c", KEEPER, softhsm_token.uri]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr


def test_a_key_that_is_let_go_gives_its_session_back(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    driver = open_driver(softhsm_token.uri + "&max-sessions=3")
    outer = driver.create_key(CreateKey("outer", KeySpec.AES_256, WrapAlgorithm.A256KW))
    wrapped = driver.wrap(outer, WrapAlgorithm.A256KW, SecretBytes(KEK))
    for _ in range(10):
        driver.discard(unwrap_into(driver, outer, wrapped))


def test_many_threads_with_a_key_of_their_own_each_do_not_wait_for_one_another_for_ever(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver
) -> None:
    driver = open_driver(softhsm_token.uri + "&max-sessions=4")
    outer = driver.create_key(CreateKey("outer", KeySpec.AES_256, WrapAlgorithm.A256KW))
    wrapped = driver.wrap(outer, WrapAlgorithm.A256KW, SecretBytes(KEK))

    def work(_: int) -> None:
        for _ in range(5):
            key = unwrap_into(driver, outer, wrapped)
            driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(KEK))
            driver.discard(key)

    started = time.monotonic()
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(work, range(8)))
    assert time.monotonic() - started < 20
