"""Keys and their versions on a SoftHSM token."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pkcs11.constants import Attribute, ObjectClass

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.driver import CreateKey, ImportKey, KeyVersion
from keyhier.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnsupportedError,
)
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier.testing.faults import Ckr

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver
    from tests.pkcs11.conftest import OpenDriver

AES_ALGORITHMS = [
    (spec, algorithm)
    for spec in KeySpec
    if spec.key_type is KeyType.AES
    for algorithm in algorithms_for(spec)
]
A256KW = CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256KW)
USAGES = [
    Attribute.ENCRYPT,
    Attribute.DECRYPT,
    Attribute.WRAP,
    Attribute.UNWRAP,
    Attribute.SIGN,
    Attribute.VERIFY,
    Attribute.DERIVE,
]
NATURE = [
    Attribute.TOKEN,
    Attribute.PRIVATE,
    Attribute.SENSITIVE,
    Attribute.EXTRACTABLE,
    Attribute.NEVER_EXTRACTABLE,
    Attribute.LOCAL,
]


def attributes(
    driver: Pkcs11Driver, key: KeyVersion, names: list[Attribute]
) -> dict[Attribute, object]:
    object_class = (
        ObjectClass.PRIVATE_KEY if key.spec.key_type is KeyType.RSA else ObjectClass.SECRET_KEY
    )
    found = driver._objects.attributes((object_class, bytes.fromhex(key.id.version)), names)
    return dict(found)


@pytest.mark.parametrize(("spec", "algorithm"), AES_ALGORITHMS)
def test_promise_5_an_aes_key_is_for_one_algorithm(
    driver: Pkcs11Driver, spec: KeySpec, algorithm: WrapAlgorithm
) -> None:
    key = driver.create_key(CreateKey("kek", spec, algorithm))
    assert (key.spec, key.algorithms, key.public_key) == (spec, (algorithm,), None)
    allowed = {name for name, value in attributes(driver, key, USAGES).items() if value}
    if algorithm in (WrapAlgorithm.A256GCM, WrapAlgorithm.A256GCMKW):
        assert allowed == {Attribute.ENCRYPT, Attribute.DECRYPT}
    else:
        assert allowed == {Attribute.WRAP, Attribute.UNWRAP}
    assert list(attributes(driver, key, NATURE).values()) == [True, True, True, False, True, True]


def test_promise_5_an_rsa_key_unwraps_and_does_nothing_else(driver: Pkcs11Driver) -> None:
    key = driver.create_key(CreateKey("kek", KeySpec.RSA_2048))
    names = [*USAGES, Attribute.SIGN_RECOVER]
    allowed = {name for name, value in attributes(driver, key, names).items() if value}
    assert allowed == {Attribute.DECRYPT, Attribute.UNWRAP}
    assert list(attributes(driver, key, NATURE).values()) == [True, True, True, False, True, True]
    assert key.public_key is not None
    assert key.public_key.public_numbers().e == 65537
    # Its public half is derived from the private object, and none lies on the token.
    assert driver._objects.find(classes=[ObjectClass.PUBLIC_KEY]) == []


def test_a_key_is_extractable_only_when_asked_for(driver: Pkcs11Driver) -> None:
    key = driver.create_key(attrs.evolve(A256KW, extractable=True))
    again = driver.rotate_key("kek")
    for version in (key, again):
        found = attributes(driver, version, [Attribute.EXTRACTABLE, Attribute.SENSITIVE])
        assert list(found.values()) == [True, True]


def test_a_name_is_taken_once(driver: Pkcs11Driver) -> None:
    driver.create_key(A256KW)
    for request in (A256KW, CreateKey("kek", KeySpec.RSA_2048)):
        with pytest.raises(AlreadyExistsError):
            driver.create_key(request)
    with pytest.raises(AlreadyExistsError):
        driver.import_key(
            ImportKey("kek", KeySpec.AES_256, SecretBytes(bytes(32)), WrapAlgorithm.A256KW)
        )
    assert len(driver.list_versions("kek")) == 1


def test_versions_are_told_apart_and_sorted_by_their_cka_id(driver: Pkcs11Driver) -> None:
    versions = [driver.create_key(A256KW), *(driver.rotate_key("kek") for _ in range(5))]
    assert driver.list_versions("kek") == versions
    ids = [version.id.version for version in versions]
    assert ids == sorted(set(ids))
    assert driver.get_key("kek") == versions[-1]
    for version in versions:
        assert driver.get_key("kek", version.id.version) == version
        assert version.id == KeyId("pkcs11", driver.vault, "kek", version.id.version)
        assert KeyId.parse(str(version.id)) == version.id
        assert version.created is not None
        assert abs(version.created - datetime.now(UTC)) < timedelta(minutes=5)
    earlier = [version.created for version in versions if version.created]
    assert all(one < other for one, other in itertools.pairwise(earlier))


def test_a_version_opens_what_it_wrapped_and_no_other_version_does(driver: Pkcs11Driver) -> None:
    old = driver.create_key(A256KW)
    new = driver.rotate_key("kek")
    wrapped = driver.wrap(old, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))
    assert driver.unwrap(old, WrapAlgorithm.A256KW, wrapped) == bytes(32)
    assert driver.wrap(new, WrapAlgorithm.A256KW, SecretBytes(bytes(32))) != wrapped


def test_an_rsa_key_rotates_to_its_own_size(driver: Pkcs11Driver, rsa_version: KeyVersion) -> None:
    rotated = driver.rotate_key("imported")
    assert rotated.spec is KeySpec.RSA_2048
    assert rotated.public_key != rsa_version.public_key
    assert driver.list_versions("imported") == [rsa_version, rotated]


def test_keys_are_listed_by_name_with_their_latest_version(driver: Pkcs11Driver) -> None:
    for name in ("zebra", "ant", "mule"):
        driver.create_key(attrs.evolve(A256KW, name=name))
    newest = driver.rotate_key("mule")
    listed = list(driver.list_keys())
    assert [key.id.name for key in listed] == ["ant", "mule", "zebra"]
    assert listed[1] == newest


@pytest.mark.parametrize("version", ["", "zz", "00", "01a2", "ff" * 16])
def test_what_is_not_there_is_not_found(driver: Pkcs11Driver, version: str) -> None:
    driver.create_key(A256KW)
    with pytest.raises(NotFoundError):
        driver.get_key("kek", version)
    with pytest.raises(NotFoundError):
        driver.get_key("kek2")
    with pytest.raises(NotFoundError):
        driver.list_versions("ke")
    with pytest.raises(NotFoundError):
        driver.rotate_key("KEK")


@pytest.mark.parametrize("name", ["", " ", "kek\0", "kek ", "\ud800", "schlüssel", "x" * 10_000])
def test_a_label_is_compared_exactly(driver: Pkcs11Driver, name: str) -> None:
    driver.create_key(A256KW)
    with pytest.raises(NotFoundError):
        driver.get_key(name)


@pytest.mark.parametrize(("spec", "algorithm"), AES_ALGORITHMS)
def test_a_disabled_aes_version_neither_wraps_nor_unwraps(
    driver: Pkcs11Driver, spec: KeySpec, algorithm: WrapAlgorithm
) -> None:
    key = driver.create_key(CreateKey("kek", spec, algorithm))
    wrapped = driver.wrap(key, algorithm, SecretBytes(bytes(32)))
    before = attributes(driver, key, USAGES)
    disabled = driver.set_enabled(key, enabled=False)
    assert not disabled.enabled
    assert not driver.get_key("kek").enabled
    assert not any(attributes(driver, key, USAGES).values())
    with pytest.raises(InvalidStateError):
        driver.wrap(key, algorithm, SecretBytes(bytes(32)))
    with pytest.raises(InvalidStateError) as caught:
        driver.unwrap(key, algorithm, wrapped)
    assert "CKR_KEY_FUNCTION_NOT_PERMITTED" in str(caught.value)
    # Enabling gives back what its algorithm needs and nothing else (promise 5).
    assert driver.set_enabled(key, enabled=True).enabled
    assert attributes(driver, key, USAGES) == before
    assert driver.unwrap(key, algorithm, wrapped) == bytes(32)


@pytest.mark.parametrize("algorithm", [WrapAlgorithm.RSA_OAEP, WrapAlgorithm.RSA1_5])
def test_a_disabled_rsa_version_does_not_unwrap(
    driver: Pkcs11Driver, rsa_version: KeyVersion, algorithm: WrapAlgorithm
) -> None:
    disabled = driver.set_enabled(rsa_version, enabled=False)
    assert not disabled.enabled
    assert disabled.algorithms == rsa_version.algorithms
    with pytest.raises(InvalidStateError):
        driver.unwrap(rsa_version, algorithm, bytes(256))
    assert driver.set_enabled(rsa_version, enabled=True) == rsa_version


def test_disabling_one_version_leaves_the_others(driver: Pkcs11Driver) -> None:
    old = driver.create_key(A256KW)
    driver.rotate_key("kek")
    driver.set_enabled(old, enabled=False)
    assert [version.enabled for version in driver.list_versions("kek")] == [False, True]
    driver.set_enabled(old, enabled=False)


def test_a_token_that_does_not_hold_to_disabling_is_told(
    driver: Pkcs11Driver, faults: Faults
) -> None:
    key = driver.create_key(A256KW)
    with (
        faults.answer("C_SetAttributeValue", Ckr.OK),
        pytest.raises(UnsupportedError, match="does not hold to"),
    ):
        driver.set_enabled(key, enabled=False)
    read_only = 0x010
    with (
        faults.answer("C_SetAttributeValue", read_only),
        pytest.raises(UnsupportedError) as caught,
    ):
        driver.set_enabled(key, enabled=False)
    assert caught.value.native == "C_SetAttributeValue: CKR_ATTRIBUTE_READ_ONLY"
    assert driver.get_key("kek").enabled


def test_a_deleted_key_is_gone_with_all_its_versions(driver: Pkcs11Driver) -> None:
    key = driver.create_key(A256KW)
    other = driver.create_key(attrs.evolve(A256KW, name="other"))
    newest = driver.rotate_key("kek")
    wrapped = driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))
    driver.delete_key(newest)
    assert list(driver.list_keys()) == [other]
    for gone in (
        lambda: driver.get_key("kek"),
        lambda: driver.delete_key(key),
        lambda: driver.unwrap(key, WrapAlgorithm.A256KW, wrapped),
        lambda: driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32))),
        lambda: driver.set_enabled(key, enabled=False),
    ):
        with pytest.raises(NotFoundError):
            gone()


def test_a_key_deleted_elsewhere_is_not_found_although_its_handle_was_known(
    driver: Pkcs11Driver, rsa_version: KeyVersion
) -> None:
    driver.unwrap(rsa_version, WrapAlgorithm.RSA1_5, bytes(256))
    handles = dict(driver._shared.login().handles)
    driver.delete_key(rsa_version)
    driver._shared.login().handles.update(handles)
    with pytest.raises(NotFoundError):
        driver.unwrap(rsa_version, WrapAlgorithm.RSA1_5, bytes(256))


@pytest.mark.parametrize(("spec", "algorithm"), AES_ALGORITHMS)
def test_an_imported_aes_key_is_that_key(
    driver: Pkcs11Driver, spec: KeySpec, algorithm: WrapAlgorithm
) -> None:
    material = SecretBytes.random(spec.size)
    key = driver.import_key(ImportKey("kek", spec, material, algorithm))
    assert (key.spec, key.algorithms) == (spec, (algorithm,))
    found = attributes(driver, key, [Attribute.SENSITIVE, Attribute.EXTRACTABLE])
    assert list(found.values()) == [True, False]
    wrapped = driver.wrap(key, algorithm, SecretBytes(bytes(16)))
    assert driver.unwrap(key, algorithm, wrapped) == bytes(16)
    assert driver.get_key("kek") == key


def test_an_imported_rsa_key_is_that_key(
    driver: Pkcs11Driver, rsa_version: KeyVersion, rsa_key: rsa.RSAPrivateKey
) -> None:
    assert rsa_version.public_key == rsa_key.public_key()
    found = attributes(
        driver, rsa_version, [Attribute.SENSITIVE, Attribute.EXTRACTABLE, *USAGES[:4]]
    )
    assert found[Attribute.SENSITIVE] is True
    assert found[Attribute.EXTRACTABLE] is False


def test_what_is_no_rsa_key_is_not_imported(driver: Pkcs11Driver) -> None:
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    for material in (b"", b"no DER", other):
        with pytest.raises(InvalidInputError):
            driver.import_key(ImportKey("kek", KeySpec.RSA_2048, SecretBytes(material)))
    assert list(driver.list_keys()) == []


def test_what_the_token_can_do_is_known(driver: Pkcs11Driver) -> None:
    assert driver.key_specs == frozenset(KeySpec)
    assert driver.algorithms == frozenset(WrapAlgorithm) - {WrapAlgorithm.RSA_OAEP_256}
    assert driver._objects.find() == []


def test_a_missing_mechanism_is_told_with_those_there_are(
    softhsm_token: SoftHsmToken, open_driver: OpenDriver, faults: Faults
) -> None:
    aes_key_wrap, rsa_generate = 0x2109, 0x0000
    with faults.hide_mechanisms(aes_key_wrap, rsa_generate):
        driver = open_driver(softhsm_token.uri)
        assert driver.key_specs == {KeySpec.AES_256}
        with pytest.raises(UnsupportedError) as caught:
            driver.create_key(A256KW)
        assert "CKM_AES_GCM" in str(caught.value)
        assert "CKM_AES_KEY_WRAP," not in str(caught.value)
        for request in (
            CreateKey("kek", KeySpec.RSA_2048),
            CreateKey("kek", KeySpec.AES_128, WrapAlgorithm.A128KW),
        ):
            with pytest.raises(UnsupportedError):
                driver.create_key(request)
        with pytest.raises(UnsupportedError):
            driver.import_key(
                ImportKey("kek", KeySpec.AES_256, SecretBytes(bytes(32)), WrapAlgorithm.A256KW)
            )
        assert list(driver.list_keys()) == []


def test_random_bytes_come_in_the_length_asked_for(driver: Pkcs11Driver) -> None:
    for length in (1, 7, 32, 5000):
        one, other = driver.random_bytes(length), driver.random_bytes(length)
        assert len(one) == len(other) == length
        assert length < 8 or one != other
