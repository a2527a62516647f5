"""Keys that other programs made: opened as keys of one version, never guessed at."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pkcs11.constants import Attribute, ObjectClass
from pkcs11.mechanisms import KeyType

from keyhier import base64url, rsa_wrap
from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, KeyVersion
from keyhier.errors import (
    AlreadyExistsError,
    AmbiguousError,
    IntegrityError,
    InvalidInputError,
    InvalidStateError,
    NotFoundError,
    UnsupportedError,
)
from keyhier.secret import SecretBytes
from keyhier_pkcs11.rsa import private_key_parts
from keyhier_pkcs11.versions import VersionId
from tests.pkcs11.foreign_objects import SEALING, WRAPPING, put, put_aes, put_public
from tests.pkcs11.pkcs11_tool import pkcs11_tool

if TYPE_CHECKING:
    from keyhier import Vault, WrappedKey
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver

OAEP = WrapAlgorithm.RSA_OAEP


@pytest.mark.requires_tool("pkcs11-tool")
def test_a_key_pair_of_pkcs11_tool_opens_by_label_and_by_id(
    driver: Pkcs11Driver, softhsm_token: SoftHsmToken
) -> None:
    pkcs11_tool(
        softhsm_token,
        *("--keypairgen", "--key-type", "rsa:2048", "--label", "ops key", "--id", "a1b2"),
    )
    key = driver.get_key("ops key")
    assert key == driver.get_key("ops key", "a1b2") == driver.get_key("", "a1b2")
    assert (key.id.version, key.spec, key.enabled, key.created) == (
        "a1b2",
        KeySpec.RSA_2048,
        True,
        None,
    )
    assert driver.list_versions("ops key") == [key]
    assert list(driver.list_keys()) == [key]
    assert key.public_key is not None
    wrapped = rsa_wrap.wrap(key.public_key, OAEP, SecretBytes(b"secret"))
    assert driver.unwrap(key, OAEP, wrapped) == b"secret"
    with pytest.raises(InvalidStateError, match="keyhier did not make"):
        driver.rotate_key("ops key")
    with pytest.raises(AlreadyExistsError):
        driver.create_key(CreateKey("ops key", KeySpec.RSA_2048))
    disabled = driver.set_enabled(key, enabled=False)
    assert not disabled.enabled
    with pytest.raises(InvalidStateError):
        driver.unwrap(key, OAEP, wrapped)
    driver.set_enabled(key, enabled=True)
    assert driver.unwrap(key, OAEP, wrapped) == b"secret"
    driver.delete_key(key)
    with pytest.raises(NotFoundError):
        driver.get_key("ops key")


@pytest.mark.requires_tool("pkcs11-tool")
def test_keys_that_are_no_keks_are_left_out(
    driver: Pkcs11Driver, softhsm_token: SoftHsmToken
) -> None:
    put(
        driver,
        ObjectClass.SECRET_KEY,
        key_type=KeyType.GENERIC_SECRET,
        label="generic",
        id=b"\3",
        value=b"0123456789abcdef",
    )
    pkcs11_tool(
        softhsm_token,
        *("--keypairgen", "--key-type", "EC:prime256v1", "--label", "signing", "--id", "01"),
    )
    pkcs11_tool(
        softhsm_token,
        *("--keypairgen", "--key-type", "rsa:1024", "--label", "small", "--id", "02"),
    )
    assert list(driver.list_keys()) == []
    for label in ("signing", "small", "generic"):
        with pytest.raises(UnsupportedError):
            driver.get_key(label)
        # A name that another program uses is not free either.
        with pytest.raises(AlreadyExistsError):
            driver.create_key(CreateKey(label, KeySpec.AES_256, WrapAlgorithm.A256KW))


@pytest.mark.parametrize(
    ("size", "usages", "algorithm"),
    [
        (16, WRAPPING, WrapAlgorithm.A128KW),
        (24, WRAPPING, WrapAlgorithm.A192KW),
        (32, WRAPPING, WrapAlgorithm.A256KW),
        (32, SEALING, WrapAlgorithm.A256GCMKW),
    ],
)
def test_an_aes_key_of_others_is_for_what_its_usages_say(
    driver: Pkcs11Driver, size: int, usages: tuple[Attribute, ...], algorithm: WrapAlgorithm
) -> None:
    put_aes(driver, "theirs", b"\1", usages, size)
    key = driver.get_key("theirs")
    assert key.algorithms == (algorithm,)
    assert key.spec.size == size
    wrapped = driver.wrap(key, algorithm, SecretBytes(bytes(32)))
    assert driver.unwrap(key, algorithm, wrapped) == bytes(32)
    disabled = driver.set_enabled(key, enabled=False)
    assert (disabled.enabled, disabled.algorithms) == (False, (algorithm,))
    with pytest.raises(InvalidStateError):
        driver.unwrap(key, algorithm, wrapped)
    assert driver.set_enabled(key, enabled=True) == key
    assert driver.unwrap(key, algorithm, wrapped) == bytes(32)


@pytest.mark.parametrize(
    "usages",
    [
        (*WRAPPING, *SEALING),
        (Attribute.UNWRAP, Attribute.DECRYPT),
        (Attribute.WRAP, Attribute.DECRYPT),
        (Attribute.UNWRAP, Attribute.ENCRYPT),
    ],
)
def test_promise_5_an_aes_key_that_both_wraps_and_encrypts_is_refused(
    driver: Pkcs11Driver, usages: tuple[Attribute, ...]
) -> None:
    put_aes(driver, "both", b"\1", usages)
    with pytest.raises(IntegrityError, match="a decrypt would open what it wrapped"):
        driver.get_key("both")
    assert list(driver.list_keys()) == []


def test_promise_5_a_key_of_ours_that_was_given_other_uses_is_refused(
    driver: Pkcs11Driver,
) -> None:
    key = driver.create_key(CreateKey("ours", KeySpec.AES_256, WrapAlgorithm.A256KW))
    identity = (ObjectClass.SECRET_KEY, bytes.fromhex(key.id.version))
    driver._objects.set_usages(identity, WRAPPING, value=False)
    driver._objects.set_usages(identity, SEALING, value=True)
    with pytest.raises(IntegrityError, match="allows other uses"):
        driver.get_key("ours")


@pytest.mark.parametrize(("size", "usages"), [(32, ()), (16, SEALING), (31, WRAPPING)])
def test_an_aes_key_of_no_known_use_is_told(
    driver: Pkcs11Driver, size: int, usages: tuple[Attribute, ...]
) -> None:
    put_aes(driver, "odd", b"\1", usages, size)
    with pytest.raises(UnsupportedError):
        driver.get_key("odd")
    assert list(driver.list_keys()) == []


def test_a_key_without_an_id_is_told_how_to_get_one(driver: Pkcs11Driver) -> None:
    put_aes(driver, "nameless", b"")
    with pytest.raises(InvalidStateError) as caught:
        driver.get_key("nameless")
    assert caught.value.remedy is not None
    assert "--set-id" in caught.value.remedy
    assert list(driver.list_keys()) == []


def test_a_key_that_wants_the_pin_at_every_use_is_told_and_hides_no_other(
    driver: Pkcs11Driver,
) -> None:
    private = rsa.generate_private_key(65537, 2048)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    put(
        driver,
        ObjectClass.PRIVATE_KEY,
        key_type=KeyType.RSA,
        label="signature",
        id=b"\x0c",
        sensitive=True,
        decrypt=True,
        always_authenticate=True,
        **{part.name.lower(): value for part, value in private_key_parts(SecretBytes(der)).items()},
    )
    put_aes(driver, "kek", b"\x0d")
    with pytest.raises(UnsupportedError, match="CKA_ALWAYS_AUTHENTICATE"):
        driver.get_key("signature")
    assert [key.id.name for key in driver.list_keys()] == ["kek"]


def test_a_key_without_a_label_is_not_deleted_for_an_empty_confirmation(
    softhsm_vault: Vault,
) -> None:
    driver = cast("Pkcs11Driver", softhsm_vault._opened.driver)
    put_aes(driver, "", b"\x0e")
    key = softhsm_vault.key("", "0e")
    with pytest.raises(InvalidInputError, match="give its name again"):
        key.delete(confirm="")
    assert softhsm_vault.key("", "0e") is key


def test_a_key_without_a_label_opens_by_its_id(driver: Pkcs11Driver) -> None:
    put_aes(driver, "", b"\x0a\x0b")
    key = driver.get_key("", "0a0b")
    assert str(key.id) == f"pkcs11:token={driver.vault};id=%0A%0B"
    assert list(driver.list_keys()) == [key]


def test_promise_9_a_label_of_several_keys_is_ambiguous_until_a_version_picks_one(
    driver: Pkcs11Driver,
) -> None:
    put_aes(driver, "two", b"\1")
    put_aes(driver, "two", b"\2")
    for ask in (driver.get_key, driver.list_versions, driver.rotate_key):
        with pytest.raises(AmbiguousError) as caught:
            ask("two")
        assert len(caught.value.candidates) == 2
        assert all("'two' id 0" in candidate for candidate in caught.value.candidates)
    assert driver.get_key("two", "01").id.version == "01"
    assert [key.id.version for key in driver.list_keys()] == ["01", "02"]


def test_promise_9_a_key_of_ours_and_one_of_others_under_one_label_are_ambiguous(
    driver: Pkcs11Driver,
) -> None:
    ours = driver.create_key(CreateKey("mixed", KeySpec.AES_256, WrapAlgorithm.A256KW))
    put_aes(driver, "mixed", b"\1")
    with pytest.raises(AmbiguousError):
        driver.get_key("mixed")
    assert driver.get_key("mixed", ours.id.version) == ours
    theirs = driver.get_key("mixed", "01")
    driver.delete_key(ours)
    assert driver.get_key("mixed") == theirs


def test_promise_9_an_rsa_and_an_aes_key_under_one_label_are_ambiguous(
    driver: Pkcs11Driver, rsa_version: KeyVersion
) -> None:
    put_aes(driver, "imported", b"\1")
    with pytest.raises(AmbiguousError) as caught:
        driver.get_key("imported")
    assert {each.split(" key ")[0] for each in caught.value.candidates} == {"private", "secret"}
    assert driver.get_key("imported", rsa_version.id.version) == rsa_version


def test_promise_9_two_objects_with_one_id_are_ambiguous(driver: Pkcs11Driver) -> None:
    put_aes(driver, "same", b"\1")
    key = driver.get_key("same")
    put_aes(driver, "same", b"\1")
    for version in (None, "01"):
        with pytest.raises(AmbiguousError):
            driver.get_key("same", version)
    with pytest.raises(AmbiguousError):
        driver.wrap(key, WrapAlgorithm.A256KW, SecretBytes(bytes(32)))


def plant(driver: Pkcs11Driver, ours: KeyVersion, der: bytes) -> str:
    """Do what anybody can without a PIN: put a public object beside a key, as its next version."""
    before = VersionId.read(bytes.fromhex(ours.id.version))
    assert before is not None
    version = VersionId.new(before.algorithm, before)
    attributes: dict[str, Any] = {"label": ours.id.name, "id": version.value, "private": False}
    object_class = ObjectClass.SECRET_KEY
    if before.algorithm is None:
        object_class = ObjectClass.PRIVATE_KEY
        parts = private_key_parts(SecretBytes(der))
        attributes |= {"key_type": KeyType.RSA, "decrypt": True}
        attributes |= {part.name.lower(): value for part, value in parts.items()}
    else:
        attributes |= {"key_type": KeyType.AES, "value": bytes(32), "wrap": True, "unwrap": True}
        attributes |= {"encrypt": False, "decrypt": False}
    put(driver, object_class, **attributes, sensitive=False, extractable=True)
    return version.value.hex()


@pytest.mark.parametrize("spec", ["RSA-2048", "AES-256"])
def test_promise_5_a_key_that_was_put_there_without_a_pin_is_an_integrity_error(
    spec: str, softhsm_vault: Vault
) -> None:
    driver = cast("Pkcs11Driver", softhsm_vault._opened.driver)
    key = softhsm_vault.create_key("kek", spec)
    private = rsa.generate_private_key(65537, 2048)
    der = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    wrapped = key.wrap(b"before")
    planted = plant(driver, driver.get_key("kek"), der)
    refused: list[Callable[[], object]] = [
        lambda: softhsm_vault.key("kek"),
        lambda: softhsm_vault.key("kek", planted),
        lambda: softhsm_vault.key("", planted),
        lambda: softhsm_vault.key(attrs.evolve(key.id, version=planted)),
        key.rotate,
        key.versions,
        lambda: softhsm_vault.unwrap(_renamed(wrapped, planted)),
    ]
    for use in refused:
        with pytest.raises(IntegrityError, match="CKA_PRIVATE false"):
            use()
    assert not list(softhsm_vault.keys())
    with softhsm_vault.unwrap(wrapped) as opened:
        assert opened == b"before"


def _renamed(wrapped: WrappedKey, version: str) -> str:
    """Return the envelope with another version in its kid, as an attacker may send it."""
    kid = attrs.evolve(wrapped.kid, version=version)
    header = json.loads(base64url.decode(wrapped.protected)) | {"kid": str(kid)}
    _, _, rest = str(wrapped).partition(".")
    return f"{base64url.encode(json.dumps(header).encode())}.{rest}"


def test_promise_9_deleting_one_of_two_keys_of_one_name_leaves_the_other_in_use(
    softhsm_vault: Vault,
) -> None:
    driver = cast("Pkcs11Driver", softhsm_vault._opened.driver)
    for key_id in (b"\1", b"\2"):
        put_aes(driver, "shared", key_id)
    one, other = (softhsm_vault.key("shared", version) for version in ("01", "02"))
    one.delete(confirm="shared")
    assert (one.enabled, other.enabled) == (False, True)
    with other.unwrap_raw(other.wrap_raw(bytes(32))) as opened:
        assert opened == bytes(32)
    with pytest.raises(InvalidStateError, match="was deleted"):
        one.wrap(b"x")


def test_a_label_that_is_not_utf_8_hides_nothing(driver: Pkcs11Driver) -> None:
    put(
        driver,
        ObjectClass.SECRET_KEY,
        key_type=KeyType.AES,
        id=b"\1",
        value=bytes(32),
        label=b"\xff\xfe",
        wrap=True,
        unwrap=True,
        encrypt=False,
        decrypt=False,
    )
    ours = driver.create_key(CreateKey("ours", KeySpec.AES_256, WrapAlgorithm.A256KW))
    assert list(driver.list_keys()) == [ours]
    with pytest.raises(UnsupportedError, match="not UTF-8"):
        driver.get_key("", "01")


def test_promise_5_a_planted_public_key_is_an_integrity_error(
    driver: Pkcs11Driver, rsa_version: KeyVersion
) -> None:
    key_id = bytes.fromhex(rsa_version.id.version)
    put_public(driver, "planted", key_id, rsa.generate_private_key(65537, 2048).public_key())
    with pytest.raises(IntegrityError, match="not the public half"):
        driver.get_key("imported")
    assert list(driver.list_keys()) == []


def test_the_right_public_key_may_lie_beside_its_private_key(
    driver: Pkcs11Driver, rsa_version: KeyVersion
) -> None:
    assert rsa_version.public_key is not None
    put_public(driver, "planted", bytes.fromhex(rsa_version.id.version), rsa_version.public_key)
    assert driver.get_key("imported") == rsa_version


def test_numbers_that_are_no_rsa_key_are_an_integrity_error(
    driver: Pkcs11Driver, rsa_key: rsa.RSAPrivateKey
) -> None:
    numbers = rsa_key.private_numbers()
    put(
        driver,
        ObjectClass.PRIVATE_KEY,
        key_type=KeyType.RSA,
        label="odd",
        id=b"\1",
        decrypt=True,
        modulus=numbers.public_numbers.n.to_bytes(256),
        public_exponent=b"\2",
        private_exponent=numbers.d.to_bytes(256),
        prime_1=numbers.p.to_bytes(128),
        prime_2=numbers.q.to_bytes(128),
        exponent_1=numbers.dmp1.to_bytes(128),
        exponent_2=numbers.dmq1.to_bytes(128),
        coefficient=numbers.iqmp.to_bytes(128),
    )
    with pytest.raises(IntegrityError, match="no RSA key"):
        driver.get_key("odd")
    assert list(driver.list_keys()) == []
