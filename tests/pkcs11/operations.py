"""The operations of the driver contract on a token with known keys, and what is right of each."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import attrs
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, ImportKey, KeyVersion, OpenOptions
from keyhier.errors import NotFoundError
from keyhier.secret import SecretBytes
from keyhier.uri import VaultUri
from keyhier_pkcs11 import backend

if TYPE_CHECKING:
    from keyhier.testing.softhsm import SoftHsmToken
    from keyhier_pkcs11.driver import Pkcs11Driver

__all__ = ["KEK", "LEFT", "OPERATIONS", "RIGHT", "SECRET", "WRONG", "Bench", "Operation"]

RIGHT: Final = "right"
WRONG: Final = "WRONG"
LEFT: Final = "something is left"
"""What failed was done all the same, or in part."""

KEK: Final = bytes(range(0x40, 0x60))
SECRET: Final = bytes(range(0xA0, 0xC0))
KW: Final = WrapAlgorithm.A256KW
GCM: Final = WrapAlgorithm.A256GCM
OAEP: Final = WrapAlgorithm.RSA_OAEP


class Bench:
    """A token with three keys whose material is known, and the driver that is tried on it."""

    def __init__(self, token: SoftHsmToken, rsa_key: rsa.RSAPrivateKey) -> None:
        self.token = token
        self.driver = self.open()
        der = rsa_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        self.rsa = self.driver.import_key(
            ImportKey("rsa", KeySpec.RSA_2048, SecretBytes(der)),
        )
        self.kw = self.import_aes("kw", KW)
        self.gcm = self.import_aes("gcm", GCM)
        public, sha1 = rsa_key.public_key(), hashes.SHA1()
        self.under_rsa = public.encrypt(SECRET, padding.OAEP(padding.MGF1(sha1), sha1, None))
        self.under_kw = keywrap.aes_key_wrap(KEK, SECRET)
        self.under_gcm = bytes(12) + AESGCM(KEK).encrypt(bytes(12), SECRET, b"aad")

    def open(self) -> Pkcs11Driver:
        return backend.open(VaultUri.parse(self.token.uri), OpenOptions())

    def import_aes(self, name: str, algorithm: WrapAlgorithm) -> KeyVersion:
        material = SecretBytes(KEK)
        return self.driver.import_key(ImportKey(name, KeySpec.AES_256, material, algorithm))

    def remove(self, name: str) -> None:
        with contextlib.suppress(NotFoundError):
            self.driver.delete_key(self.driver.get_key(name))

    def versions(self, name: str) -> int:
        try:
            return len(self.driver.list_versions(name))
        except NotFoundError:
            return 0


@attrs.frozen
class Operation:
    """One operation.

    Attributes:
        run: does it.
        right: whether a result is right.
        prepare: puts the token into the state that it starts from; by default it is done, so
            that the driver knows all that it keeps.
        follow: does what comes next, told whether it succeeded, and says whether that went
            right; by default it is done again.
        changes: whether it changes what is on the token, so that it is not simply tried again.
        unwraps: whether a bad input is a possible reading of an ambiguous code.
    """

    run: Callable[[Bench], object]
    right: Callable[[Bench, object], bool]
    prepare: Callable[[Bench], object] = attrs.field()
    follow: Callable[[Bench, bool], str] = attrs.field()
    changes: bool = False
    unwraps: bool = False

    @prepare.default
    def _run_once(self) -> Callable[[Bench], object]:
        return self.run

    @follow.default
    def _run_again(self) -> Callable[[Bench, bool], str]:
        return lambda bench, _: verdict(self.right(bench, self.run(bench)))


def verdict(right: bool) -> str:
    return RIGHT if right else WRONG


def _create(bench: Bench) -> KeyVersion:
    return bench.driver.create_key(CreateKey("new", KeySpec.AES_256, KW))


def _import(bench: Bench) -> KeyVersion:
    return bench.import_aes("new", KW)


def _made(make: Callable[[Bench], KeyVersion]) -> Operation:
    def right(bench: Bench, result: object) -> bool:
        return bench.driver.list_versions("new") == [result]

    def follow(bench: Bench, succeeded: bool) -> str:
        if succeeded:
            return verdict(bench.versions("new") == 1)
        return LEFT if bench.versions("new") else verdict(right(bench, make(bench)))

    return Operation(make, right, lambda bench: bench.remove("new"), follow, changes=True)


def _rotation() -> Operation:
    def prepare(bench: Bench) -> None:
        bench.remove("turned")
        bench.import_aes("turned", KW)

    def run(bench: Bench) -> KeyVersion:
        return bench.driver.rotate_key("turned")

    def right(bench: Bench, result: object) -> bool:
        versions = bench.driver.list_versions("turned")
        return len(versions) == 2 and versions[-1] == result

    def follow(bench: Bench, succeeded: bool) -> str:
        if succeeded:
            return verdict(bench.versions("turned") == 2)
        return LEFT if bench.versions("turned") > 1 else verdict(right(bench, run(bench)))

    return Operation(run, right, prepare, follow, changes=True)


def _deletion() -> Operation:
    def prepare(bench: Bench) -> None:
        bench.remove("doomed")
        bench.import_aes("doomed", KW)

    def run(bench: Bench) -> None:
        bench.driver.delete_key(bench.driver.get_key("doomed"))

    def right(bench: Bench, _: object) -> bool:
        return bench.versions("doomed") == 0

    def follow(bench: Bench, _: bool) -> str:
        # After a failure the key may be there or not.
        prepare(bench)
        run(bench)
        return verdict(right(bench, None))

    return Operation(run, right, prepare, follow, changes=True)


def _switch(*, enabled: bool) -> Operation:
    def prepare(bench: Bench) -> None:
        bench.remove("switched")
        bench.driver.set_enabled(bench.import_aes("switched", KW), enabled=not enabled)

    def run(bench: Bench) -> KeyVersion:
        return bench.driver.set_enabled(bench.driver.get_key("switched"), enabled=enabled)

    def right(bench: Bench, result: object) -> bool:
        now = bench.driver.get_key("switched")
        return now == result and now.enabled is enabled

    return Operation(run, right, prepare, changes=True)


def _wrapped_by(algorithm: WrapAlgorithm) -> Operation:
    def run(bench: Bench) -> bytes:
        key, aad = (bench.kw, b"") if algorithm is KW else (bench.gcm, b"aad")
        with SecretBytes(SECRET) as secret:
            return bench.driver.wrap(key, algorithm, secret, aad)

    def right(bench: Bench, result: object) -> bool:
        assert isinstance(result, bytes)
        if algorithm is KW:
            return result == bench.under_kw
        return AESGCM(KEK).decrypt(result[:12], result[12:], b"aad") == SECRET

    return Operation(run, right)


def _unwrapped(run: Callable[[Bench], SecretBytes]) -> Operation:
    return Operation(run, lambda _, result: result == SECRET, unwraps=True)


def _tidy(bench: Bench) -> None:
    """Remove what other operations made, and let the driver find what it keeps."""
    for name in ("new", "turned", "doomed", "switched"):
        bench.remove(name)
    list(bench.driver.list_keys())


OPERATIONS: Final = {
    "get_key RSA": Operation(
        lambda bench: bench.driver.get_key("rsa"), lambda bench, result: result == bench.rsa
    ),
    "get_key AES": Operation(
        lambda bench: bench.driver.get_key("kw", bench.kw.id.version),
        lambda bench, result: result == bench.kw,
    ),
    "list_keys": Operation(
        lambda bench: list(bench.driver.list_keys()),
        lambda bench, result: result == [bench.gcm, bench.kw, bench.rsa],
        _tidy,
    ),
    "list_versions": Operation(
        lambda bench: bench.driver.list_versions("kw"), lambda bench, result: result == [bench.kw]
    ),
    "create_key": _made(_create),
    "import_key": _made(_import),
    "rotate_key": _rotation(),
    "wrap A256KW": _wrapped_by(KW),
    "wrap A256GCM": _wrapped_by(GCM),
    "unwrap RSA-OAEP": _unwrapped(
        lambda bench: bench.driver.unwrap(bench.rsa, OAEP, bench.under_rsa)
    ),
    "unwrap A256KW": _unwrapped(lambda bench: bench.driver.unwrap(bench.kw, KW, bench.under_kw)),
    "unwrap A256GCM": _unwrapped(
        lambda bench: bench.driver.unwrap(bench.gcm, GCM, bench.under_gcm, b"aad")
    ),
    "disable": _switch(enabled=False),
    "enable": _switch(enabled=True),
    "delete_key": _deletion(),
    "random_bytes": Operation(
        lambda bench: bench.driver.random_bytes(16),
        lambda _, result: isinstance(result, SecretBytes) and len(result) == 16,
    ),
}
"""By name."""
