"""What a memory vault does, alone and in a file."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import keyhier
from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.driver import (
    CreateKey,
    Driver,
    ImportKey,
    KeyVersion,
    SupportsBackup,
    SupportsImport,
    SupportsLifecycle,
    SupportsRandom,
    SupportsRotation,
    SupportsSoftDelete,
)
from keyhier.errors import (
    AlreadyExistsError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnsupportedError,
)
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier_memory.driver import MemoryDriver
from tests.memory.vaults import create_aes, opened, seal


def pkcs8(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> SecretBytes:
    return SecretBytes(
        key.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )


def test_it_can_do_everything_that_a_vault_can(driver: MemoryDriver) -> None:
    for protocol in (
        Driver,
        SupportsImport,
        SupportsRotation,
        SupportsLifecycle,
        SupportsSoftDelete,
        SupportsBackup,
        SupportsRandom,
    ):
        assert isinstance(driver, protocol)
    assert driver.key_specs == set(KeySpec)
    assert driver.algorithms == set(WrapAlgorithm)
    assert (driver.scheme, driver.vault) == ("memory", "")


@pytest.mark.parametrize("spec", KeySpec)
def test_a_created_key_says_what_it_is(driver: MemoryDriver, spec: KeySpec) -> None:
    algorithm = algorithms_for(spec)[-1] if spec.key_type is KeyType.AES else None
    made = driver.create_key(CreateKey("kek", spec, algorithm))
    assert made.id == KeyId("memory", "", "kek", made.id.version)
    assert KeyId.parse(str(made.id)) == made.id
    assert len(made.id.version) == 32
    assert made.spec is spec
    assert made.enabled
    assert made.created is not None
    assert abs((datetime.now(UTC) - made.created).total_seconds()) < 60
    if algorithm is None:
        assert made.algorithms == algorithms_for(spec)
        assert made.public_key is not None
        assert made.public_key.key_size == spec.bits
        assert made.public_key.public_numbers().e == 65537
    else:
        assert made.algorithms == (algorithm,)
        assert made.public_key is None
    assert driver.get_key("kek") == made
    assert driver.get_key("kek", made.id.version) == made
    assert list(driver.list_keys()) == [made]


def test_an_aes_key_without_a_stated_purpose_gets_the_safe_default(driver: MemoryDriver) -> None:
    made = driver.create_key(CreateKey("kek", KeySpec.AES_256))
    assert made.algorithms == (WrapAlgorithm.A256KW,)


def test_a_taken_name_is_refused_and_the_key_stays(driver: MemoryDriver) -> None:
    made = create_aes(driver)
    with pytest.raises(AlreadyExistsError, match="rotate the key"):
        create_aes(driver)
    with pytest.raises(AlreadyExistsError):
        driver.import_key(ImportKey("kek", KeySpec.AES_128, SecretBytes.random(16)))
    assert driver.list_versions("kek") == [made]


def test_what_is_not_there_is_not_found(driver: MemoryDriver) -> None:
    made = create_aes(driver)
    gone = KeyVersion(KeyId("memory", "", "none", "0" * 32), made.spec, made.algorithms)
    other = KeyVersion(KeyId("memory", "", "kek", "0" * 32), made.spec, made.algorithms)
    attempts: list[Callable[[], object]] = [
        lambda: driver.get_key("none"),
        lambda: driver.get_key("kek", "0" * 32),
        lambda: driver.get_key("kek", ""),
        lambda: driver.list_versions("none"),
        lambda: driver.rotate_key("none"),
        lambda: driver.backup_key("none"),
        lambda: driver.recover_key("none"),
        lambda: driver.recover_key("kek"),
        lambda: driver.purge_key("none"),
        lambda: driver.purge_key("kek"),
    ]
    for key in (gone, other):
        attempts += [
            partial(driver.set_enabled, key, enabled=False),
            partial(driver.delete_key, key),
            partial(seal, driver, key),
            partial(opened, driver, key, bytes(40)),
        ]
    for attempt in attempts:
        with pytest.raises(NotFoundError):
            attempt()
    assert driver.list_versions("kek") == [made]


def test_keys_are_listed_by_name_with_their_latest_versions(driver: MemoryDriver) -> None:
    for name in ("b", "a", "C"):
        create_aes(driver, name)
    latest = driver.rotate_key("a")
    listed = list(driver.list_keys())
    assert [key.id.name for key in listed] == ["C", "a", "b"]
    assert listed[1] == latest


@pytest.mark.parametrize("algorithm", [WrapAlgorithm.A256GCM, None])
def test_rotation_adds_a_version_of_the_same_kind(
    driver: MemoryDriver, algorithm: WrapAlgorithm | None
) -> None:
    spec = KeySpec.AES_256 if algorithm else KeySpec.RSA_2048
    first = driver.create_key(CreateKey("kek", spec, algorithm))
    second, third = driver.rotate_key("kek"), driver.rotate_key("kek")
    assert driver.list_versions("kek") == [first, second, third]
    assert first.id.version < second.id.version < third.id.version
    assert {key.spec for key in (first, second, third)} == {spec}
    assert {key.algorithms for key in (first, second, third)} == {first.algorithms}
    assert driver.get_key("kek") == third
    assert driver.get_key("kek", first.id.version) == first


def test_every_version_opens_its_own_and_no_other(driver: MemoryDriver) -> None:
    first = create_aes(driver)
    wrapped = seal(driver, first)
    second = driver.rotate_key("kek")
    assert opened(driver, first, wrapped) == bytes(range(32))
    assert opened(driver, second, seal(driver, second)) == bytes(range(32))
    assert seal(driver, second) != wrapped


def test_a_disabled_version_does_nothing_even_for_whoever_held_it(driver: MemoryDriver) -> None:
    first = create_aes(driver)
    wrapped = seal(driver, first)
    second = driver.rotate_key("kek")
    disabled = driver.set_enabled(first, enabled=False)
    assert not disabled.enabled
    assert not driver.get_key("kek", first.id.version).enabled
    for stale_or_fresh in (first, disabled):
        with pytest.raises(InvalidStateError, match="disabled"):
            opened(driver, stale_or_fresh, wrapped)
        with pytest.raises(InvalidStateError, match="disabled"):
            seal(driver, stale_or_fresh)
    seal(driver, second)
    assert driver.set_enabled(disabled, enabled=True) == first
    assert opened(driver, disabled, wrapped) == bytes(range(32))


def test_the_latest_version_is_the_one_made_last_enabled_or_not(driver: MemoryDriver) -> None:
    create_aes(driver)
    second = driver.set_enabled(driver.rotate_key("kek"), enabled=False)
    assert driver.get_key("kek") == second
    assert driver.rotate_key("kek").enabled


def test_a_soft_deleted_key_is_out_of_use_and_keeps_its_name(driver: MemoryDriver) -> None:
    made = create_aes(driver)
    wrapped = seal(driver, made)
    backup = driver.backup_key("kek")
    driver.delete_key(made)
    assert list(driver.list_keys()) == []
    assert list(driver.list_deleted()) == ["kek"]
    attempts: list[Callable[[], object]] = [
        lambda: driver.get_key("kek"),
        lambda: driver.get_key("kek", made.id.version),
        lambda: driver.list_versions("kek"),
        lambda: driver.rotate_key("kek"),
        lambda: driver.backup_key("kek"),
        lambda: driver.set_enabled(made, enabled=False),
        lambda: seal(driver, made),
        lambda: opened(driver, made, wrapped),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidStateError, match=r"soft-deleted.*recover_key.*purge_key"):
            attempt()
    taken: list[Callable[[], object]] = [
        lambda: create_aes(driver),
        lambda: driver.import_key(ImportKey("kek", KeySpec.AES_256, SecretBytes.random(32))),
        lambda: driver.restore_key(backup),
    ]
    for attempt in taken:
        with pytest.raises(AlreadyExistsError, match=r"soft-deleted.*recover_key.*purge_key"):
            attempt()
    with pytest.raises(NotFoundError, match="gone already"):
        driver.delete_key(made)


def test_a_recovered_key_comes_back_as_it_was(driver: MemoryDriver) -> None:
    first = create_aes(driver)
    wrapped = seal(driver, first)
    second = driver.set_enabled(driver.rotate_key("kek"), enabled=False)
    driver.delete_key(first)
    assert driver.recover_key("kek") == second
    assert driver.list_versions("kek") == [first, second]
    assert opened(driver, first, wrapped) == bytes(range(32))
    assert list(driver.list_deleted()) == []


def test_a_purged_key_is_gone_for_ever_and_its_name_is_free(driver: MemoryDriver) -> None:
    old = create_aes(driver)
    driver.delete_key(old)
    driver.purge_key("kek")
    with pytest.raises(NotFoundError):
        driver.recover_key("kek")
    new = create_aes(driver)
    with pytest.raises(NotFoundError):
        seal(driver, old)
    # Whoever still holds the old key must not delete the new one by its name.
    with pytest.raises(NotFoundError):
        driver.delete_key(old)
    assert driver.get_key("kek") == new


def test_the_names_of_soft_deleted_keys_are_listed_in_order(driver: MemoryDriver) -> None:
    for name in ("b", "c", "a"):
        driver.delete_key(create_aes(driver, name))
    assert list(driver.list_deleted()) == ["a", "b", "c"]


def test_a_backup_brings_back_every_version_as_it_was(driver: MemoryDriver) -> None:
    first = driver.create_key(CreateKey("kek", KeySpec.RSA_2048))
    driver.set_enabled(driver.rotate_key("kek"), enabled=False)
    before = driver.list_versions("kek")
    assert first.public_key is not None
    wrapped = first.public_key.encrypt(b"secret", padding.PKCS1v15())
    backup = driver.backup_key("kek")
    with pytest.raises(AlreadyExistsError):
        driver.restore_key(backup)
    driver.delete_key(first)
    driver.purge_key("kek")
    assert driver.restore_key(backup) == before[-1]
    assert driver.list_versions("kek") == before
    assert driver.unwrap(first, WrapAlgorithm.RSA1_5, wrapped) == b"secret"


def test_an_imported_aes_key_is_copied_and_works(driver: MemoryDriver) -> None:
    with SecretBytes(bytes(range(16))) as material:
        made = driver.import_key(ImportKey("kek", KeySpec.AES_128, material, WrapAlgorithm.A128KW))
    # RFC 3394, section 4.1.
    wrapped = driver.wrap(
        made, WrapAlgorithm.A128KW, SecretBytes(bytes.fromhex("00112233445566778899aabbccddeeff"))
    )
    assert wrapped.hex() == "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"


def test_an_imported_rsa_key_opens_what_was_made_for_it(driver: MemoryDriver) -> None:
    key = rsa.generate_private_key(65537, 2048)
    made = driver.import_key(ImportKey("kek", KeySpec.RSA_2048, pkcs8(key)))
    assert made.public_key is not None
    assert made.public_key.public_numbers() == key.public_key().public_numbers()
    assert made.algorithms == algorithms_for(KeySpec.RSA_2048)
    wrapped = key.public_key().encrypt(b"secret", padding.PKCS1v15())
    assert driver.unwrap(made, WrapAlgorithm.RSA1_5, wrapped) == b"secret"
    rotated = driver.rotate_key("kek")
    assert rotated.public_key is not None
    assert rotated.public_key.public_numbers() != key.public_key().public_numbers()


@pytest.mark.parametrize(
    ("spec", "material"),
    [
        (KeySpec.AES_256, b"x" * 31),
        (KeySpec.RSA_2048, b"no DER"),
        (KeySpec.RSA_2048, b""),
    ],
)
def test_material_that_is_no_such_key_is_refused(
    driver: MemoryDriver, spec: KeySpec, material: bytes
) -> None:
    with pytest.raises(InvalidInputError) as caught:
        driver.import_key(ImportKey("kek", spec, SecretBytes(material)))
    assert "no DER" not in str(caught.value)
    assert list(driver.list_keys()) == []


def test_a_key_of_another_family_or_size_is_refused(driver: MemoryDriver) -> None:
    for material in (
        pkcs8(ec.generate_private_key(ec.SECP256R1())),
        pkcs8(rsa.generate_private_key(65537, 2048)),
    ):
        with pytest.raises(InvalidInputError, match="RSA-3072"):
            driver.import_key(ImportKey("kek", KeySpec.RSA_3072, material))


def test_random_bytes_have_the_length_asked_for_and_differ(driver: MemoryDriver) -> None:
    with driver.random_bytes(32) as first, driver.random_bytes(32) as second:
        assert len(first) == len(second) == 32
        assert first != second


def test_a_closed_vault_answers_nothing(driver: MemoryDriver) -> None:
    made = create_aes(driver)
    wrapped = seal(driver, made)
    backup = driver.backup_key("kek")
    driver.close()
    driver.close()
    attempts: list[Callable[[], object]] = [
        lambda: driver.get_key("kek"),
        driver.list_keys,
        lambda: driver.list_versions("kek"),
        lambda: create_aes(driver, "other"),
        lambda: driver.import_key(ImportKey("new", KeySpec.AES_128, SecretBytes.random(16))),
        lambda: driver.rotate_key("kek"),
        lambda: seal(driver, made),
        lambda: opened(driver, made, wrapped),
        lambda: driver.set_enabled(made, enabled=False),
        lambda: driver.delete_key(made),
        driver.list_deleted,
        lambda: driver.recover_key("kek"),
        lambda: driver.purge_key("kek"),
        lambda: driver.backup_key("kek"),
        lambda: driver.restore_key(backup),
        lambda: driver.random_bytes(1),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidStateError, match="closed"):
            attempt()


def test_a_key_that_was_made_extractable_leaves_the_vault_and_so_do_its_next_versions() -> None:
    with keyhier.open("memory:") as vault:
        key = vault.create_key("kek", "AES-256", extractable=True)
        for each in (key, key.rotate(), key.rotate(tag="a job")):
            with each.export() as material, keyhier.open("memory:") as other:
                taken = other.import_key("taken", material)
                with each.unwrap_raw(taken.wrap_raw(bytes(16))) as opened:
                    assert opened == bytes(16)
                # What was taken over stays.
                with pytest.raises(UnsupportedError):
                    taken.export()
        key.disable()
        with pytest.raises(InvalidStateError):
            key.export()
