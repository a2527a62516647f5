"""A Managed HSM: AES keys, random bytes, no secrets."""

from __future__ import annotations

import hashlib

import pytest
from azure.core.exceptions import HttpResponseError
from azure.keyvault.keys import KeyClient
from azure.keyvault.keys.crypto import EncryptionAlgorithm, KeyWrapAlgorithm, SignatureAlgorithm

from keyhier import base64url
from keyhier.testing.keyvault import KeyVault
from tests.testing.keyvault.conftest import Sdk
from tests.testing.keyvault.jwks import members, rsa_jwk
from tests.testing.keyvault.raw_client import RawClient

SECRET = bytes(range(32))


def test_the_challenge_has_no_body(hsm: RawClient) -> None:
    hsm.token = None
    reply = hsm.get("/keys")
    assert (reply.status, reply.document, reply.headers["Content-Length"]) == (401, None, "0")
    assert reply.headers["WWW-Authenticate"].startswith("Bearer authorization=")
    assert reply.headers["x-ms-keyvault-region"] == "westeurope"


def test_it_has_no_secrets_and_a_vault_has_no_random_bytes(hsm: RawClient, raw: RawClient) -> None:
    assert hsm.put("/secrets/bek", {"value": "x"}).status == 404
    assert hsm.get("/secrets").status == 404
    assert raw.post("/rng", {"count": 32}).status == 404


@pytest.mark.parametrize("bits", [128, 192, 256])
def test_an_aes_key_is_made_and_never_shown(hsm_keys: KeyClient, hsm: RawClient, bits: int) -> None:
    key = hsm_keys.create_oct_key("kek", size=bits, hardware_protected=True)
    assert key.key_type == "oct-HSM"
    assert members(key).k is None
    assert set(hsm.get("/keys/kek").document["key"]) == {"kid", "kty", "key_ops"}


@pytest.mark.parametrize(
    ("bits", "algorithm"),
    [
        (128, KeyWrapAlgorithm.aes_128),
        (192, KeyWrapAlgorithm.aes_192),
        (256, KeyWrapAlgorithm.aes_256),
        (256, KeyWrapAlgorithm.ckm_aes_key_wrap),
        (128, KeyWrapAlgorithm.ckm_aes_key_wrap_pad),
    ],
)
def test_an_aes_key_wraps_and_unwraps(
    managed_hsm: KeyVault,
    hsm_keys: KeyClient,
    remote: Sdk,
    bits: int,
    algorithm: KeyWrapAlgorithm,
) -> None:
    key = hsm_keys.create_oct_key("kek", size=bits, hardware_protected=True)
    service = remote(managed_hsm, key.id)
    wrapped = service.wrap_key(algorithm, SECRET).encrypted_key
    assert service.unwrap_key(algorithm, wrapped).key == SECRET
    assert managed_hsm.requests.count("wrap_key", 200) == 1
    with pytest.raises(HttpResponseError, match="BadParameter"):
        service.unwrap_key(algorithm, wrapped[::-1])


def test_only_the_padded_wrap_takes_any_length(hsm: RawClient) -> None:
    hsm.create("kek", "oct-HSM")
    odd = base64url.encode(b"x" * 13)
    assert hsm.post("/keys/kek/wrapkey", {"alg": "A256KW", "value": odd}).status == 400
    sent = {"alg": "CKM_AES_KEY_WRAP_PAD", "value": odd}
    wrapped = hsm.post("/keys/kek/wrapkey", sent).document["value"]
    assert hsm.post("/keys/kek/unwrapkey", sent | {"value": wrapped}).value == b"x" * 13


def test_the_sdk_wraps_locally_with_a_key_that_is_not_the_vaults(
    managed_hsm: KeyVault, hsm_keys: KeyClient, remote: Sdk
) -> None:
    key = hsm_keys.create_oct_key("kek", size=256, hardware_protected=True)
    with hsm_keys.get_cryptography_client("kek") as client:
        wrapped = client.wrap_key(KeyWrapAlgorithm.aes_256, SECRET).encrypted_key
    assert managed_hsm.requests.count("wrap_key") == 0
    with pytest.raises(HttpResponseError, match="BadParameter"):
        remote(managed_hsm, key.id).unwrap_key(KeyWrapAlgorithm.aes_256, wrapped)


@pytest.mark.parametrize("mode", ["GCM", "CBC", "CBCPAD"])
@pytest.mark.parametrize("bits", [128, 192, 256])
def test_an_aes_key_encrypts_and_decrypts(
    managed_hsm: KeyVault, hsm_keys: KeyClient, remote: Sdk, bits: int, mode: str
) -> None:
    algorithm = EncryptionAlgorithm(f"A{bits}{mode}")
    key = hsm_keys.create_oct_key("kek", size=bits, hardware_protected=True)
    service = remote(managed_hsm, key.id)
    more = {"additional_authenticated_data": b"aad"} if mode == "GCM" else {"iv": bytes(16)}
    sealed = service.encrypt(algorithm, SECRET, **more)
    assert sealed.iv is not None
    back = {"iv": sealed.iv}
    if mode == "GCM":
        assert sealed.tag is not None
        back |= {"authentication_tag": sealed.tag, "additional_authenticated_data": b"aad"}
    assert service.decrypt(algorithm, sealed.ciphertext, **back).plaintext == SECRET
    with pytest.raises(HttpResponseError, match="BadParameter"):
        service.decrypt(algorithm, sealed.ciphertext[:-1], **back)


def test_an_authentication_tag_that_is_wrong_is_refused(hsm: RawClient) -> None:
    hsm.create("kek", "oct-HSM")
    sent = {"alg": "A256GCM", "value": "AAAA", "aad": "AAAA"}
    sealed = hsm.post("/keys/kek/encrypt", sent).document
    assert set(sealed) == {"kid", "value", "iv", "tag", "aad"}
    del sealed["kid"]
    good = sealed | {"alg": "A256GCM"}
    assert hsm.post("/keys/kek/decrypt", good).status == 200
    for name in ("tag", "iv", "aad"):
        for value in ("AAAA" * 4, ""):
            assert hsm.post("/keys/kek/decrypt", good | {name: value}).code == "BadParameter"


def test_cbc_takes_whole_blocks_and_an_iv_of_one(hsm: RawClient) -> None:
    hsm.create("kek", "oct-HSM", key_size=128)
    block = base64url.encode(bytes(16))
    sent = {"alg": "A128CBC", "value": block, "iv": block}
    assert hsm.post("/keys/kek/encrypt", sent).status == 200
    assert hsm.post("/keys/kek/encrypt", sent | {"value": "AAAA"}).status == 400
    assert hsm.post("/keys/kek/encrypt", sent | {"iv": "AAAA"}).status == 400


def test_an_aes_key_that_may_makes_a_mac(
    managed_hsm: KeyVault, hsm: RawClient, remote: Sdk
) -> None:
    kid = hsm.create("signer", "oct-HSM", key_ops=["sign", "verify"])["key"]["kid"]
    service = remote(managed_hsm, kid)
    digest = hashlib.sha256(b"message").digest()
    mac = service.sign(SignatureAlgorithm.hs256, digest).signature
    assert service.verify(SignatureAlgorithm.hs256, digest, mac).is_valid
    assert not service.verify(SignatureAlgorithm.hs256, digest, mac[::-1]).is_valid


@pytest.mark.parametrize(
    "wrong",
    [
        {"kty": "RSA"},
        {"kty": "EC"},
        {"kty": "oct"},
        {"kty": "oct-HSM", "key_size": 512},
    ],
)
def test_it_makes_keys_of_its_types_only(hsm: RawClient, wrong: object) -> None:
    assert hsm.post("/keys/kek/create", wrong).code == "BadParameter"


def test_the_key_must_fit_the_algorithm(hsm: RawClient) -> None:
    hsm.create("kek", "oct-HSM", key_size=128)
    for algorithm in ("A256KW", "RSA-OAEP", "A256GCM", "A128GCMX"):
        for verb in ("wrapkey", "unwrapkey", "encrypt", "decrypt"):
            sent = {"alg": algorithm, "value": base64url.encode(bytes(24))}
            assert hsm.post(f"/keys/kek/{verb}", sent).status == 400


def test_keys_are_imported_as_hsm_keys(hsm: RawClient) -> None:
    shown = hsm.put("/keys/rsa", {"key": rsa_jwk(), "Hsm": True}).document["key"]
    assert shown["kty"] == "RSA-HSM"
    key = {"kty": "oct-HSM", "k": base64url.encode(SECRET)}
    assert hsm.put("/keys/kek", {"key": key}).document["key"]["kty"] == "oct-HSM"
    wrong = key | {"k": base64url.encode(bytes(20))}
    assert hsm.put("/keys/kek", {"key": wrong}).status == 400


def test_an_aes_key_is_backed_up_and_restored(managed_hsm: KeyVault, hsm: RawClient) -> None:
    hsm.create("kek", "oct-HSM")
    sent = {"alg": "A256KW", "value": base64url.encode(SECRET)}
    wrapped = hsm.post("/keys/kek/wrapkey", sent).document["value"]
    blob = hsm.post("/keys/kek/backup").document
    with KeyVault(managed_hsm=True) as other, RawClient(other) as client:
        assert client.post("/keys/restore", blob).status == 200
        assert client.post("/keys/kek/unwrapkey", sent | {"value": wrapped}).value == SECRET
    with KeyVault() as vault, RawClient(vault) as client:
        assert client.post("/keys/restore", blob).code == "BadParameter"


def test_random_bytes(hsm_keys: KeyClient, hsm: RawClient) -> None:
    assert len(hsm_keys.get_random_bytes(128)) == 128
    assert hsm_keys.get_random_bytes(32) != hsm_keys.get_random_bytes(32)
    for count in (0, 129, "8", True, None):
        assert hsm.post("/rng", {"count": count}).code == "BadParameter"
