"""Volume keys into records and out of them; the offline recovery key; the restore drill."""

from __future__ import annotations

import attrs
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from joserfc import jwe
from joserfc.jwk import RSAKey

from keyhier import (
    AlreadyExistsError,
    AmbiguousError,
    BitLockerKey,
    Hierarchy,
    IntegrityError,
    InvalidInputError,
    NotFoundError,
    UnwrapError,
    Vault,
)
from keyhier.hierarchy.context import context_of
from keyhier.hierarchy.policy import Policy
from keyhier.hierarchy.recovery_key import RecoveryKey, open_recovery
from keyhier.hierarchy.volume import Volume
from keyhier.records import Query, RecordState
from keyhier.records.sql.store import SqlRecords
from keyhier.secret import SecretBytes
from tests.hierarchy.conftest import DB, SECRET, WEB


def test_what_a_volume_key_is_stands_in_its_envelope(hierarchy: Hierarchy) -> None:
    with BitLockerKey.generate() as bek:
        volume = Volume("web-01", "C:", labels={"os": "windows"})
        record = hierarchy.protect(volume, bek, under="aes")
        assert record.wrapped.content_type == BitLockerKey.content_type
        assert dict(record.wrapped.context) == {"record": record.id, "vm": "web-01", "volume": "C:"}
        assert record.labels == {"os": "windows"}
        with hierarchy.recover(WEB) as secret, BitLockerKey.from_bytes(secret) as again:
            assert again == bek


def test_a_second_key_of_a_volume_is_asked_for(hierarchy: Hierarchy, store: SqlRecords) -> None:
    first = hierarchy.protect(WEB, SECRET, under="aes")
    with pytest.raises(AlreadyExistsError, match=first.id):
        hierarchy.protect(WEB, b"another key", under="aes")
    hierarchy.protect(WEB, b"another key", under="aes", replace=True, check=False)
    assert store.get(first.id).state is RecordState.RETIRED
    with hierarchy.recover(WEB) as secret:
        assert secret == b"another key"
    with hierarchy.recover(first.id) as secret:
        assert secret == SECRET
    store.replace(attrs.evolve(store.get(first.id), state=RecordState.ACTIVE))
    with pytest.raises(AmbiguousError):
        hierarchy.recover(WEB)
    with pytest.raises(NotFoundError):
        hierarchy.recover(DB)


@pytest.mark.parametrize(("vm", "volume"), [("db-01", "C:"), ("web-01", "D:")])
def test_promise_2_a_record_of_another_volume_does_not_open(
    vm: str, volume: str, hierarchy: Hierarchy, store: SqlRecords
) -> None:
    record = hierarchy.protect(WEB, SECRET, under="aes")
    store.replace(attrs.evolve(record, vm=vm, volume=volume))
    with pytest.raises(UnwrapError):
        hierarchy.recover(record.id)


def test_a_volume_has_a_machine_and_a_name() -> None:
    with pytest.raises(InvalidInputError):
        Volume("", "C:")


# ---------------------------------------------------------------------- the offline key


@pytest.fixture(scope="module")
def offline() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


def public_pem(key: rsa.RSAPrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def private_pem(key: rsa.RSAPrivateKey, password: bytes | None = None) -> SecretBytes:
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return SecretBytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))


@pytest.fixture
def insured(vault: Vault, store: SqlRecords, offline: rsa.RSAPrivateKey) -> Hierarchy:
    vault.create_key("aes", "AES-256")
    recovery_key = RecoveryKey.from_pem(public_pem(offline))
    policy = Policy(recovery_key=recovery_key, require_recovery=True)
    return Hierarchy(vault, store, policy=policy)


@pytest.mark.parametrize("password", [None, b"a long one"])
def test_the_offline_key_opens_every_record_without_a_vault(
    password: bytes | None, insured: Hierarchy, offline: rsa.RSAPrivateKey
) -> None:
    kek = insured.create_kek("web", under="aes")
    record = insured.protect(WEB, SECRET, under="web")
    for each in (record, kek.record):
        assert each.recovery is not None
        opened = open_recovery(
            each.recovery,
            private_pem(offline, password),
            context=context_of(each),
            password=password,
        )
        with (
            opened,
            insured.keyring.use(each.key).unwrap(each.wrapped, context=context_of(each)) as secret,
        ):
            assert opened == secret


def test_promise_1_the_recovery_envelope_opens_with_another_library(
    insured: Hierarchy, offline: rsa.RSAPrivateKey
) -> None:
    record = insured.protect(WEB, SECRET, under="aes")
    assert record.recovery is not None
    key = RSAKey.import_key(private_pem(offline).reveal())
    registry = jwe.JWERegistry(algorithms=["RSA-OAEP-256", "A256GCM"], strict_check_header=False)
    assert jwe.decrypt_compact(record.recovery, key, registry=registry).plaintext == SECRET


def test_promise_3_what_the_offline_key_rejects_says_nothing(
    insured: Hierarchy, offline: rsa.RSAPrivateKey
) -> None:
    record = insured.protect(WEB, SECRET, under="aes")
    assert record.recovery is not None
    other = rsa.generate_private_key(65537, 2048)
    head, encrypted, *rest = record.recovery.split(".")
    altered = ".".join([head, encrypted[:-8] + "AAAAAAAA", *rest])
    for envelope, key, context in (
        (record.recovery, other, context_of(record)),
        (record.recovery, offline, {}),
        (altered, offline, context_of(record)),
    ):
        with pytest.raises(UnwrapError) as caught:
            open_recovery(envelope, private_pem(key), context=context)
        assert caught.value.__context__ is None


def test_what_is_no_recovery_key_is_refused(insured: Hierarchy) -> None:
    with pytest.raises(InvalidInputError, match="public half"):
        RecoveryKey.from_pem(b"nothing")
    weak = rsa.generate_private_key(65537, 1024)
    with pytest.raises(InvalidInputError, match="2048 bits"):
        RecoveryKey.from_pem(public_pem(weak))
    with pytest.raises(InvalidInputError, match="required"):
        Policy(require_recovery=True)
    record = insured.protect(WEB, SECRET, under="aes")
    assert record.recovery is not None
    with pytest.raises(InvalidInputError, match="no RSA private key"):
        open_recovery(record.recovery, SecretBytes(b"nothing"), context=context_of(record))


# ---------------------------------------------------------------------- the drill


def test_a_drill_opens_everything_and_names_what_does_not(
    hierarchy: Hierarchy, store: SqlRecords
) -> None:
    hierarchy.create_kek("web", under="aes")
    records = [
        hierarchy.protect(Volume(f"web-{number}", "C:"), SECRET, under="web")
        for number in range(10)
    ]
    seen: list[int] = []
    done = hierarchy.verify(progress=seen.append)
    assert (done.opened, done.failed, done.of) == (11, (), 11)
    assert seen == list(range(1, 12))
    assert hierarchy.verify(Query(vm="web-3")).opened == 1
    bad = records[3]
    store.replace(attrs.evolve(bad, vm="db-01"))
    done = hierarchy.verify()
    assert done.opened == 10
    assert [(record, type(error)) for record, error in done.failed] == [(bad.id, UnwrapError)]


def test_a_sample_has_the_size_that_was_asked_for(hierarchy: Hierarchy) -> None:
    for number in range(10):
        hierarchy.protect(Volume(f"web-{number}", "C:"), SECRET, under="aes")
    for size in (1, 4, 9, 10, 100):
        assert hierarchy.verify(sample=size).opened == min(size, 10)
    with pytest.raises(InvalidInputError):
        hierarchy.verify(sample=0)


def test_a_drill_opens_the_envelope_before_too(hierarchy: Hierarchy, vault: Vault) -> None:
    record = hierarchy.protect(WEB, SECRET, under="cmk")
    hierarchy.rotate("cmk")
    assert hierarchy.verify().opened == 1
    kept = hierarchy.records.get(record.id)
    assert kept.previous is not None
    vault.key("cmk", kept.previous.key.version).disable()
    assert len(hierarchy.verify().failed) == 1


def test_what_says_that_it_is_a_kek_holds_one(hierarchy: Hierarchy, store: SqlRecords) -> None:
    made = hierarchy.create_kek("web", under="aes")
    with SecretBytes.random(32) as material:
        wrapped = hierarchy.keyring.use(made.record.key).wrap(
            material, context=context_of(made.record)
        )
    store.replace(made.record.with_envelope(wrapped))
    [(_, error)] = hierarchy.verify().failed
    assert isinstance(error, IntegrityError)
    with pytest.raises(IntegrityError, match="no KEK"):
        hierarchy.protect(WEB, SECRET, under="web")
