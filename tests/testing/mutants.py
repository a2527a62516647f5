"""Drivers that break one rule each. They work on the memory backend's driver, AES keys only."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from keyhier.algorithms import GCM_IV_BYTES, WrapAlgorithm
from keyhier.driver import CreateKey, ImportKey, KeyVersion
from keyhier.errors import (
    AlreadyExistsError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.secret import SecretBytes
from keyhier_memory.driver import MemoryDriver
from keyhier_memory.store import MemoryStore


class Healthy(MemoryDriver):
    def __init__(self) -> None:
        super().__init__(MemoryStore())


class OpensWithTheLatestVersion(Healthy):
    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        return super().unwrap(self.get_key(key.id.name), algorithm, wrapped, aad)


class OpensWithAnyVersion(Healthy):
    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        for version in self.list_versions(key.id.name):
            try:
                return super().unwrap(version, algorithm, wrapped, aad)
            except UnwrapError:
                continue
        raise UnwrapError


class OpensWithADisabledKey(Healthy):
    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        self.set_enabled(key, enabled=True)
        return super().unwrap(key, algorithm, wrapped, aad)


class SaysDisabledAndDoesNotHoldToIt(Healthy):
    def set_enabled(self, key: KeyVersion, *, enabled: bool) -> KeyVersion:
        return attrs.evolve(key, enabled=enabled)


class DisablesEveryVersion(Healthy):
    def set_enabled(self, key: KeyVersion, *, enabled: bool) -> KeyVersion:
        for version in self.list_versions(key.id.name):
            super().set_enabled(version, enabled=enabled)
        return self.get_key(key.id.name, key.id.version)


class TellsARejectionFromAFailure(Healthy):
    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        try:
            return super().unwrap(key, algorithm, wrapped, aad)
        except UnwrapError:
            pass
        raise UnavailableError("the token failed", native="C_UnwrapKey: CKR_GENERAL_ERROR")


class SaysWhyItDoesNotOpen(Healthy):
    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        try:
            return super().unwrap(key, algorithm, wrapped, aad)
        except UnwrapError as error:
            raise UnwrapError from error


class IgnoresAdditionalData(Healthy):
    def wrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes = b""
    ) -> bytes:
        return super().wrap(key, algorithm, plaintext)

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        return super().unwrap(key, algorithm, wrapped)


class RepeatsItsWraps(Healthy):
    """Answers the same request with the same bytes, and so with the same IV."""

    def __init__(self) -> None:
        super().__init__()
        self._made: dict[tuple[str, bytes], bytes] = {}

    def wrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes = b""
    ) -> bytes:
        asked = (str(key.id), plaintext.reveal())
        if asked not in self._made:
            self._made[asked] = super().wrap(key, algorithm, plaintext, aad)
        return self._made[asked]


class StripsZeros(Healthy):
    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        opened = super().unwrap(key, algorithm, wrapped, aad)
        return SecretBytes(opened.reveal().rstrip(b"\0"))


class IgnoresTheTag(Healthy):
    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        try:
            return super().unwrap(key, algorithm, wrapped, aad)
        except UnwrapError:
            return SecretBytes(wrapped[GCM_IV_BYTES:-16])


class ReplacesAKeyOfTheSameName(Healthy):
    def create_key(self, request: CreateKey) -> KeyVersion:
        try:
            return super().create_key(request)
        except AlreadyExistsError:
            self.delete_key(self.get_key(request.name))
            self.purge_key(request.name)
            return super().create_key(request)


class ForgetsTheAlgorithmWhenItRotates(Healthy):
    def rotate_key(self, name: str) -> KeyVersion:
        made = super().rotate_key(name)
        return attrs.evolve(made, algorithms=(WrapAlgorithm.A256KW, WrapAlgorithm.A256GCMKW))


class ListsEveryVersion(Healthy):
    def list_keys(self) -> Iterator[KeyVersion]:
        for key in super().list_keys():
            yield from self.list_versions(key.id.name)


class ListsVersionsNewestFirst(Healthy):
    def list_versions(self, name: str) -> list[KeyVersion]:
        return super().list_versions(name)[::-1]


class TakesTheNewestEnabledVersionForTheLatest(Healthy):
    def get_key(self, name: str, version: str | None = None) -> KeyVersion:
        if version is None:
            enabled = [found for found in self.list_versions(name) if found.enabled]
            if not enabled:
                raise NotFoundError(f"no version of {name} is enabled")
            return enabled[-1]
        return super().get_key(name, version)


class DeletesForEverAtOnce(Healthy):
    def delete_key(self, key: KeyVersion) -> None:
        super().delete_key(key)
        self.purge_key(key.id.name)


class RecoversTheLatestVersionOnly(Healthy):
    def recover_key(self, name: str) -> KeyVersion:
        back = super().recover_key(name)
        for version in self.list_versions(name):
            if version.id != back.id:
                self.set_enabled(version, enabled=False)
        return back


class RestoresOverAKey(Healthy):
    def restore_key(self, backup: bytes) -> KeyVersion:
        for key in list(self.list_keys()):
            self.delete_key(key)
            self.purge_key(key.id.name)
        return super().restore_key(backup)


class RestoresAnything(Healthy):
    def restore_key(self, backup: bytes) -> KeyVersion:
        raise NotFoundError("there is nothing in the backup")


class GivesShortRandomness(Healthy):
    def random_bytes(self, length: int) -> SecretBytes:
        return SecretBytes.random(min(length, 1024))


class RepeatsItsRandomness(Healthy):
    def random_bytes(self, length: int) -> SecretBytes:
        return SecretBytes(bytes(length))


class ReturnsTheKeyThatIsThere(Healthy):
    def create_key(self, request: CreateKey) -> KeyVersion:
        try:
            return super().create_key(request)
        except AlreadyExistsError:
            return self.get_key(request.name)


class MakesKeysForWhatItLacks(Healthy):
    algorithms = frozenset({WrapAlgorithm.A256GCM})  # type: ignore[misc]  # Final in sound drivers.


class ImportsAnotherKey(Healthy):
    def import_key(self, request: ImportKey) -> KeyVersion:
        return self.create_key(CreateKey(request.name, request.spec, request.algorithm))


class LetsAnotherKeyGo(Healthy):
    def export_key(self, key: KeyVersion) -> SecretBytes:
        super().export_key(key).wipe()
        return SecretBytes.random(key.spec.size)


class MakesTheNextVersionStay(Healthy):
    def rotate_key(self, name: str) -> KeyVersion:
        made = super().rotate_key(name)
        self._staying = made.id
        return made

    def export_key(self, key: KeyVersion) -> SecretBytes:
        if key.id == getattr(self, "_staying", None):
            raise UnsupportedError("it was not made extractable")
        return super().export_key(key)


class LetsEveryKeyGo(Healthy):
    def create_key(self, request: CreateKey) -> KeyVersion:
        return super().create_key(attrs.evolve(request, extractable=True))
