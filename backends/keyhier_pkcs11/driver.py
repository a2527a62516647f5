"""The driver: one vault open on a PKCS#11 token."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
from pkcs11.exceptions import PKCS11Error

from keyhier.algorithms import KeySpec, WrapAlgorithm
from keyhier.driver import CreateKey, ImportKey, KeyVersion
from keyhier.errors import (
    AuthenticationError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
)
from keyhier.identifiers import KeyId
from keyhier.secret import SecretBytes
from keyhier_pkcs11.authentication import reading_pin
from keyhier_pkcs11.catalogue import Catalogue
from keyhier_pkcs11.deadline import Deadline, Workers, within_deadline
from keyhier_pkcs11.errors import lost, translated
from keyhier_pkcs11.exporting import export_key
from keyhier_pkcs11.kek_operations import KekOperations
from keyhier_pkcs11.lifecycle import Lifecycle
from keyhier_pkcs11.making import KeyMaker
from keyhier_pkcs11.module import load_module
from keyhier_pkcs11.objects import TokenObjects
from keyhier_pkcs11.profile import choose_profile
from keyhier_pkcs11.session import Connection, connection_to, nobody_works_with
from keyhier_pkcs11.token import find_token

if TYPE_CHECKING:
    from pkcs11 import Token

    from keyhier.doctor import Finding
    from keyhier_pkcs11.address import TokenAddress
    from keyhier_pkcs11.login import Login
    from keyhier_pkcs11.module import Module

__all__ = ["Pkcs11Driver"]

# NSS gives at most 65,536.
_RANDOM_BYTES_AT_ONCE: Final = 32 * 1024


@attrs.define(eq=False)
class _OpenVault:
    """What every view of one open vault shares; it is what uses the connection."""

    connection: Connection
    maker: KeyMaker
    catalogue: Catalogue
    lifecycle: Lifecycle
    keks: KekOperations
    workers: Workers
    closed: bool = False

    def leave(self) -> None:
        """Let the token go; the last vault of the process that does logs out."""
        self.keks.close()
        self.connection.leave(self)


class Pkcs11Driver:
    """One open token; shares its login with every other vault of the process on that token."""

    def __init__(self, connection: Connection, address: TokenAddress, deadline: Deadline) -> None:
        """Make the driver of a connection that it has yet to join; :meth:`open` is the way in."""
        self.deadline = deadline
        self._shared = connection
        self._address = address
        self._objects = TokenObjects(connection)
        catalogue = Catalogue(connection, self._objects)
        self._vault = _OpenVault(
            connection,
            KeyMaker(connection, self._objects),
            catalogue,
            Lifecycle(connection, self._objects, catalogue),
            KekOperations(connection, self._objects, catalogue),
            deadline.workers,
        )

    @classmethod
    def open(cls, address: TokenAddress) -> Pkcs11Driver:
        """Load the module, choose the token and log in; see :meth:`Backend.open`."""
        workers = Workers(address.max_sessions)
        try:
            return cls._open(address, Deadline(address.timeout, workers))
        except BaseException:
            workers.close()
            raise

    @classmethod
    def _open(cls, address: TokenAddress, deadline: Deadline) -> Pkcs11Driver:
        connection = deadline.run(partial(_connection, address))
        driver = cls(connection, address, deadline)
        # Whoever types a PIN may take their time.
        hint = connection.abilities.profile.pin
        with (
            _hinting(AuthenticationError, "a PIN of this kind of token is", hint),
            reading_pin(connection.token, address.pin) as pin,
        ):
            vault = driver._vault
            join = partial(connection.join, vault, address.pin, pin, address.max_sessions)
            deadline.run(join, lambda _: connection.leave(vault))
        return driver

    def within(self, seconds: float) -> Pkcs11Driver:
        """Return the same vault with so much time for each operation; see `SupportsTimeout`."""
        view = copy.copy(self)
        view.deadline = attrs.evolve(self.deadline, seconds=seconds)
        return view

    def __repr__(self) -> str:
        return f"<Pkcs11Driver: token {self.vault!r}>"

    @property
    def scheme(self) -> str:
        """``pkcs11``."""
        return "pkcs11"

    @property
    def vault(self) -> str:
        """The token's label."""
        return self._shared.token.label

    @property
    @within_deadline
    def key_specs(self) -> frozenset[KeySpec]:
        """What the token can generate and then be of use with."""
        return self.connection.recovering(lambda _: self._shared.abilities.key_specs)

    @property
    @within_deadline
    def algorithms(self) -> frozenset[WrapAlgorithm]:
        """What the token can unwrap with; the first call may try with a key pair of its own."""
        return self.connection.recovering(lambda _: self._shared.abilities.algorithms)

    @within_deadline
    def get_key(self, name: str, version: str | None = None) -> KeyVersion:
        """Return a version; an empty name stands for a key of any label with that CKA_ID."""
        return self._open_vault.catalogue.get(name, version)

    @within_deadline
    def list_keys(self) -> Iterator[KeyVersion]:
        """Yield the latest version of every key; objects that are no KEKs are left out."""
        return iter(self._open_vault.catalogue.latest())

    @within_deadline
    def list_versions(self, name: str) -> Sequence[KeyVersion]:
        """Return the versions of a key; one that keyhier did not make has one."""
        return self._open_vault.catalogue.versions(name)

    @within_deadline
    def create_key(self, request: CreateKey) -> KeyVersion:
        """Generate a key on the token."""
        parts = self._open_vault
        return parts.catalogue.describe(parts.maker.create(request))

    @within_deadline
    def import_key(self, request: ImportKey) -> KeyVersion:
        """Put a key on the token that was made elsewhere; sensitive and not extractable."""
        parts = self._open_vault
        return parts.catalogue.describe(parts.maker.bring_in(request))

    def export_key(self, key: KeyVersion) -> SecretBytes:
        """Return a key that was made extractable, which the token wraps for this one time."""
        parts = self._open_vault
        let_go = partial(export_key, parts.connection, self._objects, key)
        return self.deadline.run(let_go, SecretBytes.wipe)

    @within_deadline
    def rotate_key(self, name: str) -> KeyVersion:
        """Generate a new version with the latest one's spec, algorithm and extractability."""
        parts = self._open_vault
        return parts.catalogue.describe(parts.maker.rotate(name))

    @within_deadline
    def rotate_key_for(self, name: str, tag: str) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsTaggedRotation.rotate_key_for`."""
        parts = self._open_vault
        return parts.catalogue.describe(parts.maker.rotate(name, tag))

    @within_deadline
    def wrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes = b""
    ) -> bytes:
        """Wrap with an AES key on the token."""
        return self._open_vault.keks.wrap(key, algorithm, plaintext, aad)

    @within_deadline
    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        """Unwrap with a key on the token; what the token rejects is an :class:`UnwrapError`."""
        return self._open_vault.keks.unwrap(key, algorithm, wrapped, aad)

    def unwrap_into(
        self,
        key: KeyVersion,
        algorithm: WrapAlgorithm,
        wrapped: bytes,
        purpose: WrapAlgorithm,
        key_id: KeyId,
    ) -> KeyVersion:
        """Unwrap an AES key into an object of a session, which is never let out."""
        keks = self._open_vault.keks
        unwrap = partial(keks.unwrap_into, key, algorithm, wrapped, purpose, key_id)
        return self.deadline.run(unwrap, keks.discard)

    @within_deadline
    def discard(self, key: KeyVersion) -> None:
        """Destroy what :meth:`unwrap_into` made; doing so twice is harmless."""
        self._vault.keks.discard(key)

    @within_deadline
    def set_enabled(self, key: KeyVersion, *, enabled: bool) -> KeyVersion:
        """Set or clear the usages of a version, and read them back."""
        return self._open_vault.lifecycle.set_enabled(key, enabled=enabled)

    @within_deadline
    def delete_key(self, key: KeyVersion) -> None:
        """Destroy all versions of a key that keyhier made, or the one object of another."""
        self._open_vault.lifecycle.delete(key)

    @within_deadline
    def random_bytes(self, length: int) -> SecretBytes:
        """Return random bytes from the token."""

        def generate(login: Login) -> SecretBytes:
            with login.session() as session:
                drawn = bytearray(length)
                for start in range(0, length, _RANDOM_BYTES_AT_ONCE):
                    part = min(_RANDOM_BYTES_AT_ONCE, length - start)
                    # python-pkcs11 counts bits.
                    drawn[start : start + part] = session.generate_random(part * 8)
                return SecretBytes.adopt(drawn)

        try:
            return self.connection.recovering(generate)
        except PKCS11Error as error:
            raise translated(error, "C_GenerateRandom", "random bytes") from error

    def examine(self) -> Iterator[Finding]:
        """See :meth:`SupportsDoctor.examine`."""
        # It needs much that no other operation does, and this module among it.
        from keyhier_pkcs11 import doctor  # noqa: PLC0415

        # Not within one deadline: it is many operations, and each check gets the whole time.
        return doctor.examine(self.connection, self._address, self.deadline)

    def close(self) -> None:
        """Leave the token, also for every view of the vault."""
        vault = self._vault
        if vault.closed:
            return
        vault.closed = True
        with suppress(UnavailableError):
            self.deadline.run(vault.leave)
        vault.workers.close()

    @property
    def connection(self) -> Connection:
        """The connection, for an examination."""
        return self._open_vault.connection

    @property
    def _open_vault(self) -> _OpenVault:
        if self._vault.closed:
            raise InvalidStateError("the vault is closed")
        return self._vault


@contextmanager
def _hinting(kind: type[KeyhierError], said: str, hint: str | None) -> Iterator[None]:
    """Add what the profile knows to the remedy of an error."""
    try:
        yield
    except kind as error:
        if hint is not None:
            hint = f"{said}: {hint}"
            error.remedy = f"{error.remedy}; {hint}" if error.remedy else hint
        raise


def _connection(address: TokenAddress) -> Connection:
    module = load_module(address.module_path, address.init_args)
    profile = choose_profile(module.info, address.profile)
    with _hinting(NotFoundError, "this kind of module is told", profile.init_args):
        token = _find(module, address)
    connection = connection_to(module, token)
    connection.abilities.adopt(profile)
    return connection


def _find(module: Module, address: TokenAddress) -> Token:
    """Find the token, also where the module has died since it was used last."""
    # A module that was initialised while its HSM was away does not see that it is back.
    module.fresh |= module.empty and nobody_works_with(module)
    era = module.era
    try:
        token = find_token(module, address)
    except UnavailableError as error:
        if not lost(error) or not nobody_works_with(module):
            raise
        module.restart_since(era)
        module.fresh = module.empty = True
        try:
            token = find_token(module, address)
        except NotFoundError:
            # What is away, as the module said before, is not what there is not.
            raise error from error.__cause__
    module.empty = False
    return token
