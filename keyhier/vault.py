"""Vault and Key: what a user holds. The driver beneath is never seen.

Everything that is common to all vaults is written here and in :mod:`keyhier.key`, once: argument
checks, the choice of algorithms, capacities, wrapping with the public half locally, envelopes,
contexts, audit events, batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType, TracebackType
from typing import Final, Self

from keyhier.algorithms import KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.audit import AuditHook
from keyhier.batch import Outcome, Progress, stream, stream_in_steps
from keyhier.capabilities import Capabilities
from keyhier.doctor import Diagnosis, guarded
from keyhier.driver import (
    CreateKey,
    Driver,
    ImportKey,
    KeyVersion,
    SupportsBackup,
    SupportsDoctor,
    SupportsImport,
    SupportsRandom,
    SupportsSoftDelete,
)
from keyhier.errors import (
    InvalidInputError,
    NotFoundError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.identifiers import KeyId, check_key_name
from keyhier.key import Key
from keyhier.opened import OpenedVault, is_of
from keyhier.pin_exposure import examine_pin_source
from keyhier.secret import Secret, SecretBytes
from keyhier.secrets_store import Secrets
from keyhier.steps import OPENING, Steps, finish
from keyhier.stored_secret import SecretId
from keyhier.uri import VaultUri
from keyhier.wrapped import WrappedKey

__all__ = ["Key", "Vault"]

Context = Mapping[str, str] | None

MAX_RANDOM_BYTES: Final = 1024 * 1024


class Vault:
    """An open vault; a context manager that closes it. Made by :func:`keyhier.open`."""

    def __init__(
        self,
        driver: Driver,
        *,
        uri: str,
        aliases: Mapping[KeyId, KeyId] | None = None,
        audit: AuditHook | None = None,
    ) -> None:
        self._opened = OpenedVault[Key](driver, audit)
        self._uri = uri
        self._aliases = dict(aliases or {})

    def __repr__(self) -> str:
        return f"<Vault {self._uri}>"

    @property
    def uri(self) -> str:
        """The URI it was opened by."""
        return self._uri

    @property
    def aliases(self) -> Mapping[KeyId, KeyId]:
        """The ids of old that it was opened with, and the ids of its own keys that they mean."""
        return MappingProxyType(self._aliases)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let the vault go; doing so twice is harmless."""
        self._opened.close()

    @property
    def capabilities(self) -> Capabilities:
        """What this vault can do."""
        return Capabilities.of(self._opened.driver)

    @property
    def secrets(self) -> Secrets:
        """What it keeps besides keys; its methods say if the vault keeps none."""
        return Secrets(self._opened)

    # ------------------------------------------------------------------ keys

    def create_key(
        self,
        name: str,
        spec: KeySpec | str,
        *,
        algorithm: WrapAlgorithm | str | None = None,
        extractable: bool = False,
    ) -> Key:
        """Make a key that never leaves the vault.

        Args:
            name: 1 to 127 letters, digits and hyphens of ASCII: what every kind of vault accepts.
            spec: such as ``RSA-3072`` or ``AES-256``.
            algorithm: AES only: the one algorithm that the version will be for.
            extractable: whether the vault may hand the key out wrapped under another key.

        Raises:
            InvalidInputError: a bad name, an unknown spec, or an algorithm that does not fit it.
            AlreadyExistsError: the name is taken, also by a soft-deleted key.
            UnsupportedError: the vault cannot make such a key; the message lists what it can.
        """
        check_key_name(name)
        wanted = KeySpec.parse(spec)
        chosen = _fitting(wanted, algorithm)
        with self._opened.operation("create_key", name, chosen) as operation:
            driver = self._opened.driver
            if wanted not in driver.key_specs:
                able = ", ".join(sorted(driver.key_specs)) or "none"
                raise UnsupportedError(f"this vault cannot make {wanted} keys; it can make {able}")
            request = CreateKey(name, wanted, chosen, extractable)
            return operation.made(self._adopt(driver.create_key(request)))

    def import_key(
        self,
        name: str,
        material: SecretBytes | bytes | bytearray,
        *,
        algorithm: WrapAlgorithm | str | None = None,
    ) -> Key:
        """Take over a key made elsewhere, as the first version of a new name.

        Args:
            name, algorithm: as for :meth:`create_key`.
            material: 16, 24 or 32 bytes of an AES key, or an unencrypted RSA private key in
                PKCS#8 or PKCS#1, DER or PEM.

        Raises:
            InvalidInputError: the material is none of these, or of a size that is not accepted.
            AlreadyExistsError, UnsupportedError: as :meth:`create_key`.
        """
        # Imported late, because the library's readers of keys are many and only imports need them.
        from keyhier.material import read_material  # noqa: PLC0415

        check_key_name(name)
        spec, prepared = read_material(material)
        with prepared:
            chosen = _fitting(spec, algorithm)
            request = ImportKey(name, spec, prepared, chosen)
            with self._opened.operation("import_key", name, chosen) as operation:
                driver = self._opened.capable(SupportsImport, "import keys")
                return operation.made(self._adopt(driver.import_key(request)))

    def key(self, name: str | KeyId, version: str | None = None) -> Key:
        """Return a key by its name or id: the named version, or the latest.

        Raises:
            InvalidInputError: the id or the text is malformed, or a version is given twice.
            NotFoundError: there is no such key or version, or the id is another vault's.
            AmbiguousError: several keys answer to the name.
            InvalidStateError: the key is soft-deleted.
        """
        if isinstance(name, KeyId) or name.startswith(f"{self._opened.driver.scheme}:"):
            return self._by_id(name if isinstance(name, KeyId) else KeyId.parse(name), version)
        _check_text(name, version or "")
        return self._adopt(self._opened.driver.get_key(name, version))

    def id_of(self, name: str) -> KeyId:
        """Return the id, without a version, of a key of this vault that may or may not be there.

        Nothing is asked of the vault.

        Args:
            name: the key's name, or its id with or without a version.

        Raises:
            InvalidInputError: it is neither.
            NotFoundError: it is the id of another vault's key.
        """
        driver = self._opened.driver
        if name.startswith(f"{driver.scheme}:"):
            key_id = KeyId.parse(name)
        else:
            key_id = KeyId.parse(str(KeyId(driver.scheme, driver.vault, name)))
        if not is_of(key_id, driver):
            raise NotFoundError(f"{key_id} is not a key of this vault")
        return key_id.versionless

    def _adopt(self, version: KeyVersion) -> Key:
        return Key.adopt(self._opened, version)

    def _by_id(self, key_id: KeyId, version: str | None, timeout: float | None = None) -> Key:
        if version is not None and key_id.version:
            raise InvalidInputError("the id names a version already")
        if not is_of(key_id, self._opened.driver):
            raise NotFoundError(f"{key_id} is not a key of this vault")
        # An id that was made and not read can hold anything.
        _check_text(key_id.name, key_id.version)
        driver = self._opened.within(timeout)
        return self._adopt(driver.get_key(key_id.name, key_id.version or version))

    def is_home_of(self, object_id: KeyId | SecretId) -> bool:
        """Whether an id is of this vault, be it of something that is there or not."""
        return is_of(object_id, self._opened.driver)

    @property
    def at_once(self) -> int | None:
        """How many operations in flight use the vault well, or None where it does not say.

        Raises:
            InvalidStateError: the vault was closed.
        """
        return self._opened.at_once

    def keys(self) -> Iterator[Key]:
        """Yield the latest version of every key."""
        return map(self._adopt, self._opened.driver.list_keys())

    def deleted(self) -> list[str]:
        """Return the names of the soft-deleted keys.

        Raises:
            UnsupportedError: the vault has no soft delete.
        """
        return list(self._opened.capable(SupportsSoftDelete, "soft-delete keys").list_deleted())

    def recover_key(self, name: str) -> Key:
        """Bring a soft-deleted key back, with all its versions, and return the latest.

        Raises:
            NotFoundError: no soft-deleted key has that name.
            UnsupportedError: the vault has no soft delete.
        """
        _check_text(name)
        with self._opened.operation("recover_key", name) as operation:
            driver = self._opened.capable(SupportsSoftDelete, "recover keys")
            return operation.made(self._adopt(driver.recover_key(name)))

    def purge_key(self, name: str, *, confirm: str) -> None:
        """Destroy a soft-deleted key for ever; ``confirm`` is its name again.

        Raises:
            InvalidInputError: ``confirm`` is not the name.
            NotFoundError, UnsupportedError: as :meth:`recover_key`.
        """
        if confirm != name:
            raise InvalidInputError(f"to destroy {name!r} for ever, give its name again")
        _check_text(name)
        with self._opened.operation("purge_key", name):
            driver = self._opened.capable(SupportsSoftDelete, "purge keys")
            driver.purge_key(name)

    def backup_key(self, name: str) -> bytes:
        """Return a key, versions and all, in a form that only such a vault can restore.

        Raises:
            NotFoundError: there is no such key.
            UnsupportedError: the vault cannot back keys up.
        """
        _check_text(name)
        with self._opened.operation("backup_key", name):
            driver = self._opened.capable(SupportsBackup, "back keys up")
            return driver.backup_key(name)

    def restore_key(self, backup: bytes) -> Key:
        """Bring a backed-up key back and return its latest version.

        Raises:
            AlreadyExistsError: the name is taken.
            InvalidInputError: this is no backup, or one that this vault cannot open.
            UnsupportedError: the vault cannot restore keys.
        """
        with self._opened.operation("restore_key", "") as operation:
            driver = self._opened.capable(SupportsBackup, "restore keys")
            return operation.made(self._adopt(driver.restore_key(backup)))

    # ------------------------------------------------------------------ wrapped keys

    def unwrap(
        self,
        wrapped: WrappedKey | str,
        *,
        context: Context = None,
        timeout: float | None = None,
    ) -> SecretBytes:
        """Open an envelope with the key version of this vault that it names.

        The ``kid`` selects among this vault's keys and does nothing else. The caller wipes the
        secret, which is a context manager.

        Args:
            wrapped: the envelope, or its text.
            context: what was bound to it.
            timeout: the seconds that each operation in the vault may take.

        Raises:
            InvalidInputError: the envelope is malformed by its public bytes, or the context is.
            UnwrapError: it does not open, because of the context, the key or the bytes; nothing
                is said about which.
            InvalidStateError: the key is disabled or soft-deleted, or the vault closed.
            UnsupportedError: this vault lacks the mechanism that the envelope names, or knows no
                timeouts.
            UnavailableError: the vault did not answer, or not in time.
        """
        return finish(self._unwrap_in_steps(wrapped, context, timeout))

    def _unwrap_in_steps(
        self, wrapped: WrappedKey | str, context: Context, timeout: float | None
    ) -> Steps[SecretBytes]:
        envelope = wrapped if isinstance(wrapped, WrappedKey) else WrappedKey.parse(wrapped)
        header = envelope.header
        bound = header.is_bound_to(context)
        with self._opened.operation("unwrap", header.kid, header.algorithm, header.context):
            if bound:
                return (yield from self._open(envelope, timeout))
            yield from OPENING
            raise UnwrapError

    def _open(self, envelope: WrappedKey, timeout: float | None) -> Steps[SecretBytes]:
        """Open the envelope, whose kid may be no key of this vault, or of none any more."""
        left: tuple[None, ...] = OPENING
        kid = envelope.header.kid
        target = self._aliases.get(kid, kid) if self._aliases else kid
        try:
            key = self._opened.known(target) or self._by_id(target, None, timeout)
            if key.id == target:
                moved = target is not kid and target != kid
                # Where the key is gone by now, that shows between the two pauses.
                left = OPENING[1:]
                return (yield from key.open_envelope(envelope, moved=moved, timeout=timeout))
        except NotFoundError:
            # A vault that another thread has closed finds nothing, which is no verdict.
            self._opened.require_open()
        yield from left
        raise UnwrapError

    def wrap_many(
        self,
        key: Key,
        items: Iterable[tuple[Secret, Context]],
        *,
        workers: int | None = None,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Iterator[Outcome[WrappedKey]]:
        """Wrap a stream of ``(secret, context)`` pairs; see :func:`keyhier.batch.stream`.

        ``timeout`` is for each item, as for :meth:`Key.wrap`.
        """
        return stream(
            lambda item: key.wrap(item[0], context=item[1], timeout=timeout),
            items,
            workers=workers,
            progress=progress,
        )

    def unwrap_many(
        self,
        items: Iterable[tuple[WrappedKey | str, Context]],
        *,
        workers: int | None = None,
        progress: Progress | None = None,
        timeout: float | None = None,
    ) -> Iterator[Outcome[SecretBytes]]:
        """Open a stream of ``(wrapped, context)`` pairs; see :func:`keyhier.batch.stream`.

        ``timeout`` is for each item, as for :meth:`unwrap`. A vault in a network, which is waited
        for, has more ``workers`` by default.
        """
        return stream_in_steps(
            lambda item: self._unwrap_in_steps(item[0], item[1], timeout),
            map(_read, items),
            workers=self._opened.at_once if workers is None else workers,
            progress=progress,
        )

    def random_bytes(self, length: int, *, timeout: float | None = None) -> SecretBytes:
        """Return 1 to 1,048,576 bytes from the vault's own generator.

        Args:
            length: how many.
            timeout: the seconds that it may take.

        Raises:
            InvalidInputError: the length is out of bounds.
            UnsupportedError: the vault has no generator, or knows no timeouts.
            UnavailableError: the vault did not answer, or not in time.
        """
        if not 0 < length <= MAX_RANDOM_BYTES:
            raise InvalidInputError(f"a vault gives 1 to {MAX_RANDOM_BYTES} random bytes at a time")
        driver = self._opened.capable(SupportsRandom, "generate random bytes", timeout)
        return driver.random_bytes(length)

    def doctor(self) -> Diagnosis:
        """Examine the vault: what it can do, tried; what is on it; what to do about it.

        Nothing is changed, and no key of the vault's is used. It takes a few seconds.

        Raises:
            UnsupportedError: this kind of vault cannot be examined.
            InvalidStateError: the vault was closed.
        """
        driver = self._opened.capable(SupportsDoctor, "examine itself")
        pin_source = guarded("pin-source", lambda: examine_pin_source(VaultUri.parse(self._uri)))
        return Diagnosis(self._uri, (*pin_source, *driver.examine()))


def _read(item: tuple[WrappedKey | str, Context]) -> tuple[WrappedKey | str, Context]:
    """Read an item's text if it is an envelope; if not, whoever opens it says so.

    For batches, whose reader takes several items at once: what it does for one after the other
    costs less than between two operations of a vault, which leave little of it in the caches.
    """
    wrapped, context = item
    try:
        return (wrapped if isinstance(wrapped, WrappedKey) else WrappedKey.parse(wrapped)), context
    except InvalidInputError:
        return wrapped, context


def _check_text(*texts: str) -> None:
    """Refuse what no vault can be asked for; a key that keyhier did not make has any other name."""
    for text in texts:
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidInputError("a key's name and version hold no NUL and no lone surrogate")


def _fitting(spec: KeySpec, algorithm: WrapAlgorithm | str | None) -> WrapAlgorithm | None:
    """Return the one algorithm of an AES version; an RSA version has none of its own."""
    if spec.key_type is KeyType.RSA:
        if algorithm is not None:
            raise InvalidInputError(
                "an RSA key is not made for one algorithm; name it when wrapping"
            )
        return None
    fitting = algorithms_for(spec)
    chosen = fitting[0] if algorithm is None else WrapAlgorithm.parse(algorithm)
    if chosen not in fitting:
        raise InvalidInputError(f"{chosen} does not fit {spec}; what fits is {', '.join(fitting)}")
    return chosen
