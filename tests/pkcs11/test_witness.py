"""pkcs11-tool on the same token: it opens what keyhier wrapped, and sees what keyhier says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pkcs11.constants import Attribute

from keyhier import rsa_wrap
from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey
from keyhier.secret import SecretBytes
from tests.pkcs11.pkcs11_tool import pkcs11_tool

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver

pytestmark = pytest.mark.requires_tool("pkcs11-tool")


def test_pkcs11_tool_decrypts_what_was_wrapped_with_the_public_half(
    driver: Pkcs11Driver, softhsm_token: SoftHsmToken, tmp_path: Path
) -> None:
    key = driver.create_key(CreateKey("kek", KeySpec.RSA_2048))
    assert key.public_key is not None
    wrapped, opened = tmp_path / "wrapped", tmp_path / "opened"
    wrapped.write_bytes(
        rsa_wrap.wrap(key.public_key, WrapAlgorithm.RSA_OAEP, SecretBytes(b"the secret"))
    )
    pkcs11_tool(
        softhsm_token,
        *("--decrypt", "-m", "RSA-PKCS-OAEP", "--hash-algorithm", "SHA-1", "--mgf", "MGF1-SHA1"),
        *("--id", key.id.version, "-i", str(wrapped), "-o", str(opened)),
    )
    assert opened.read_bytes() == b"the secret"


def test_pkcs11_tool_unwraps_what_was_wrapped_on_the_token(
    driver: Pkcs11Driver, softhsm_token: SoftHsmToken, tmp_path: Path
) -> None:
    key = driver.create_key(CreateKey("kek", KeySpec.AES_256, WrapAlgorithm.A256KW))
    wrapped = tmp_path / "wrapped"
    secret = SecretBytes.random(32)
    wrapped.write_bytes(driver.wrap(key, WrapAlgorithm.A256KW, secret))
    pkcs11_tool(
        softhsm_token,
        *("--unwrap", "-m", "AES-KEY-WRAP", "--id", key.id.version, "-i", str(wrapped)),
        *("--key-type", "AES:", "--application-id", "77", "--application-label", "out"),
        "--extractable",
    )
    (found,) = driver._objects.find(label="out")
    assert found.id == b"\x77"
    with driver._shared.session() as session:
        (out,) = list(session.get_objects({Attribute.LABEL: "out"}))
        assert secret == out[Attribute.VALUE]


def test_pkcs11_tool_shows_keys_sensitive_and_never_extractable_and_their_versions(
    driver: Pkcs11Driver, softhsm_token: SoftHsmToken
) -> None:
    keys = [
        driver.create_key(CreateKey("aes", KeySpec.AES_256, WrapAlgorithm.A256KW)),
        driver.rotate_key("aes"),
        driver.create_key(CreateKey("rsa", KeySpec.RSA_2048)),
    ]
    shown = pkcs11_tool(softhsm_token, "--list-objects")
    objects = re.split(r"(?m)^(?=\S)", shown)[1:]
    assert len(objects) == len(keys)
    for key in keys:
        (one,) = [each for each in objects if key.id.version in each]
        assert re.search(rf"label: +{key.id.name}$", one, re.MULTILINE)
        assert "Access:     sensitive, always sensitive, never extractable, local" in one
        usage = "decrypt, unwrap" if key.id.name == "rsa" else "wrap, unwrap"
        assert f"Usage:      {usage}\n" in one
