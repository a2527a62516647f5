"""Wrapping with the public half, opened by the library that nobody here wrote."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.keywrap import aes_key_unwrap_with_padding
from hypothesis import given
from hypothesis import strategies as st

from keyhier.algorithms import WrapAlgorithm
from keyhier.errors import UnwrapError
from keyhier.rsa_wrap import close_transport, implicit_rejection, open_transport, thumbprint, wrap
from keyhier.secret import SecretBytes
from tests.jwe import decode
from tests.keys import private_key

OAEP_SHA1 = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)
OAEP_SHA256 = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)


@pytest.mark.parametrize(
    ("algorithm", "scheme"),
    [
        # RFC 7518, section 4.3, and RFC 8017, section 7.2.
        (WrapAlgorithm.RSA_OAEP, OAEP_SHA1),
        (WrapAlgorithm.RSA_OAEP_256, OAEP_SHA256),
        (WrapAlgorithm.RSA1_5, padding.PKCS1v15()),
    ],
)
def test_each_algorithm_is_the_padding_of_its_standard(
    algorithm: WrapAlgorithm, scheme: padding.AsymmetricPadding
) -> None:
    key = private_key(1)
    with SecretBytes(b"secret") as secret:
        wrapped = wrap(key.public_key(), algorithm, secret)
    assert key.decrypt(wrapped, scheme) == b"secret"


@given(st.binary(min_size=1, max_size=100))
def test_a_transport_is_an_aes_key_under_oaep_and_the_secret_under_it(data: bytes) -> None:
    key = private_key(1)
    with SecretBytes(data) as secret:
        wrapped = close_transport(key.public_key(), secret)
    # PKCS#11 v3.1, section 6.1.23: the two parts one after the other.
    transport = key.decrypt(wrapped[:256], OAEP_SHA1)
    assert len(transport) == 32
    assert aes_key_unwrap_with_padding(transport, wrapped[256:]) == data
    with open_transport(SecretBytes(transport), wrapped[256:]) as opened:
        assert opened == data


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_promise_3_a_transport_of_any_bytes_fails_opaquely(key: bytes, wrapped: bytes) -> None:
    with pytest.raises(UnwrapError) as caught:
        open_transport(SecretBytes(key), wrapped)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@given(st.binary(max_size=600))
def test_an_implicit_rejection_is_stable_and_of_a_length_that_fits(wrapped: bytes) -> None:
    public_key = private_key(1).public_key()
    with implicit_rejection(public_key, wrapped) as rejection:
        assert 1 <= len(rejection) <= public_key.key_size // 8 - 11
        assert rejection == implicit_rejection(public_key, wrapped).reveal()


def test_implicit_rejections_differ_by_key_and_by_input() -> None:
    keys = [private_key(number).public_key() for number in (1, 2)]
    inputs = [bytes([number]) * 256 for number in range(200)]
    drawn = [implicit_rejection(key, wrapped).reveal() for key in keys for wrapped in inputs]
    assert len({*drawn}) > 390  # The shortest are one byte long, and some may be alike.
    assert len({len(each) for each in drawn}) > 100


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    # The key and the thumbprint of RFC 7638, section 3.1.
    modulus = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc"
        "_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQ"
        "R0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bF"
        "TWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    numbers = rsa.RSAPublicNumbers(65537, int.from_bytes(decode(modulus), "big"))
    assert thumbprint(numbers.public_key()) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
