"""LocalKek: a key of the middle tier in this process's memory, until it is closed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from cryptography.hazmat.primitives import keywrap

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.audit import AuditHook
from keyhier.driver import CreateKey, KeyVersion
from keyhier.errors import NotFoundError, UnsupportedError, UnwrapError
from keyhier.identifiers import KeyId
from keyhier.key import Key
from keyhier.opened import OpenedVault
from keyhier.secret import Secret, SecretBytes
from keyhier.wrapped import WrappedKey

__all__ = ["KEK_ALGORITHM", "KEK_BYTES", "KEK_SPEC", "LocalKek"]

KEK_SPEC: Final = KeySpec.AES_256
KEK_BYTES: Final = KEK_SPEC.size
KEK_ALGORITHM: Final = WrapAlgorithm.A256KW
"""What a key of the middle tier is for; every token that takes wrapped keys can do it."""


class _OneKey:
    """A driver of one AES key, so that a key in memory is used exactly as one in a vault is."""

    def __init__(self, version: KeyVersion, material: SecretBytes) -> None:
        self._version = version
        self._material = material
        self.scheme = version.id.scheme
        self.vault = version.id.vault
        self.key_specs: frozenset[KeySpec] = frozenset()
        self.algorithms = frozenset(version.algorithms)

    def get_key(self, name: str, version: str | None = None) -> KeyVersion:
        if name != self._version.id.name or version not in (None, self._version.id.version):
            raise NotFoundError(f"there is no key {name}, only {self._version.id}")
        return self._version

    def list_keys(self) -> Iterable[KeyVersion]:
        return [self._version]

    def list_versions(self, name: str) -> Sequence[KeyVersion]:
        return [self.get_key(name)]

    def create_key(self, request: CreateKey) -> KeyVersion:
        raise UnsupportedError(f"{self._version.id} is one key, and {request.name} another")

    def wrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes = b""
    ) -> bytes:
        self._require(key, algorithm, aad)
        return keywrap.aes_key_wrap(self._material.view(), plaintext.view())

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        self._require(key, algorithm, aad)
        opened = None
        # Untyped before cryptography 50, which takes any bytes.
        unwrap: Callable[..., bytes] = keywrap.aes_key_unwrap
        with suppress(keywrap.InvalidUnwrap, ValueError):
            opened = unwrap(self._material.view(), wrapped)
        if opened is None:
            raise UnwrapError
        return SecretBytes(opened)

    def _require(self, key: KeyVersion, algorithm: WrapAlgorithm, aad: bytes) -> None:
        if key.id != self._version.id or algorithm is not KEK_ALGORITHM or aad:
            raise UnsupportedError(f"{self._version.id} is for {KEK_ALGORITHM}")

    def close(self) -> None:
        self._material.wipe()


class LocalKek:
    """A :class:`~keyhier.hierarchy.kek_use.KekUse` whose key is in memory, wiped when closed."""

    def __init__(self, key_id: KeyId, material: SecretBytes, audit: AuditHook | None) -> None:
        """Take a copy of the key.

        Args:
            key_id: ``record:HIERARCHY/NAME/VERSION``.
            material: 32 bytes; the caller wipes them.
            audit: told about every operation.
        """
        version = KeyVersion(key_id, KEK_SPEC, (KEK_ALGORITHM,))
        self._opened = OpenedVault[Key](_OneKey(version, SecretBytes(material.view())), audit)
        self._key = Key(self._opened, version)

    def __repr__(self) -> str:
        return f"<LocalKek {self.id}>"

    @property
    def id(self) -> KeyId:
        """The identity, with the exact version."""
        return self._key.id

    def wrap(
        self,
        secret: Secret,
        *,
        context: Mapping[str, str] | None = None,
        content_type: str | None = None,
    ) -> WrappedKey:
        """Wrap a secret; see :meth:`Key.wrap`."""
        return self._key.wrap(secret, context=context, content_type=content_type)

    def unwrap(
        self, wrapped: WrappedKey | str, *, context: Mapping[str, str] | None = None
    ) -> SecretBytes:
        """Open an envelope that names this version; see :meth:`Key.unwrap`."""
        return self._key.unwrap(wrapped, context=context)

    def close(self) -> None:
        """Wipe the key; doing so twice is harmless."""
        self._opened.close()
