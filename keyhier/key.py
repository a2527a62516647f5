"""Key: one version of a key encryption key, as a user holds it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from keyhier.algorithms import (
    KeySpec,
    KeyType,
    WrapAlgorithm,
    check_aad,
    check_capacity,
    check_wrapped_length,
)
from keyhier.driver import (
    KeyVersion,
    SupportsExport,
    SupportsLifecycle,
    SupportsRotation,
    SupportsRotationPolicy,
    SupportsTaggedRotation,
    SupportsUnwrapInto,
)
from keyhier.envelopes import Envelopes
from keyhier.errors import InvalidInputError, KeyhierError, UnwrapError
from keyhier.identifiers import KeyId
from keyhier.kek_operations import KekOperations
from keyhier.opened import OpenedVault
from keyhier.rotation_policy import RotationPolicy
from keyhier.secret import Secret, SecretBytes, lent
from keyhier.session_key import SessionKey
from keyhier.steps import OPENING, Steps, finish
from keyhier.wrapped import WrappedKey

__all__ = ["Key"]


class Key:
    """One version of a key in an open vault; made by :class:`~keyhier.vault.Vault` only.

    What it says of itself (``enabled``) is what the vault said when the key was last looked up
    or changed through this vault object; :meth:`refresh` asks again.
    """

    def __init__(self, opened: OpenedVault[Key], version: KeyVersion) -> None:
        self._opened = opened
        self._kek = KekOperations(opened, version)
        self._envelopes = Envelopes(self._kek)

    def __repr__(self) -> str:
        return f"<Key {self.id}>"

    @property
    def id(self) -> KeyId:
        """The identity, with the exact version."""
        return self._kek.version.id

    @property
    def name(self) -> str:
        """The name, which all versions share."""
        return self._kek.version.id.name

    @property
    def version(self) -> str:
        """The version, as the vault writes it."""
        return self._kek.version.id.version

    @property
    def spec(self) -> KeySpec:
        """The family and size."""
        return self._kek.version.spec

    @property
    def enabled(self) -> bool:
        """Whether the vault used this version when it was last asked."""
        return self._kek.version.enabled and not self._kek.deleted

    @property
    def created(self) -> datetime | None:
        """When the version was made, in UTC, where the vault knows."""
        return self._kek.version.created

    @property
    def not_before(self) -> datetime | None:
        """Before when the version is not to wrap, in UTC, where the vault keeps such a time."""
        return self._kek.version.not_before

    @property
    def expires(self) -> datetime | None:
        """From when the version is not to wrap, in UTC, where the vault keeps such a time."""
        return self._kek.version.expires

    @property
    def public_key(self) -> RSAPublicKey | None:
        """The public half of an RSA key, or None."""
        return self._kek.version.public_key

    @property
    def thumbprint(self) -> str | None:
        """The RFC 7638 thumbprint of an RSA key, or None."""
        return self._kek.thumbprint

    @property
    def algorithms(self) -> tuple[WrapAlgorithm, ...]:
        """What this version may be used with in this vault, the default first."""
        return self._kek.version.algorithms

    @property
    def default_algorithm(self) -> WrapAlgorithm:
        """What is used where no algorithm is named.

        Raises:
            UnsupportedError: the vault can use the key with nothing that is safe by default.
        """
        return self._kek.default_algorithm

    @property
    def default_reason(self) -> str | None:
        """Why the default is not the usual one for this spec, or is none; None where it is."""
        return self._kek.default_reason

    # ------------------------------------------------------------------ envelopes

    def wrap(
        self,
        secret: Secret,
        *,
        context: Mapping[str, str] | None = None,
        algorithm: WrapAlgorithm | str | None = None,
        content_type: str | None = None,
        timeout: float | None = None,
    ) -> WrappedKey:
        """Wrap a secret into an envelope that names this exact version.

        For RSA keys nothing is asked of the vault. What an AES key wraps in the vault is opened
        once before it is handed out.

        Args:
            secret: 1 byte to 48 KiB, or a volume key.
            context: bound to the secret and readable in the envelope; the same must be given to
                unwrap. Strings to strings, at most 16 entries.
            algorithm: one of :attr:`algorithms`; by default :attr:`default_algorithm`.
            content_type: the envelope's ``cty``; by default what the secret says it is.
            timeout: the seconds that each operation in the vault may take.

        Raises:
            InvalidInputError: the secret is empty, or the context or content type malformed.
            CapacityError: the secret or the context is too long, or the key has sealed 2^32 times.
            UnsupportedError: the algorithm is not for this key, this vault or for envelopes, or the
                vault knows no timeouts.
            InvalidStateError: the key is disabled, deleted, expired or not valid yet, or the vault
                closed.
            IntegrityError: what the vault wrapped does not open again.
            UnavailableError: the vault did not answer, or not in time.
        """
        chosen = self._kek.choose(algorithm)
        if not self._opened.audited:
            return self._envelopes.seal(secret, chosen, context, content_type, timeout)
        with self._opened.operation("wrap", self.id, chosen, context):
            return self._envelopes.seal(secret, chosen, context, content_type, timeout)

    def unwrap(
        self,
        wrapped: WrappedKey | str,
        *,
        context: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> SecretBytes:
        """Open an envelope that names this exact version and return the secret.

        The caller wipes the secret; it is a context manager. A key that has expired unwraps still.

        Args:
            wrapped: the envelope, or its text.
            context: what was bound to it.
            timeout: as for :meth:`wrap`.

        Raises:
            InvalidInputError: the envelope is malformed by its public bytes, or the context is.
            UnwrapError: it does not open; nothing is said about why.
            UnsupportedError: this vault lacks the mechanism that the envelope names, or knows no
                timeouts.
            InvalidStateError: the key is disabled or deleted, or the vault closed.
            UnavailableError: the vault did not answer, or not in time.
        """
        return finish(self.unwrap_in_steps(wrapped, context=context, timeout=timeout))

    def unwrap_in_steps(
        self,
        wrapped: WrappedKey | str,
        *,
        context: Mapping[str, str] | None = None,
        timeout: float | None = None,
    ) -> Steps[SecretBytes]:
        """Unwrap as :meth:`unwrap` does, pausing as :meth:`Envelopes.open`.

        So whoever opens many envelopes can do the same step of several, one after the other.
        """
        envelope = wrapped if isinstance(wrapped, WrappedKey) else WrappedKey.parse(wrapped)
        header = envelope.header
        bound = header.is_bound_to(context)
        with self._opened.operation("unwrap", header.kid, header.algorithm, header.context):
            if not bound or header.kid != self.id:
                yield from OPENING
                raise UnwrapError
            return (yield from self._envelopes.open(envelope, moved=False, timeout=timeout))

    def open_envelope(
        self, envelope: WrappedKey, *, moved: bool, timeout: float | None
    ) -> Steps[SecretBytes]:
        """Open an envelope in steps, as :meth:`Envelopes.open` does; for a Vault only.

        ``moved`` says that an alias chose the key.
        """
        return self._envelopes.open(envelope, moved=moved, timeout=timeout)

    # ------------------------------------------------------------------ raw wraps

    def wrap_raw(
        self,
        secret: Secret,
        algorithm: WrapAlgorithm | str | None = None,
        *,
        aad: bytes = b"",
        timeout: float | None = None,
    ) -> bytes:
        """Return the bare output of the KEK operation, for formats that demand it.

        It names no key, binds no context and proves nothing: whoever keeps it must keep the key
        version and the algorithm with it. Prefer :meth:`wrap`.

        Args:
            secret: as many bytes as :func:`~keyhier.algorithms.capacity` allows.
            algorithm: by default :attr:`default_algorithm`. ``RSA1_5`` only when asked for by name.
            aad: additional data, for ``A256GCM`` only, whose output is IV, ciphertext and tag.
            timeout: as for :meth:`wrap`.

        Raises:
            CapacityError: the secret is too long for the key, or the key has sealed 2^32 times.
            InvalidInputError, UnsupportedError, InvalidStateError, IntegrityError,
            UnavailableError: as :meth:`wrap`.
        """
        chosen = self._kek.choose(algorithm)
        check_aad(chosen, aad)
        with self._opened.operation("wrap_raw", self.id, chosen):
            if isinstance(secret, SecretBytes):
                return self._wrap_checked(secret, chosen, aad, timeout)
            with lent(secret) as copy:
                return self._wrap_checked(copy, chosen, aad, timeout)

    def _wrap_checked(
        self, secret: SecretBytes, algorithm: WrapAlgorithm, aad: bytes, timeout: float | None
    ) -> bytes:
        check_capacity(algorithm, self.spec, len(secret))
        self._kek.require_wrapping()
        return self._kek.wrap(algorithm, secret, aad, timeout)

    def unwrap_raw(
        self,
        wrapped: bytes,
        algorithm: WrapAlgorithm | str | None = None,
        *,
        aad: bytes = b"",
        timeout: float | None = None,
    ) -> SecretBytes:
        """Undo :meth:`wrap_raw`; the algorithm must be the one that wrapped.

        With ``RSA1_5`` a wrong key or altered bytes yield garbage and no error, by design: the
        caller must recognise the plaintext, and must not let anybody else learn whether it did.

        Raises:
            InvalidInputError: the bytes cannot be this algorithm's output, by their length.
            UnwrapError: they do not open; nothing is said about why.
            UnsupportedError, InvalidStateError, UnavailableError: as :meth:`unwrap`.
        """
        chosen = self._kek.choose(algorithm)
        check_aad(chosen, aad)
        with self._opened.operation("unwrap_raw", self.id, chosen):
            return self._kek.unwrap(chosen, bytes(wrapped), aad, timeout)

    # ------------------------------------------------------------------ keys of keys

    def unwrap_into(
        self,
        wrapped: bytes,
        algorithm: WrapAlgorithm | str | None = None,
        *,
        key_id: KeyId | str,
        purpose: WrapAlgorithm | str = WrapAlgorithm.A256KW,
        timeout: float | None = None,
    ) -> SessionKey:
        """Unwrap an AES key encryption key into the vault, where it stays until it is closed.

        Its bytes are seen by nobody, this program included; volume keys are wrapped and unwrapped
        with it in the vault. Use it as a context manager.

        Args:
            wrapped: what :meth:`wrap_raw` of the AES key's bytes gave.
            algorithm: how it was wrapped, as for :meth:`unwrap_raw`.
            key_id: what its envelopes call it: the id of the record that it is kept in,
                ``record:HIERARCHY/NAME/VERSION``.
            purpose: the one algorithm it is for, which also says its size.
            timeout: as for :meth:`wrap`.

        Raises:
            InvalidInputError: the bytes cannot be this algorithm's output, by their length, or the
                id is not one of a record, or the purpose is not one for AES keys.
            UnwrapError: they do not open, or hold no AES key of that size.
            UnsupportedError: the vault cannot do so without showing the key to anybody.
            InvalidStateError: the key is disabled or deleted, or the vault closed.
            UnavailableError: the vault did not answer, or not in time.
        """
        chosen = self._kek.choose(algorithm)
        use = WrapAlgorithm.parse(purpose)
        if use.key_type is not KeyType.AES:
            raise InvalidInputError(f"{use} is no algorithm for an AES key")
        named = key_id if isinstance(key_id, KeyId) else KeyId.parse(key_id)
        if named.scheme != "record" or not named.version:
            raise InvalidInputError(
                "a key that is unwrapped into a vault is named by its record and version",
                remedy="for example record:fleet/web/1",
            )
        with self._opened.operation("unwrap_into", self.id, chosen):
            driver = self._opened.capable(SupportsUnwrapInto, "unwrap keys into itself", timeout)
            check_wrapped_length(chosen, self.spec, len(wrapped))
            self._kek.require_usable()
            version = driver.unwrap_into(self._kek.version, chosen, bytes(wrapped), use, named)
        return SessionKey(driver, Key(self._opened, version), version)

    # ------------------------------------------------------------------ versions and lifecycle

    def refresh(self) -> None:
        """Ask the vault again how this version is.

        Raises:
            NotFoundError: it is gone.
        """
        self._kek.refresh()

    def versions(self) -> list[Key]:
        """Return every version of this key, oldest first.

        Raises:
            NotFoundError: the key is gone.
        """
        found = self._opened.driver.list_versions(self.name)
        return [Key.adopt(self._opened, version) for version in found]

    def rotate(self, *, tag: str | None = None) -> Key:
        """Make a new version under the same name and return it; older ones still open theirs.

        Args:
            tag: what the version is made for, such as a job's UUID. Where a version was made for
                it already, that one is returned and nothing is made.

        Raises:
            InvalidInputError: the tag is empty.
            UnsupportedError: the vault cannot rotate, or not for a tag.
            InvalidStateError: the key is one that cannot be rotated.
            NotFoundError: the key is gone.
        """
        if tag is not None and not tag:
            raise InvalidInputError("a version is made for a tag that is not empty")
        with self._opened.operation("rotate", self.id) as operation:
            if tag is None:
                made = self._opened.capable(SupportsRotation, "rotate keys").rotate_key(self.name)
            else:
                tagging = self._opened.capable(SupportsTaggedRotation, "rotate a key for a job")
                made = tagging.rotate_key_for(self.name, tag)
            return operation.made(Key.adopt(self._opened, made))

    def export(self) -> SecretBytes:
        """Return the key itself, to be imported into another vault; the caller wipes it.

        Only a key that was made ``extractable`` can leave its vault.

        Raises:
            UnsupportedError: this one cannot, or the vault lets none go.
            InvalidStateError: the key is disabled or deleted, or the vault closed.
            NotFoundError: the key is gone.
        """
        with self._opened.operation("export_key", self.id):
            driver = self._opened.capable(
                SupportsExport,
                "let a key go",
                remedy="move the records and not the key; a backup, where the vault makes one, "
                "opens in its like only",
            )
            self._kek.require_usable()
            return driver.export_key(self._kek.version)

    def rotation_policy(self) -> RotationPolicy:
        """Return when the vault rotates this key by itself.

        Raises:
            UnsupportedError: the vault rotates no keys by itself.
            NotFoundError: the key is gone.
        """
        driver = self._opened.capable(SupportsRotationPolicy, "rotate keys by itself")
        return driver.get_rotation_policy(self.name)

    def set_rotation_policy(self, policy: RotationPolicy) -> RotationPolicy:
        """Say when the vault shall rotate this key, and return what it made of it.

        Raises:
            UnsupportedError, NotFoundError: as :meth:`rotation_policy`.
            InvalidInputError: the vault does not take a duration.
        """
        driver = self._opened.capable(SupportsRotationPolicy, "rotate keys by itself")
        with self._opened.operation("set_rotation_policy", self.id.versionless):
            return driver.set_rotation_policy(self.name, policy)

    def disable(self) -> None:
        """Stop the vault from using this version, for wraps and unwraps.

        Raises:
            UnsupportedError: the vault cannot, or does not hold to it.
            NotFoundError: the version is gone.
        """
        self._set_enabled(enabled=False)

    def enable(self) -> None:
        """Let the vault use this version again.

        Raises:
            UnsupportedError, NotFoundError: as :meth:`disable`.
        """
        self._set_enabled(enabled=True)

    def _set_enabled(self, *, enabled: bool) -> None:
        with self._opened.operation("enable" if enabled else "disable", self.id):
            driver = self._opened.capable(SupportsLifecycle, "disable and enable keys")
            self._update(driver.set_enabled(self._kek.version, enabled=enabled))

    def delete(self, *, confirm: str) -> None:
        """Delete the key with *all its versions*; where the vault has soft delete it can come back.

        Args:
            confirm: the key's name, again; what it wrapped may never open afterwards.

        Raises:
            InvalidInputError: ``confirm`` is not the name.
            UnsupportedError: the vault cannot delete.
            NotFoundError: the key is gone.
        """
        # A key without a name has none to give again, so an empty string confirms nothing.
        if not confirm or confirm != self.name:
            raise InvalidInputError(
                f"to delete {self.name!r} with all its versions, give its name again"
            )
        with self._opened.operation("delete", self.id):
            driver = self._opened.capable(SupportsLifecycle, "delete keys")
            driver.delete_key(self._kek.version)
        self._kek.deleted = True
        for key in self._opened.seen(self.name):
            key._look_whether_deleted()  # noqa: SLF001  # It is this class's own.

    def _look_whether_deleted(self) -> None:
        """Ask after another key's deletion: keys of others can share a name on a PKCS#11 token."""
        if not self._kek.deleted:
            try:
                self.refresh()
            except KeyhierError:
                # Nothing is wrapped under a key that may be gone; a refresh can bring it back.
                self._kek.deleted = True

    @classmethod
    def adopt(cls, opened: OpenedVault[Key], version: KeyVersion) -> Key:
        """Return the one Key for a version that the driver described; for a Vault only."""
        return opened.adopt(version, lambda made: cls(opened, made), cls._update)

    def _update(self, version: KeyVersion) -> None:
        self._kek.update(version)
