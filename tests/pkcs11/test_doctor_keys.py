"""Tokens examined: the keys on them, and what is wrong with those."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from pkcs11.constants import ObjectClass
from pkcs11.mechanisms import KeyType

import keyhier
from keyhier.doctor import Finding, Severity
from keyhier.driver import Driver
from keyhier_pkcs11.doctor.inventory import examine_inventory
from keyhier_pkcs11.driver import Pkcs11Driver
from keyhier_pkcs11.versions import VersionId
from tests.pkcs11.findings import found, only
from tests.pkcs11.foreign_objects import put, put_aes, put_public

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken


def inventory(driver: Driver) -> list[Finding]:
    """Return what is found among the keys."""
    assert isinstance(driver, Pkcs11Driver)
    return list(examine_inventory(driver._shared))


def test_two_keys_of_one_label_are_named(driver: Pkcs11Driver, softhsm_token: SoftHsmToken) -> None:
    put_aes(driver, "twin", b"\x01")
    put_aes(driver, "twin", b"\x02")
    clash = only(inventory(driver), "keys.label")
    assert clash.severity is Severity.WARNING
    assert "'twin' id 01" in clash.found
    assert "'twin' id 02" in clash.found


def test_one_cka_id_on_two_keys_is_an_error(driver: Pkcs11Driver) -> None:
    put_aes(driver, "one", b"\xab\xcd")
    put_aes(driver, "other", b"\xab\xcd")
    clash = only(inventory(driver), "keys.id")
    assert clash.severity is Severity.ERROR
    assert "abcd" in clash.found
    assert "'one'" in clash.found
    assert "'other'" in clash.found


def test_a_planted_public_key_is_an_error(
    softhsm_token: SoftHsmToken, rsa_key: rsa.RSAPrivateKey
) -> None:
    with keyhier.open(softhsm_token.uri) as vault:
        key = vault.create_key("victim", "RSA-2048")
        put_public(
            vault._opened.driver, "planted", bytes.fromhex(key.version), rsa_key.public_key()
        )
        planted = only(inventory(vault._opened.driver), "keys.public")
    assert planted.severity is Severity.ERROR
    assert "planted" in planted.found
    assert planted.remedy


def test_keys_that_can_be_read_taken_out_or_misused_are_told(driver: Pkcs11Driver) -> None:
    put_aes(driver, "readable", b"\x01", sensitive=False, extractable=True)
    put_aes(driver, "extractable", b"\x02", extractable=True)
    put_aes(driver, "everything", b"\x03", encrypt=True, decrypt=True)
    put_aes(driver, "nameless", b"")
    findings = inventory(driver)
    assert "'readable'" in only(findings, "keys.sensitive").found
    assert only(findings, "keys.sensitive").severity is Severity.WARNING
    extractable = only(findings, "keys.extractable")
    assert "'extractable'" in extractable.found
    assert "'readable'" not in extractable.found
    misused, nameless = sorted(each.found for each in found(findings, "keys.purpose"))
    assert "'everything'" in misused
    assert "'nameless'" in nameless


def test_what_nobody_needs_is_told_and_stays(
    driver: Pkcs11Driver, rsa_key: rsa.RSAPrivateKey
) -> None:
    put_public(driver, "orphan", b"\x01", rsa_key.public_key())
    put_aes(driver, "keyhier-doctor-0123", b"\x02")
    for _ in range(2):
        left = {each.severity: each.found for each in found(inventory(driver), "left-over")}
        assert "'orphan'" in left[Severity.NOTE]
        assert "'keyhier-doctor-0123'" in left[Severity.WARNING]


def test_a_key_from_the_future_is_told(driver: Pkcs11Driver) -> None:
    now = VersionId.new(None)
    ahead = VersionId.new(None, after=VersionId(now.value, now.milliseconds + 86_400_000, None))
    key = rsa.generate_private_key(65537, 2048)
    numbers = key.private_numbers()
    private = numbers.d, numbers.p, numbers.q, numbers.dmp1, numbers.dmq1, numbers.iqmp
    names = ("private_exponent", "prime_1", "prime_2", "exponent_1", "exponent_2", "coefficient")
    parts = {n: p.to_bytes((p.bit_length() + 7) // 8) for n, p in zip(names, private, strict=True)}
    put(
        driver,
        ObjectClass.PRIVATE_KEY,
        key_type=KeyType.RSA,
        label="tomorrow",
        id=ahead.value,
        modulus=numbers.public_numbers.n.to_bytes(256),
        public_exponent=b"\x01\x00\x01",
        decrypt=True,
        unwrap=True,
        **parts,
    )
    created = only(inventory(driver), "keys.created")
    assert created.severity is Severity.WARNING
    assert "'tomorrow'" in created.found
