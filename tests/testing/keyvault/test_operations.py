"""What keys do, tried with the clients of Azure and against the `cryptography` package."""

from __future__ import annotations

import hashlib

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys import KeyClient, KeyCurveName
from azure.keyvault.keys.crypto import EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm

from keyhier import base64url
from keyhier.testing.keyvault import KeyVault
from tests.testing.keyvault.conftest import Sdk
from tests.testing.keyvault.raw_client import RawClient

RSA_WRAPS = [KeyWrapAlgorithm.rsa_oaep, KeyWrapAlgorithm.rsa_oaep_256, KeyWrapAlgorithm.rsa1_5]
SECRET = bytes(range(32))


def _digest(algorithm: str) -> bytes:
    return hashlib.new(f"sha{algorithm[2:5]}", b"message").digest()


@pytest.mark.parametrize("algorithm", RSA_WRAPS)
def test_rsa_wraps_and_unwraps(
    keyvault: KeyVault, keys: KeyClient, remote: Sdk, algorithm: KeyWrapAlgorithm
) -> None:
    key = keys.create_rsa_key("kek")
    service = remote(keyvault, key.id)
    wrapped = service.wrap_key(algorithm, SECRET)
    assert wrapped.key_id == key.id
    assert service.unwrap_key(algorithm, wrapped.encrypted_key).key == SECRET
    assert keyvault.requests.count("wrap_key", 200) == 1


@pytest.mark.parametrize("algorithm", RSA_WRAPS)
def test_what_the_client_wraps_locally_the_service_unwraps(
    keyvault: KeyVault, keys: KeyClient, algorithm: KeyWrapAlgorithm
) -> None:
    keys.create_rsa_key("kek")
    with keys.get_cryptography_client("kek") as client:
        wrapped = client.wrap_key(algorithm, SECRET).encrypted_key
        assert keyvault.requests.count("wrap_key") == 0
        assert client.unwrap_key(algorithm, wrapped).key == SECRET


@pytest.mark.parametrize(
    "algorithm",
    [EncryptionAlgorithm.rsa_oaep, EncryptionAlgorithm.rsa_oaep_256, EncryptionAlgorithm.rsa1_5],
)
def test_rsa_encrypts_and_decrypts(
    keyvault: KeyVault, keys: KeyClient, remote: Sdk, algorithm: EncryptionAlgorithm
) -> None:
    service = remote(keyvault, keys.create_rsa_key("kek").id)
    sealed = service.encrypt(algorithm, SECRET).ciphertext
    assert service.decrypt(algorithm, sealed).plaintext == SECRET


@pytest.mark.parametrize(
    "algorithm", [a for a in SignatureAlgorithm if a.value[:2] in {"RS", "PS"}]
)
def test_rsa_signs_what_the_client_verifies(
    keyvault: KeyVault, keys: KeyClient, remote: Sdk, algorithm: SignatureAlgorithm
) -> None:
    service = remote(keyvault, keys.create_rsa_key("signer").id)
    digest = _digest(algorithm)
    signature = service.sign(algorithm, digest).signature
    assert service.verify(algorithm, digest, signature).is_valid
    assert not service.verify(algorithm, _digest(algorithm)[::-1], signature).is_valid
    with keys.get_cryptography_client("signer") as client:
        assert client.verify(algorithm, digest, signature).is_valid


@pytest.mark.parametrize(
    ("curve", "algorithm"),
    [
        (KeyCurveName.p_256, SignatureAlgorithm.es256),
        (KeyCurveName.p_384, SignatureAlgorithm.es384),
        (KeyCurveName.p_521, SignatureAlgorithm.es512),
        (KeyCurveName.p_256_k, SignatureAlgorithm.es256_k),
    ],
)
def test_ec_signs_what_the_client_verifies(
    keyvault: KeyVault,
    keys: KeyClient,
    remote: Sdk,
    curve: KeyCurveName,
    algorithm: SignatureAlgorithm,
) -> None:
    service = remote(keyvault, keys.create_ec_key("signer", curve=curve).id)
    digest = _digest(algorithm)
    signature = service.sign(algorithm, digest).signature
    assert service.verify(algorithm, digest, signature).is_valid
    assert not service.verify(algorithm, digest, signature[::-1]).is_valid
    with keys.get_cryptography_client("signer") as client:
        assert client.verify(algorithm, digest, signature).is_valid


def test_an_operation_without_a_version_uses_the_newest_and_says_which(raw: RawClient) -> None:
    raw.import_rsa("kek")
    newest = raw.import_rsa("kek")["key"]["kid"]
    value = base64url.encode(SECRET)
    # Clients write the verb in several ways.
    for verb in ("wrapkey", "wrapKey"):
        wrapped = raw.post(f"/keys/kek/{verb}", {"alg": "RSA-OAEP", "value": value})
        assert wrapped.document["kid"] == newest
        sent = {"alg": "RSA-OAEP", "value": wrapped.document["value"]}
        assert raw.post("/keys/kek/unwrapkey", sent).value == SECRET


def test_an_older_version_opens_what_it_has_wrapped_and_the_newest_does_not(raw: RawClient) -> None:
    first = raw.create("kek", "RSA")["key"]["kid"].removeprefix(raw.vault.url)
    sent = {"alg": "RSA-OAEP-256", "value": base64url.encode(SECRET)}
    wrapped = raw.post(f"{first}/wrapkey", sent).document["value"]
    raw.create("kek", "RSA")
    sent = {"alg": "RSA-OAEP-256", "value": wrapped}
    assert raw.post(f"{first}/unwrapkey", sent).value == SECRET
    assert raw.post("/keys/kek/unwrapkey", sent).code == "BadParameter"


def test_answers_are_base64url_without_padding(raw: RawClient) -> None:
    raw.import_rsa("kek")
    wrapped = raw.post("/keys/kek/wrapkey", {"alg": "RSA-OAEP", "value": "AA"}).document["value"]
    assert not set(wrapped) & set("=+/")
    assert raw.post("/keys/kek/unwrapkey", {"alg": "RSA-OAEP", "value": wrapped}).document[
        "value"
    ] == ("AA")


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"alg": "RSA-OAEP"},
        {"value": "AAAA"},
        {"alg": 1, "value": "AAAA"},
        {"alg": "RSA-OAEP", "value": "*"},
        {"alg": "RSA-OAEP", "value": 5},
        {"alg": "A256KW", "value": "A" * 43},
        {"alg": "A256GCM", "value": "AAAA"},
        {"alg": "ES256", "value": "A" * 43},
        {"alg": "RS256K", "value": "A" * 43},
        {"alg": "RS256", "value": "AAAA"},
        {"alg": "none", "value": "AAAA"},
    ],
)
def test_a_request_that_does_not_fit_the_key_is_refused(raw: RawClient, wrong: object) -> None:
    raw.import_rsa("kek")
    for operation in ("encrypt", "decrypt", "wrapkey", "unwrapkey", "sign", "verify"):
        reply = raw.post(f"/keys/kek/{operation}", wrong)
        assert (reply.status, reply.code) == (400, "BadParameter")


@pytest.mark.parametrize("algorithm", ["RSA-OAEP", "RSA-OAEP-256", "A256KW"])
@pytest.mark.parametrize("operation", ["encrypt", "decrypt", "wrapkey", "unwrapkey"])
def test_an_ec_key_only_signs_and_verifies(raw: RawClient, algorithm: str, operation: str) -> None:
    raw.create("signer", "EC")
    reply = raw.post(f"/keys/signer/{operation}", {"alg": algorithm, "value": "AAAA"})
    assert reply.inner == "KeyOperationForbidden"


def test_too_much_for_the_key_is_refused(raw: RawClient) -> None:
    raw.import_rsa("kek")
    most = base64url.encode(bytes(214))
    assert raw.post("/keys/kek/wrapkey", {"alg": "RSA-OAEP", "value": most}).status == 200
    more = base64url.encode(bytes(215))
    assert raw.post("/keys/kek/wrapkey", {"alg": "RSA-OAEP", "value": more}).status == 400


def test_an_operation_outside_key_ops_is_forbidden(
    keyvault: KeyVault, keys: KeyClient, remote: Sdk
) -> None:
    key = keys.create_rsa_key("kek", key_operations=["wrapKey", "unwrapKey"])
    service = remote(keyvault, key.id)
    with pytest.raises(HttpResponseError) as error:
        service.decrypt(EncryptionAlgorithm.rsa_oaep, bytes(256))
    assert error.value.status_code == 403
    assert error.value.error is not None
    assert "Operation decrypt is not permitted on this key." in str(error.value)
