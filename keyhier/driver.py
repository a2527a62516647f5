"""What the author of a backend implements; the only page they must read.

A backend is a package with two things: a :class:`Backend`, registered in the entry-point group
``keyhier.backends`` under its URI scheme, and a :class:`Driver`, which speaks to one open vault.

The driver stays small because :class:`keyhier.Vault` and :class:`keyhier.Key` do everything
common above it: checking arguments and capacities, choosing algorithms, wrapping with the public
half locally, composing and opening envelopes, comparing contexts, auditing, batching. A driver
can rely on what it is given: names, specs and algorithms are valid and fit each other.

Four rules hold for every method:

* **Errors.** Raise only :mod:`keyhier.errors`, with ``native=`` naming the call and code. What
  each method may raise is said there; besides, any may raise ``UnavailableError`` (away or
  failed), ``ThrottledError``, ``AuthenticationError``, ``AccessDeniedError``, ``CapacityError``
  (the vault is full), ``IntegrityError`` (a key is not what it should be), ``AmbiguousError``
  (two objects answer to one id) and ``InvalidStateError`` once the driver is closed.
* **Threads.** Any method may be called from any thread at any time.
* **Secrets.** Plaintext travels in :class:`~keyhier.secret.SecretBytes`; wipe what you made
  when it is no longer needed, and never put it, a PIN or a token into an error or a log.
* **Versions.** A key has a name and one or more versions. Every :class:`KeyVersion` you return
  names its exact version, and operations use that version and no other.

What only some vaults can do is a protocol of its own (``Supports…``). Implement its methods and
the vault can do it; there is nothing to declare. Hold the result to the contract:
``pytest --pyargs keyhier.testing.contract --keyhier-vault URI``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import attrs

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.doctor import Finding
from keyhier.errors import InvalidInputError
from keyhier.identifiers import KeyId
from keyhier.pin import PinCallback
from keyhier.rotation_policy import RotationPolicy
from keyhier.secret import SecretBytes
from keyhier.stored_secret import SetSecret, StoredSecret
from keyhier.uri import VaultUri

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

__all__ = [
    "Backend",
    "CreateKey",
    "Driver",
    "ImportKey",
    "KeyVersion",
    "OpenOptions",
    "SupportsBackup",
    "SupportsDoctor",
    "SupportsExport",
    "SupportsImport",
    "SupportsLifecycle",
    "SupportsManyAtOnce",
    "SupportsPreliminaries",
    "SupportsRandom",
    "SupportsRotation",
    "SupportsRotationPolicy",
    "SupportsSecrets",
    "SupportsSoftDelete",
    "SupportsTaggedRotation",
    "SupportsTimeout",
    "SupportsUnwrapInto",
]


@attrs.frozen
class KeyVersion:
    """One version of a key, as the vault describes it at the moment of the call.

    Attributes:
        id: its identity; ``id.version`` is never empty.
        spec: its family and size.
        algorithms: what this version may be used with *in this vault*, the safe default first.
            An AES version has exactly one. An RSA version lists those that the vault can unwrap.
        enabled: whether the vault uses it; a disabled one neither wraps nor unwraps.
        public_key: the public half of an RSA key, read from the private object itself, so that
            nobody can plant another; None for AES.
        created: when the version was made, in UTC, where the vault knows.
        not_before, expires: the times, in UTC, from and until which it is to wrap, where the vault
            keeps such; outside them it unwraps still.
        fresh_until: until when this description may be relied on, as :func:`time.monotonic` tells
            it; None where the vault would refuse by itself, or tells no others of changes anyway.
        handle: the driver's own means of finding the key again; nobody else looks at it.
    """

    id: KeyId
    spec: KeySpec
    algorithms: tuple[WrapAlgorithm, ...]
    enabled: bool = True
    public_key: RSAPublicKey | None = attrs.field(default=None, repr=False, eq=False)
    created: datetime | None = None
    not_before: datetime | None = None
    expires: datetime | None = None
    fresh_until: float | None = attrs.field(default=None, repr=False, eq=False)
    handle: object = attrs.field(default=None, repr=False, eq=False)


@attrs.frozen
class CreateKey:
    """A request for a new key.

    Attributes:
        name: 1 to 127 of ``[0-9A-Za-z-]``.
        spec: what to make.
        algorithm: for AES the one algorithm it will be for; None for RSA.
        extractable: whether the vault may ever hand the key out wrapped (never in the clear).
    """

    name: str
    spec: KeySpec
    algorithm: WrapAlgorithm | None = None
    extractable: bool = False


@attrs.frozen
class ImportKey:
    """A request to take over an existing key.

    Attributes:
        name, spec, algorithm: as in :class:`CreateKey`; the spec was read from the material.
        material: an AES key's bytes, or an RSA private key as unencrypted PKCS#8 DER
            (RFC 5958). The caller wipes it.
    """

    name: str
    spec: KeySpec
    material: SecretBytes
    algorithm: WrapAlgorithm | None = None


@runtime_checkable
class Driver(Protocol):
    """One open vault. This much every vault can do."""

    @property
    def scheme(self) -> str:
        """The scheme of its keys' ids: ``memory``, ``pkcs11``, ``https``."""
        ...

    @property
    def vault(self) -> str:
        """What stands in :attr:`KeyId.vault` of its keys: the token's label, the host."""
        ...

    @property
    def key_specs(self) -> frozenset[KeySpec]:
        """What ``create_key`` can make here; probed, not assumed."""
        ...

    @property
    def algorithms(self) -> frozenset[WrapAlgorithm]:
        """What the vault can *unwrap* with; probed, not assumed. RSA wraps need nothing of it."""
        ...

    def get_key(self, name: str, version: str | None = None) -> KeyVersion:
        """Return the named version, or the latest one where ``version`` is None.

        Always a fresh answer. The latest version is the one made last, enabled or not.

        Raises:
            NotFoundError: there is no such key or version.
            AmbiguousError: several keys answer to the name, and no version tells them apart.
            InvalidStateError: the name is soft-deleted; the message says how to recover it.
            IntegrityError: the public half in the vault is not the private key's.
        """
        ...

    def list_keys(self) -> Iterable[KeyVersion]:
        """Yield the latest version of every key, in the order of their names."""
        ...

    def list_versions(self, name: str) -> Sequence[KeyVersion]:
        """Return every version of a key, oldest first.

        Raises:
            NotFoundError, AmbiguousError, InvalidStateError: as :meth:`get_key`.
        """
        ...

    def create_key(self, request: CreateKey) -> KeyVersion:
        """Make a key whose secret half never leaves the vault, and return its first version.

        Set every usage explicitly: no key both wraps and decrypts, or unwraps and encrypts.

        Raises:
            AlreadyExistsError: the name is taken, also by a soft-deleted key.
            UnsupportedError: the vault cannot make such a key, or lacks its algorithm; the message
                lists what it can.
        """
        ...

    def wrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes = b""
    ) -> bytes:
        """Wrap ``plaintext`` inside the vault. Only asked for AES keys: RSA wraps are local.

        For ``A256GCM`` and ``A256GCMKW`` the answer is IV (12 bytes, fresh for every call),
        ciphertext and tag (16 bytes); ``aad`` is given for ``A256GCM`` only.

        Raises:
            InvalidStateError: the version is disabled.
            NotFoundError: the version is gone.
            UnsupportedError: the vault's mechanism would not give the standard's result.
        """
        ...

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        """Unwrap inside the vault and return the plaintext.

        Leave nothing behind in the vault. With ``RSA1_5`` whatever the key makes of the bytes is
        returned, also where the padding is bad (then random bytes), so that nobody learns which.

        Raises:
            UnwrapError: the key rejects the bytes; nothing else may be told about why.
            InvalidStateError: the version is disabled.
            NotFoundError: the version is gone.
            UnsupportedError: the vault's mechanism is lacking, or would not give the standard's
                result.
        """
        ...

    def close(self) -> None:
        """Let everything go; doing so twice is harmless."""
        ...


@runtime_checkable
class SupportsImport(Protocol):
    """The vault takes over keys made elsewhere."""

    def import_key(self, request: ImportKey) -> KeyVersion:
        """Take the key over as the first version of a new name.

        Raises:
            AlreadyExistsError, UnsupportedError: as :meth:`Driver.create_key`.
        """
        ...


@runtime_checkable
class SupportsExport(Protocol):
    """Keys that were made extractable can leave the vault, to be taken over by another one."""

    def export_key(self, key: KeyVersion) -> SecretBytes:
        """Return the key itself, as :class:`ImportKey` has it; the caller wipes it.

        A token hands it out wrapped under a key of this process, and never in the clear.

        Raises:
            UnsupportedError: it was not made extractable, or the vault cannot wrap it.
            InvalidStateError: the version is disabled.
            NotFoundError: the version is gone.
        """
        ...


@runtime_checkable
class SupportsRotation(Protocol):
    """A key can get a new version under its name."""

    def rotate_key(self, name: str) -> KeyVersion:
        """Make a new version like the latest one and return it; older ones stay as they are.

        Raises:
            NotFoundError, AmbiguousError: as :meth:`Driver.get_key`.
            InvalidStateError: the key is one that cannot be rotated, such as one made elsewhere.
            UnsupportedError: as :meth:`Driver.create_key`.
            ConflictError: somebody else changed the key meanwhile; nothing was made.
        """
        ...


@runtime_checkable
class SupportsTaggedRotation(Protocol):
    """A new version can be made for a tag that was written down before, and found again by it."""

    def rotate_key_for(self, name: str, tag: str) -> KeyVersion:
        """Return the version that was made for ``tag``, or make it like the latest one.

        Whoever was killed in the middle asks again with the same tag and gets the same version, so
        the tag has to be part of the version from the moment it exists: in its id or in what the
        vault keeps beside it.

        Args:
            name: the key's.
            tag: any text that nobody else uses, such as a job's UUID.

        Raises:
            NotFoundError, AmbiguousError, InvalidStateError, UnsupportedError, ConflictError:
                as :meth:`SupportsRotation.rotate_key`.
        """
        ...


@runtime_checkable
class SupportsRotationPolicy(Protocol):
    """The vault rotates keys by itself."""

    def get_rotation_policy(self, name: str) -> RotationPolicy:
        """Return when it rotates the key.

        Raises:
            NotFoundError: there is no such key.
        """
        ...

    def set_rotation_policy(self, name: str, policy: RotationPolicy) -> RotationPolicy:
        """Say when to rotate the key, and return what the vault made of it.

        Raises:
            NotFoundError: there is no such key.
            InvalidInputError: the vault does not take a duration.
        """
        ...


@runtime_checkable
class SupportsLifecycle(Protocol):
    """Versions can be disabled, keys can be deleted."""

    def set_enabled(self, key: KeyVersion, *, enabled: bool) -> KeyVersion:
        """Disable or enable one version, look whether that took, and return it as it is now.

        Raises:
            NotFoundError: the version is gone.
            UnsupportedError: the vault does not hold to it.
        """
        ...

    def delete_key(self, key: KeyVersion) -> None:
        """Delete the key with all its versions; recoverable only with :class:`SupportsSoftDelete`.

        Raises:
            NotFoundError: it is gone already.
        """
        ...


@runtime_checkable
class SupportsSoftDelete(Protocol):
    """A deleted key can be recovered until it is purged."""

    def list_deleted(self) -> Iterable[str]:
        """Yield the names of the soft-deleted keys, in order."""
        ...

    def recover_key(self, name: str) -> KeyVersion:
        """Bring a soft-deleted key back with all its versions and return the latest.

        Raises:
            NotFoundError: no soft-deleted key has that name.
        """
        ...

    def purge_key(self, name: str) -> None:
        """Destroy a soft-deleted key for ever.

        Raises:
            NotFoundError: no soft-deleted key has that name.
        """
        ...


@runtime_checkable
class SupportsBackup(Protocol):
    """A key can leave the vault in a form that only such a vault can restore."""

    def backup_key(self, name: str) -> bytes:
        """Return the key with all its versions, protected by the vault.

        Raises:
            NotFoundError: there is no such key.
        """
        ...

    def restore_key(self, backup: bytes) -> KeyVersion:
        """Bring a backed-up key back, versions and all, and return the latest.

        Raises:
            AlreadyExistsError: the name is taken.
            InvalidInputError: this is no backup, or one that this vault cannot open.
        """
        ...


@runtime_checkable
class SupportsRandom(Protocol):
    """The vault has a random generator."""

    def random_bytes(self, length: int) -> SecretBytes:
        """Return ``length`` bytes, at least 1, from the vault's generator."""
        ...


@runtime_checkable
class SupportsTimeout(Protocol):
    """An operation can be given up when it takes too long."""

    def within(self, seconds: float) -> Driver:
        """Return the same vault, seen so that each operation has so many seconds.

        They go before a time that the URI says. What is returned lives as long as this driver does
        and need not be closed. Its operations raise ``UnavailableError`` when their time is over;
        what was begun may still be done.
        """
        ...


@runtime_checkable
class SupportsSecrets(Protocol):
    """The vault keeps secrets besides keys: texts with a content type and tags, in versions."""

    def get_secret(self, name: str, version: str | None = None) -> StoredSecret:
        """Return the named version with its value, or the latest where ``version`` is None.

        Raises:
            NotFoundError: there is no such secret or version.
            InvalidStateError: the version is disabled, or the name soft-deleted; the message says
                how to recover it.
        """
        ...

    def set_secret(self, request: SetSecret) -> StoredSecret:
        """Keep a new version under the name, which may be new too, and describe it.

        Raises:
            InvalidStateError: the name is soft-deleted.
            CapacityError: the value, the content type or the tags are more than the vault takes.
        """
        ...

    def list_secrets(self) -> Iterable[StoredSecret]:
        """Yield the latest version of every secret, without values, in the order of the names."""
        ...

    def list_secret_versions(self, name: str) -> Sequence[StoredSecret]:
        """Return every version of a secret, without values, oldest first.

        Raises:
            NotFoundError, InvalidStateError: as :meth:`get_secret`.
        """
        ...

    def delete_secret(self, name: str) -> None:
        """Delete a secret with all its versions, so that it can be recovered until it is purged.

        Raises:
            NotFoundError: there is none, or it is deleted already.
        """
        ...

    def list_deleted_secrets(self) -> Iterable[str]:
        """Yield the names of the soft-deleted secrets, in order."""
        ...

    def recover_secret(self, name: str) -> StoredSecret:
        """Bring a soft-deleted secret back and describe its latest version, without a value.

        Raises:
            NotFoundError: no soft-deleted secret has that name.
        """
        ...

    def purge_secret(self, name: str) -> None:
        """Destroy a soft-deleted secret for ever.

        Raises:
            NotFoundError: no soft-deleted secret has that name.
        """
        ...


@runtime_checkable
class SupportsManyAtOnce(Protocol):
    """The vault is used best by more callers at once than there are processors here."""

    @property
    def at_once(self) -> int:
        """How many operations in flight use it well: what batches have by default."""
        ...


@runtime_checkable
class SupportsDoctor(Protocol):
    """The vault can examine itself."""

    def examine(self) -> Iterable[Finding]:
        """Yield what was looked at and what was found, what others depend on first.

        What can be tried is tried, and not read from a list. Nothing is changed: what a trial needs
        is the trial's own, and gone when it is over, and no key of the vault's is used. Ask for no
        more rights than the vault was opened with. A check that cannot be made is a finding and
        no exception; :func:`keyhier.doctor.guarded` sees to it.
        """
        ...


@runtime_checkable
class SupportsUnwrapInto(Protocol):
    """A wrapped AES key can be unwrapped into the vault, to be used there and never to come out."""

    def unwrap_into(
        self,
        key: KeyVersion,
        algorithm: WrapAlgorithm,
        wrapped: bytes,
        purpose: WrapAlgorithm,
        key_id: KeyId,
    ) -> KeyVersion:
        """Unwrap an AES key that exists until it is discarded, and describe it as a version.

        It is for one algorithm, sensitive and not extractable, and no search finds it. Look whether
        the vault made it so: some ignore what they are told.

        Args:
            key: the version that wrapped it.
            algorithm: how; the output of that algorithm's raw wrap of the key's bytes.
            wrapped: the wrapped key.
            purpose: the one algorithm that it will be for, which also says its size.
            key_id: what the description calls it.

        Raises:
            UnwrapError: the key rejects the bytes, or what they hold is no AES key of that size.
            UnsupportedError: the vault cannot unwrap this way without showing the key to anybody.
            InvalidStateError: the version is disabled.
            NotFoundError: the version is gone.
        """
        ...

    def discard(self, key: KeyVersion) -> None:
        """Destroy what :meth:`unwrap_into` made; doing so twice is harmless.

        Afterwards its use is an ``InvalidStateError``. Closing the driver does the same to all.
        """
        ...


@attrs.frozen
class OpenOptions:
    """What a user hands to :func:`keyhier.open` besides the URI.

    Attributes:
        pin: asked for the PIN or passphrase in place of the URI's ``pin-source``.
        credential: what a cloud's identity library made; anything with a ``get_token`` method.
    """

    pin: PinCallback | None = attrs.field(default=None, repr=False)
    credential: object | None = attrs.field(default=None, repr=False)

    def refuse_credential(self) -> None:
        """Raise if there is a credential, which a vault that logs in otherwise would not use.

        Raises:
            InvalidInputError: there is one.
        """
        if self.credential is not None:
            raise InvalidInputError("this kind of vault takes no credential")


class Backend(Protocol):
    """What the entry point refers to; importing it must not load the vendor's package."""

    @property
    def description(self) -> str:
        """One line for a list of backends."""
        ...

    @property
    def uri_forms(self) -> tuple[str, ...]:
        """Examples of the URIs it takes."""
        ...

    def unavailable(self) -> str | None:
        """Say why the backend cannot be used here and what to install, or None if it can."""
        ...

    def open(self, uri: VaultUri, options: OpenOptions) -> Driver:
        """Open a vault.

        Raises:
            InvalidInputError: the URI has an unknown attribute, or lacks one.
            NotFoundError: there is no such module, token or file.
            AmbiguousError: several tokens answer to the URI.
            AuthenticationError: the PIN is wrong, or there is none.
            UnsupportedError: a package that the backend needs is not installed.
        """
        ...


@runtime_checkable
class SupportsPreliminaries(Protocol):
    """A :class:`Backend` that can say something of a vault before it is opened."""

    def preliminaries(self, uri: VaultUri, options: OpenOptions) -> Iterable[Finding]:
        """Yield what is seen without a PIN; an error among it keeps the vault from being opened.

        Raises:
            InvalidInputError, UnsupportedError: as :meth:`Backend.open`.
        """
        ...
