"""Keys made elsewhere: what is taken over and what is refused."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from keyhier.errors import InvalidInputError
from keyhier.material import read_material
from keyhier.secret import SecretBytes

RSA = rsa.generate_private_key(65537, 2048)
FORMATS = [
    (encoding, form)
    for encoding in (Encoding.DER, Encoding.PEM)
    for form in (PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL)
]


def _encoded(
    key: rsa.RSAPrivateKey,
    encoding: Encoding = Encoding.DER,
    form: PrivateFormat = PrivateFormat.PKCS8,
    encryption: KeySerializationEncryption | None = None,
) -> bytes:
    return key.private_bytes(encoding, form, encryption or NoEncryption())


@pytest.mark.parametrize("size", [16, 24, 32])
def test_an_aes_key_is_taken_byte_for_byte(size: int) -> None:
    spec, prepared = read_material(bytes(range(size)))
    assert (spec, prepared.reveal()) == (f"AES-{8 * size}", bytes(range(size)))


@pytest.mark.parametrize(("encoding", "form"), FORMATS)
def test_every_unencrypted_form_of_an_rsa_key_becomes_the_same_pkcs8(
    encoding: Encoding, form: PrivateFormat
) -> None:
    spec, prepared = read_material(_encoded(RSA, encoding, form))
    assert spec == "RSA-2048"
    again = load_der_private_key(prepared.reveal(), None)
    assert isinstance(again, rsa.RSAPrivateKey)
    assert again.private_numbers() == RSA.private_numbers()
    assert prepared == _encoded(RSA)


@pytest.mark.parametrize("kind", [bytes, bytearray, SecretBytes])
def test_promise_6_the_material_is_copied_and_remains_the_callers(kind: type) -> None:
    for data in (bytes(range(32)), _encoded(RSA)):
        source = kind(data)
        with read_material(source)[1] as prepared:
            assert prepared is not source
        assert source == data


def test_a_wiped_secret_is_no_material() -> None:
    wiped = SecretBytes(bytes(32))
    wiped.wipe()
    with pytest.raises(Exception, match="wiped"):
        read_material(wiped)


@pytest.mark.parametrize(
    "material",
    [
        # bytes(32) would be a key of zeros.
        pytest.param(32, id="a number"),
        pytest.param(16, id="another number"),
        pytest.param("0" * 32, id="text"),
        pytest.param([1] * 32, id="a list"),
        pytest.param(None, id="nothing"),
    ],
)
def test_what_is_not_bytes_is_no_material(material: bytes) -> None:
    with pytest.raises(InvalidInputError, match="made of bytes"):
        read_material(material)


@pytest.mark.parametrize(
    "material",
    [
        pytest.param(b"", id="empty"),
        pytest.param(bytes(31), id="31 bytes"),
        pytest.param(bytes(33), id="33 bytes"),
        pytest.param(_encoded(RSA)[:-1], id="cut off"),
        pytest.param(_encoded(RSA) + b"\0", id="too long"),
        pytest.param(_encoded(RSA, encryption=BestAvailableEncryption(b"pw")), id="encrypted"),
        pytest.param(
            RSA.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            id="public",
        ),
        pytest.param(
            ec.generate_private_key(ec.SECP256R1()).private_bytes(
                Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
            ),
            id="elliptic curve",
        ),
        pytest.param(b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----", id="bad PEM"),
        pytest.param(_encoded(RSA, Encoding.PEM)[:200], id="PEM cut off"),
        pytest.param(b"-----BEGIN", id="the start of a PEM"),
    ],
)
def test_what_is_no_key_is_refused_and_not_quoted(material: bytes) -> None:
    with pytest.raises(InvalidInputError) as caught:
        read_material(material)
    assert str(caught.value).startswith("what can be imported is an AES key of 16, 24 or 32 bytes")
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(("bits", "exponent"), [(1024, 65537), (2056, 65537), (2048, 3)])
def test_an_rsa_key_of_another_size_or_a_small_exponent_is_refused(
    bits: int, exponent: int
) -> None:
    key = rsa.generate_private_key(exponent, bits)
    with pytest.raises(InvalidInputError, match="2048, 3072 or 4096 bits"):
        read_material(_encoded(key))


@given(st.binary(max_size=300).filter(lambda data: len(data) not in (16, 24, 32)))
def test_any_other_bytes_are_invalid_input(data: bytes) -> None:
    for material in (data, b"-----BEGIN " + data):
        with pytest.raises(InvalidInputError):
            read_material(material.ljust(33, b"\0"))


@given(st.integers(0, 1215), st.integers(1, 255))
def test_a_changed_byte_gives_a_key_or_invalid_input(place: int, change: int) -> None:
    material = bytearray(_encoded(RSA))
    material[place % len(material)] ^= change
    try:
        spec, _ = read_material(material)
    except InvalidInputError:
        return
    assert spec == "RSA-2048"
