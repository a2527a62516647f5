"""Keys that are made, or deleted, by halves: what the token does otherwise, or not at all."""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING

import pytest
from pkcs11.constants import Attribute, ObjectClass

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey
from keyhier.errors import (
    AlreadyExistsError,
    IntegrityError,
    UnavailableError,
)
from keyhier.testing.faults import CkAttribute, Ckr, Native

if TYPE_CHECKING:
    from keyhier.testing.faults import Faults
    from keyhier_pkcs11.driver import Pkcs11Driver

A256KW = CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256KW)


def test_a_token_that_ignores_a_template_keeps_nothing(
    driver: Pkcs11Driver, faults: Faults
) -> None:
    def careless(
        generate: Native, session: int, mechanism: int, template: int, count: int, key: int
    ) -> int:
        for each in (CkAttribute * count).from_address(template):
            if each.type == Attribute.EXTRACTABLE and each.value is not None:
                ctypes.c_ubyte.from_address(each.value).value = 1
        return generate(session, mechanism, template, count, key)

    with (
        faults.replace("C_GenerateKey", careless),
        pytest.raises(IntegrityError, match="CKA_EXTRACTABLE"),
    ):
        driver.create_key(A256KW)
    assert driver._objects.find() == []


def test_of_two_first_versions_the_earlier_one_stays(driver: Pkcs11Driver, faults: Faults) -> None:
    def rival(generate: Native, *arguments: int) -> int:
        template, count = arguments[2:4]
        (id_attribute,) = [
            each
            for each in (CkAttribute * count).from_address(template)
            if each.type == Attribute.ID
        ]
        # Another process makes a key of that name, a little earlier.
        assert id_attribute.value is not None
        first_byte = ctypes.c_ubyte.from_address(id_attribute.value)
        first_byte.value -= 1
        handle = ctypes.c_ulong()
        assert generate(*arguments[:4], ctypes.addressof(handle)) == Ckr.OK
        first_byte.value += 1
        return generate(*arguments)

    with (
        faults.replace("C_GenerateKey", rival),
        pytest.raises(AlreadyExistsError, match="at the same time"),
    ):
        driver.create_key(A256KW)
    (version,) = driver.list_versions("kek")
    assert version.id.version.startswith("00")


def test_a_failed_generation_names_the_call_and_leaves_nothing(
    driver: Pkcs11Driver, faults: Faults
) -> None:
    with (
        faults.answer("C_GenerateKey", Ckr.DEVICE_ERROR),
        pytest.raises(UnavailableError) as caught,
    ):
        driver.create_key(A256KW)
    assert caught.value.native == "C_GenerateKey: CKR_DEVICE_ERROR"
    assert driver._objects.find() == []


def test_a_failed_search_or_read_names_the_call(driver: Pkcs11Driver, faults: Faults) -> None:
    driver.create_key(A256KW)
    with (
        faults.answer("C_FindObjectsInit", Ckr.DEVICE_ERROR),
        pytest.raises(UnavailableError) as caught,
    ):
        driver.get_key("kek")
    assert caught.value.native == "C_FindObjects: CKR_DEVICE_ERROR"


def test_a_failed_deletion_names_the_call(driver: Pkcs11Driver, faults: Faults) -> None:
    key = driver.create_key(A256KW)
    with (
        faults.answer("C_DestroyObject", Ckr.DEVICE_ERROR),
        pytest.raises(UnavailableError) as caught,
    ):
        driver.delete_key(key)
    assert caught.value.native == "C_DestroyObject: CKR_DEVICE_ERROR"
    assert driver.get_key("kek") == key


def test_a_key_pair_that_is_made_in_part_leaves_nothing_behind(
    driver: Pkcs11Driver, faults: Faults
) -> None:
    vendor = Ckr.VENDOR_DEFINED + 0x57
    assert KeySpec.RSA_2048 in driver.key_specs
    with (
        faults.answer("C_DestroyObject", vendor, times=1) as fault,
        pytest.raises(UnavailableError),
    ):
        driver.create_key(CreateKey("pair", KeySpec.RSA_2048))
    assert fault.hits
    classes = [ObjectClass.PRIVATE_KEY, ObjectClass.PUBLIC_KEY]
    assert driver._objects.find(classes=classes) == []
