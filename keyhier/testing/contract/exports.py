"""Keys that may leave the vault: what comes out is the key, whole, and no other one."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from keyhier.algorithms import KeyType, WrapAlgorithm
from keyhier.errors import UnsupportedError
from keyhier.testing.contract.requirements import RAW, each_algorithm, each_family, needs
from keyhier.testing.contract.under_test import VaultUnderTest
from keyhier.vault import Key

__all__ = ["Exports"]

AES = [known for known in RAW if known.key_type is KeyType.AES]
SECRET = bytes(range(32))


class Exports:
    """Keys that were made extractable, and those that were not."""

    @each_algorithm(AES, "exports", "imports")
    def test_an_aes_key_that_leaves_the_vault_is_the_same_where_it_comes_back(
        self, under_test: VaultUnderTest, algorithm: WrapAlgorithm
    ) -> None:
        spec, purpose = under_test.purpose_of(algorithm)
        vault = under_test.vault
        key = vault.create_key(under_test.new_name(), spec, algorithm=purpose, extractable=True)
        with key.export() as material:
            assert len(material) == spec.size
            again = vault.import_key(under_test.new_name(), material, algorithm=purpose)
        for one, other in ((key, again), (again, key)):
            with other.unwrap_raw(one.wrap_raw(SECRET, algorithm), algorithm) as opened:
                assert opened == SECRET

    @pytest.mark.parametrize("family", [KeyType.RSA])
    @needs("exports")
    def test_an_rsa_key_leaves_the_vault_as_pkcs_8(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = _extractable(under_test, family)
        with key.export() as material:
            private = load_der_private_key(material.view(), None)
        assert isinstance(private, rsa.RSAPrivateKey)
        assert key.public_key is not None
        assert private.public_key().public_numbers() == key.public_key.public_numbers()

    @each_family("exports", "rotates")
    def test_the_next_version_of_a_key_that_may_leave_the_vault_may_as_well(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = _extractable(under_test, family)
        with key.export() as before, key.rotate().export() as after:
            assert before != after

    @each_family()
    def test_a_key_that_was_not_made_extractable_does_not_leave_the_vault(
        self, under_test: VaultUnderTest, family: KeyType
    ) -> None:
        key = under_test.fresh_key_of(family)
        for each in (key, *([key.rotate()] if under_test.capabilities.rotates else [])):
            with pytest.raises(UnsupportedError):
                each.export()


def _extractable(under_test: VaultUnderTest, family: KeyType) -> Key:
    spec, purpose = under_test.purpose_of(under_test.algorithm_of(family))
    name = under_test.new_name()
    return under_test.vault.create_key(name, spec, algorithm=purpose, extractable=True)
