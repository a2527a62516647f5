"""What the vault holds: keys and their versions, as values that never change.

Every change of the vault makes new values and leaves the old ones as they were, so that whoever
is reading goes on reading something whole, without a lock.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final, Self

import attrs
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.driver import KeyVersion
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier_memory.shelf import Entry
from keyhier_memory.versions import is_for

__all__ = ["Material", "StoredKey", "StoredVersion"]

SCHEME: Final = "memory"
_PUBLIC_EXPONENT: Final = 65537


@attrs.frozen
class Material:
    """The secret half of a key version, and what it is for.

    Attributes:
        spec: its family and size.
        algorithms: what it may be used for; exactly one for AES.
        secret: an AES key's bytes, or an RSA private key as PKCS#8 DER (RFC 5958).
        private_key: the same RSA key, ready for use; None for AES.
        public_key: its public half; None for AES.
        extractable: whether it may leave the vault.
    """

    spec: KeySpec
    algorithms: tuple[WrapAlgorithm, ...]
    secret: SecretBytes = attrs.field(repr=False, eq=False)
    private_key: rsa.RSAPrivateKey | None = attrs.field(default=None, repr=False, eq=False)
    public_key: rsa.RSAPublicKey | None = attrs.field(default=None, repr=False, eq=False)
    extractable: bool = False

    @classmethod
    def generate(
        cls, spec: KeySpec, algorithm: WrapAlgorithm | None, *, extractable: bool = False
    ) -> Self:
        """Make fresh material. For RSA this takes a while: hold no lock."""
        if spec.key_type is KeyType.AES:
            purpose, secret = _purpose(spec, algorithm), SecretBytes.random(spec.size)
            return cls(spec, purpose, secret, extractable=extractable)
        private = rsa.generate_private_key(_PUBLIC_EXPONENT, spec.bits)
        der = private.private_bytes(
            serialization.Encoding.DER,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        public, secret = private.public_key(), SecretBytes(der)
        return cls(spec, algorithms_for(spec), secret, private, public, extractable)

    def successor(self) -> Self:
        """Make fresh material like this."""
        return self.generate(self.spec, self.algorithm, extractable=self.extractable)

    @classmethod
    def load(
        cls,
        spec: KeySpec,
        algorithm: WrapAlgorithm | None,
        secret: SecretBytes,
        *,
        trusted: bool = False,
    ) -> Self:
        """Take existing material over; ``secret`` belongs to the result from then on.

        ``trusted`` material has been validated before and its seal has just been checked, so
        that the numbers of an RSA key, whose primality takes long to test, are not looked at again.

        Raises:
            InvalidInputError: it is no key of that spec.
        """
        if spec.key_type is KeyType.AES:
            if len(secret) != spec.size:
                raise InvalidInputError(f"an {spec} key has {spec.size} bytes, not {len(secret)}")
            return cls(spec, _purpose(spec, algorithm), secret)
        private = _load_rsa(secret, trusted=trusted)
        if private is None or private.key_size != spec.bits:
            raise InvalidInputError(f"the material is no {spec} private key in PKCS#8 DER")
        return cls(spec, algorithms_for(spec), secret, private, private.public_key())

    @property
    def algorithm(self) -> WrapAlgorithm | None:
        """The one algorithm of an AES key; None for RSA, which takes all that fit."""
        return self.algorithms[0] if self.spec.key_type is KeyType.AES else None


def _purpose(spec: KeySpec, algorithm: WrapAlgorithm | None) -> tuple[WrapAlgorithm]:
    return (algorithm or algorithms_for(spec)[0],)


def _load_rsa(secret: SecretBytes, *, trusted: bool) -> rsa.RSAPrivateKey | None:
    try:
        loaded = serialization.load_der_private_key(
            secret.view(), None, unsafe_skip_rsa_key_validation=trusted
        )
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # What the parser says could quote the material; the caller's own words do.
        return None
    return loaded if isinstance(loaded, rsa.RSAPrivateKey) else None


@attrs.frozen
class StoredVersion:
    """One version of a key.

    Attributes:
        version: 32 lower-case hexadecimal digits that sort by time.
        material: the key itself.
        created: when it was made, in UTC.
        enabled: whether the vault uses it.
    """

    version: str
    material: Material
    created: datetime
    enabled: bool = True

    def describe(self, name: str) -> KeyVersion:
        """Return what a user may know of this version."""
        return KeyVersion(
            id=KeyId(SCHEME, "", name, self.version),
            spec=self.material.spec,
            algorithms=self.material.algorithms,
            enabled=self.enabled,
            public_key=self.material.public_key,
            created=self.created,
        )


@attrs.frozen
class StoredKey(Entry[StoredVersion]):
    """A key's name and its versions."""

    def made_for(self, tag: str) -> StoredVersion | None:
        """Return the version that was made for ``tag``, or None."""
        found = (each for each in self.versions.values() if is_for(each.version, tag))
        return next(found, None)

    def with_version(self, material: Material, version: str) -> StoredKey:
        """Return the same key with one version more, made now."""
        made = StoredVersion(version, material, datetime.now(UTC))
        return attrs.evolve(self, versions={**self.versions, version: made})

    def with_enabled(self, version: str, *, enabled: bool) -> StoredKey:
        """Return the same key with one version disabled or enabled."""
        changed = attrs.evolve(self.versions[version], enabled=enabled)
        return attrs.evolve(self, versions={**self.versions, version: changed})
