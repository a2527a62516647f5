"""Promise 1: envelopes open with two independent JOSE libraries, and theirs open with keyhier."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import pytest
from joserfc import jwe as joserfc_jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, RSAKey
from jwcrypto import jwe as jwcrypto_jwe  # type: ignore[import-untyped]  # It has no types.
from jwcrypto import jwk as jwcrypto_jwk
from jwcrypto.common import JWException  # type: ignore[import-untyped]  # The same.

import keyhier
from keyhier import Vault
from keyhier.errors import UnwrapError
from tests.keys import ENVELOPE_KEYS, key_for, material

SECRET: Final = b"what opens the disk"
CONTEXT: Final = {"vm": "web-01", "volume": "C: café ☃"}

Header = Mapping[str, Any]
Open = Callable[[str, str], bytes]
Seal = Callable[[str, Header, bytes], str]


def _joserfc_key(algorithm: str) -> OctKey | RSAKey:
    spec = ENVELOPE_KEYS[algorithm]
    kind = RSAKey if spec.startswith("RSA") else OctKey
    return kind.import_key(material(spec))


def _joserfc_registry(algorithm: str) -> joserfc_jwe.JWERegistry:
    # RSA-OAEP is not among the algorithms that it takes unasked, and `ctx` not among the members.
    return joserfc_jwe.JWERegistry(algorithms=[algorithm, "A256GCM"], strict_check_header=False)


def open_with_joserfc(text: str, algorithm: str) -> bytes:
    opened = joserfc_jwe.decrypt_compact(
        text, _joserfc_key(algorithm), registry=_joserfc_registry(algorithm)
    )
    assert opened.plaintext is not None
    return opened.plaintext


def seal_with_joserfc(algorithm: str, header: Header, secret: bytes) -> str:
    return joserfc_jwe.encrypt_compact(
        dict(header), secret, _joserfc_key(algorithm), registry=_joserfc_registry(algorithm)
    )


def _jwcrypto_key(algorithm: str) -> jwcrypto_jwk.JWK:
    return jwcrypto_jwk.JWK(**_joserfc_key(algorithm).as_dict(private=True))


def open_with_jwcrypto(text: str, algorithm: str) -> bytes:
    opened = jwcrypto_jwe.JWE(algs=[algorithm, "A256GCM"])
    opened.deserialize(text, key=_jwcrypto_key(algorithm))
    assert isinstance(opened.payload, bytes)
    return opened.payload


def seal_with_jwcrypto(algorithm: str, header: Header, secret: bytes) -> str:
    token = jwcrypto_jwe.JWE(secret, json.dumps(header), algs=[algorithm, "A256GCM"])
    token.add_recipient(_jwcrypto_key(algorithm))
    text = token.serialize(compact=True)
    assert isinstance(text, str)
    return text


every_algorithm = pytest.mark.parametrize("algorithm", ENVELOPE_KEYS)
every_opener = pytest.mark.parametrize(
    "opens",
    [
        pytest.param(open_with_joserfc, id="joserfc"),
        pytest.param(open_with_jwcrypto, id="jwcrypto"),
    ],
)
every_sealer = pytest.mark.parametrize(
    "seals",
    [
        pytest.param(seal_with_joserfc, id="joserfc"),
        pytest.param(seal_with_jwcrypto, id="jwcrypto"),
    ],
)


@every_algorithm
@every_opener
@pytest.mark.parametrize("context", [None, CONTEXT], ids=["no context", "context"])
@pytest.mark.parametrize("size", [1, len(SECRET), 48 * 1024])
def test_promise_1_other_libraries_open_what_keyhier_wrapped(
    algorithm: str,
    opens: Open,
    context: dict[str, str] | None,
    size: int,
    memory_vault: Vault,
) -> None:
    secret = (SECRET * 3000)[:size]
    wrapped = key_for(memory_vault, algorithm).wrap(secret, algorithm=algorithm, context=context)
    assert opens(str(wrapped), algorithm) == secret


@every_algorithm
@every_opener
def test_promise_1_other_libraries_open_the_longest_header(
    algorithm: str, opens: Open, memory_vault: Vault
) -> None:
    key = key_for(memory_vault, algorithm)
    wrapped = key.wrap(SECRET, algorithm=algorithm)
    for length in range(300, 700):
        try:
            wrapped = key.wrap(SECRET, algorithm=algorithm, context={"a": "x" * length})
        except keyhier.CapacityError:
            break
    assert len(str(wrapped).partition(".")[0]) in (1020, 1022, 1023)
    assert opens(str(wrapped), algorithm) == SECRET


@every_algorithm
@every_opener
def test_promise_2_other_libraries_notice_a_changed_context(
    algorithm: str, opens: Open, memory_vault: Vault
) -> None:
    key = key_for(memory_vault, algorithm)
    one, other = (
        str(key.wrap(SECRET, algorithm=algorithm, context={"vm": vm})).split(".")
        for vm in ("web-01", "web-02")
    )
    with pytest.raises((JoseError, JWException, ValueError)):
        opens(".".join([one[0], *other[1:]]), algorithm)


@every_algorithm
@every_sealer
@pytest.mark.parametrize(
    "more",
    [{}, {"cty": "octet-stream"}, {"cty": "vnd.acme.key", "ctx": CONTEXT}, {"ctx": CONTEXT}],
    ids=["plain", "cty", "cty and ctx", "ctx"],
)
def test_promise_1_keyhier_opens_what_other_libraries_sealed(
    algorithm: str, seals: Seal, more: dict[str, Any], memory_vault: Vault
) -> None:
    key = key_for(memory_vault, algorithm)
    header = {"alg": algorithm, "enc": "A256GCM", "kid": str(key.id), **more}
    wrapped = keyhier.WrappedKey.parse(seals(algorithm, header, SECRET))
    assert wrapped.content_type == more.get("cty", "")
    assert wrapped.context == more.get("ctx", {})
    for unwrap in (key.unwrap, memory_vault.unwrap):
        with unwrap(wrapped, context=more.get("ctx")) as secret:
            assert secret == SECRET
        with pytest.raises(UnwrapError):
            unwrap(wrapped, context={"vm": "web-02"})


@every_algorithm
@every_sealer
@every_opener
def test_the_two_libraries_agree_with_each_other(algorithm: str, seals: Seal, opens: Open) -> None:
    header = {"alg": algorithm, "enc": "A256GCM", "kid": "memory:kek/1", "ctx": CONTEXT}
    assert opens(seals(algorithm, header, SECRET), algorithm) == SECRET
