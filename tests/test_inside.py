"""Envelopes in a vault that lets no content key out."""

from __future__ import annotations

from typing import cast

import attrs
import pytest

from keyhier import Vault, WrappedKey
from keyhier.algorithms import WrapAlgorithm
from keyhier.driver import KeyVersion, SupportsUnwrapInto
from keyhier.errors import UnsupportedError, UnwrapError
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from tests.odd_vault import OddDriver

KW = WrapAlgorithm.A256KW


class ShyDriver(OddDriver):
    """Shows nothing that was wrapped with an AES key wrap."""

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        if algorithm is KW and self.shy:
            raise UnsupportedError("it shows no key")
        return super().unwrap(key, algorithm, wrapped, aad)

    shy = False


class FipsDriver(ShyDriver):
    """Such a vault that opens seals inside.

    Attributes:
        held: how many content keys it has.
    """

    held = 0

    def unwrap_into(
        self,
        key: KeyVersion,
        algorithm: WrapAlgorithm,
        wrapped: bytes,
        purpose: WrapAlgorithm,
        key_id: KeyId,
    ) -> KeyVersion:
        inner = cast("SupportsUnwrapInto", self.inner)
        made = inner.unwrap_into(key, algorithm, wrapped, purpose, key_id)
        self.held += 1
        return made

    def discard(self, key: KeyVersion) -> None:
        self.held -= 1
        cast("SupportsUnwrapInto", self.inner).discard(key)


def envelope_of(driver: ShyDriver) -> tuple[Vault, WrappedKey]:
    vault = Vault(driver, uri="memory:")
    envelope = vault.create_key("kek", "AES-256").wrap(b"secret", context={"vm": "web"})
    driver.shy = True
    return vault, envelope


def test_the_vault_opens_the_seal_itself_and_keeps_no_content_key() -> None:
    driver = FipsDriver()
    vault, envelope = envelope_of(driver)
    with vault.unwrap(envelope, context={"vm": "web"}) as secret:
        assert secret == b"secret"
    assert driver.held == 0


@pytest.mark.parametrize("talkative", [False, True])
@pytest.mark.parametrize("part", ["encrypted_key", "ciphertext", "tag"])
def test_promise_3_what_does_not_open_inside_tells_nothing(part: str, *, talkative: bool) -> None:
    driver = FipsDriver(talkative=talkative)
    vault, envelope = envelope_of(driver)
    before = getattr(envelope, part)
    changed = attrs.evolve(envelope, **{part: bytes([before[0] ^ 1]) + before[1:]})
    with pytest.raises(UnwrapError) as caught:
        vault.unwrap(changed, context={"vm": "web"})
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert str(caught.value) == str(UnwrapError())
    assert driver.held == 0


def test_a_vault_that_cannot_do_so_either_says_why_it_refused() -> None:
    vault, envelope = envelope_of(ShyDriver())
    with pytest.raises(UnsupportedError, match="it shows no key"):
        vault.unwrap(envelope, context={"vm": "web"})
