"""A driver around the memory vault's that does what real vaults have been seen to do wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import attrs

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, Driver, KeyVersion, OpenOptions
from keyhier.errors import UnwrapError
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier.uri import VaultUri
from keyhier_memory import backend

__all__ = ["OddDriver"]


class OddDriver:
    """A vault that can do no more than every vault can, with its faults given as functions.

    Attributes:
        change_wrapped: applied to what was wrapped.
        change_opened: applied to what was unwrapped.
        talkative: whether an UnwrapError comes with the reason, as drivers must not.
        rename: applied to every id that it tells.
        find_any_version: whether it answers with the latest version to every one that is asked.
        validity: fields of KeyVersion that it tells for every key: its times.
        asked: how often it was asked to describe a key.
    """

    scheme = "memory"
    vault = ""

    def __init__(
        self,
        *,
        algorithms: Iterable[WrapAlgorithm] = WrapAlgorithm,
        change_wrapped: Callable[[bytes], bytes] = bytes,
        change_opened: Callable[[SecretBytes], SecretBytes] = lambda secret: secret,
        talkative: bool = False,
    ) -> None:
        self.inner: Driver = backend.open(VaultUri.parse("memory:"), OpenOptions())
        self.key_specs = frozenset(KeySpec) - {KeySpec.RSA_4096}
        self.algorithms = frozenset(algorithms)
        self.change_wrapped = change_wrapped
        self.change_opened = change_opened
        self.talkative = talkative
        self.rename: Callable[[KeyId], KeyId] = lambda key_id: key_id
        self.find_any_version = False
        self.validity: dict[str, Any] = {}
        self.asked = 0

    def _told(self, key: KeyVersion) -> KeyVersion:
        able = tuple(algorithm for algorithm in key.algorithms if algorithm in self.algorithms)
        return attrs.evolve(key, id=self.rename(key.id), algorithms=able, **self.validity)

    def get_key(self, name: str, version: str | None = None) -> KeyVersion:
        self.asked += 1
        return self._told(self.inner.get_key(name, None if self.find_any_version else version))

    def list_keys(self) -> Iterable[KeyVersion]:
        return map(self._told, self.inner.list_keys())

    def list_versions(self, name: str) -> Sequence[KeyVersion]:
        return [self._told(key) for key in self.inner.list_versions(name)]

    def create_key(self, request: CreateKey) -> KeyVersion:
        return self._told(self.inner.create_key(request))

    def wrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes = b""
    ) -> bytes:
        return self.change_wrapped(self.inner.wrap(key, algorithm, plaintext, aad))

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        try:
            return self.change_opened(self.inner.unwrap(key, algorithm, wrapped, aad))
        except UnwrapError:
            if self.talkative:
                raise UnwrapError from ValueError("the padding was bad")
            raise

    def close(self) -> None:
        self.inner.close()
