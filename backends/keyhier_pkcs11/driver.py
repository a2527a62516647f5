"""The driver: one vault open on a PKCS#11 token."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, cast

from pkcs11.constants import Attribute, ObjectClass
from pkcs11.exceptions import PKCS11Error

from keyhier.algorithms import GCM_ALGORITHMS, KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.driver import CreateKey, ImportKey, KeyVersion
from keyhier.errors import (
    AuthenticationError,
    IntegrityError,
    InvalidStateError,
    KeyhierError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.identifiers import KeyId
from keyhier.rsa_wrap import implicit_rejection
from keyhier.secret import SecretBytes
from keyhier_pkcs11 import aes, rsa
from keyhier_pkcs11.deadline import Deadline, within_deadline
from keyhier_pkcs11.errors import (
    REJECTED,
    STALE_HANDLE,
    ambiguous,
    clearly_lost,
    lost,
    not_permitted,
    translated,
    unknown,
)
from keyhier_pkcs11.keys import (
    Purpose,
    check_public_half,
    latest_of_each,
    purpose_of,
    select,
    versions_of,
)
from keyhier_pkcs11.making import KeyMaker
from keyhier_pkcs11.module import load_module
from keyhier_pkcs11.objects import Identity, KeyObject, TokenObjects
from keyhier_pkcs11.profile import Way, choose_profile
from keyhier_pkcs11.session import connection_to, find_token
from keyhier_pkcs11.session_keys import SessionKey, SessionKeys

if TYPE_CHECKING:
    from pkcs11.mechanisms import Mechanism

    from keyhier.doctor import Finding
    from keyhier_pkcs11.address import TokenAddress
    from keyhier_pkcs11.binding import BoundKey
    from keyhier_pkcs11.login import Login
    from keyhier_pkcs11.mechanisms import KeyWrap
    from keyhier_pkcs11.session import Connection

__all__ = ["Pkcs11Driver"]

_T = TypeVar("_T")

# NSS gives at most 65,536.
_RANDOM_BYTES_AT_ONCE: Final = 32 * 1024


class Pkcs11Driver:
    """One open token; shares its login with every other vault of the process on that token."""

    def __init__(
        self, connection: Connection, address: TokenAddress, deadline: Deadline | None
    ) -> None:
        """Make the driver of a connection that it has yet to join; :meth:`open` is the way in."""
        self.deadline = deadline
        self._shared = connection
        self._address = address
        self._objects = TokenObjects(connection)
        self._maker = KeyMaker(connection, self._objects)
        self._session_keys = SessionKeys(connection, self._objects)
        self._ways: dict[Identity, Way | None] = {}
        self._closed = False

    @classmethod
    def open(cls, address: TokenAddress) -> Pkcs11Driver:
        """Load the module, choose the token and log in; see :meth:`Backend.open`."""
        deadline = None
        if address.timeout is not None:
            deadline = Deadline(address.timeout, address.max_sessions)
        try:
            return cls._open(address, deadline)
        except BaseException:
            if deadline is not None:
                deadline.close()
            raise

    @classmethod
    def _open(cls, address: TokenAddress, deadline: Deadline | None) -> Pkcs11Driver:
        find = partial(_connection, address)
        connection = find() if deadline is None else deadline.run(find)
        driver = cls(connection, address, deadline)
        # Whoever types a PIN may take their time.
        hint = connection.abilities.profile.pin
        with (
            _hinting(AuthenticationError, "a PIN of this kind of token is", hint),
            connection.reading_pin(address.pin) as pin,
        ):
            join = partial(connection.join, driver, address.pin, pin, address.max_sessions)
            if deadline is None:
                join()
            else:
                deadline.run(join, lambda _: connection.leave(driver))
        return driver

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
        return self._connection.recovering(lambda _: self._connection.abilities.key_specs)

    @property
    @within_deadline
    def algorithms(self) -> frozenset[WrapAlgorithm]:
        """What the token can unwrap with; the first call may try with a key pair of its own."""
        return self._connection.recovering(lambda _: self._connection.abilities.algorithms)

    @within_deadline
    def get_key(self, name: str, version: str | None = None) -> KeyVersion:
        """Return a version; an empty name stands for a key of any label with that CKA_ID."""
        return self._describe(self._find(name, version))

    @within_deadline
    def list_keys(self) -> Iterator[KeyVersion]:
        """Yield the latest version of every key; objects that are no KEKs are left out."""
        return iter(self._list_keys())

    def _list_keys(self) -> list[KeyVersion]:
        listed: list[KeyVersion] = []
        found = self._open_objects.find()
        # Read once for all: a search takes time in proportion to all that is on the token.
        publics = self._objects.find(classes=[ObjectClass.PUBLIC_KEY])
        for key in latest_of_each(found):
            try:
                listed.append(self._describe(key, publics))
            except (IntegrityError, InvalidStateError, UnsupportedError):
                # One object that cannot be used does not hide the others.
                continue
        return listed

    @within_deadline
    def list_versions(self, name: str) -> Sequence[KeyVersion]:
        """Return the versions of a key; one that keyhier did not make has one."""
        found = versions_of(self._open_objects.find(label=name), name)
        return [self._describe(key) for key in found]

    @within_deadline
    def create_key(self, request: CreateKey) -> KeyVersion:
        """Generate a key on the token."""
        return self._describe(self._open_maker.create(request))

    @within_deadline
    def import_key(self, request: ImportKey) -> KeyVersion:
        """Put a key on the token that was made elsewhere; sensitive and not extractable."""
        return self._describe(self._open_maker.bring_in(request))

    @within_deadline
    def rotate_key(self, name: str) -> KeyVersion:
        """Generate a new version with the latest one's spec, algorithm and extractability."""
        return self._describe(self._open_maker.rotate(name))

    def rotate_key_for(self, name: str, tag: str) -> KeyVersion:
        """See :meth:`keyhier.driver.SupportsTaggedRotation.rotate_key_for`."""
        return self._describe(self._open_maker.rotate(name, tag))

    @within_deadline
    def wrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes = b""
    ) -> bytes:
        """Wrap with an AES key on the token."""
        private = self._connection.logged_in
        if algorithm in GCM_ALGORITHMS:
            return self._run(
                key, "C_Encrypt", "wrapping", lambda bound: aes.gcm_seal(bound, plaintext, aad)
            )
        mechanism = self._wrapping_mechanism(algorithm, len(plaintext))
        return self._run(
            key,
            "C_WrapKey",
            "wrapping",
            lambda bound: aes.wrap(bound, mechanism, plaintext, private=private),
        )

    @within_deadline
    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        """Unwrap with a key on the token; what the token rejects is an :class:`UnwrapError`."""
        if algorithm is WrapAlgorithm.RSA1_5 and key.public_key is not None:
            return self._unwrap_pkcs1(key, wrapped, implicit_rejection(key.public_key, wrapped))
        function, operation = self._opening(key, algorithm, wrapped, aad)
        inquest = _Inquest(self._connection)
        try:
            return self._use(key, operation, inquest.lost)
        except PKCS11Error as error:
            failure = error
        # Raised outside the handler, so that nothing of the cause hangs on it (promise 3).
        if inquest.is_rejection(failure):
            raise UnwrapError
        raise translated(failure, function, "unwrapping")

    def _unwrap_pkcs1(self, key: KeyVersion, wrapped: bytes, rejection: SecretBytes) -> SecretBytes:
        """Unwrap with RSA1_5, doing the same whether the padding is good or bad.

        What is answered for a bad one is there before, nothing is asked of the token afterwards,
        and the session ends either way: what differed would show by its time what failed.
        """
        try:
            return self._open_objects.use(
                _identity(key),
                lambda bound: rsa.decrypt(bound, WrapAlgorithm.RSA1_5, wrapped),
                clearly_lost,
                keep_session=False,
            )
        except PKCS11Error as error:
            failure = error
        if _may_be_padding(failure):
            return rejection
        raise translated(failure, "C_Decrypt", "unwrapping")

    @within_deadline
    def unwrap_into(
        self,
        key: KeyVersion,
        algorithm: WrapAlgorithm,
        wrapped: bytes,
        purpose: WrapAlgorithm,
        key_id: KeyId,
    ) -> KeyVersion:
        """Unwrap an AES key into an object of a session, which is never let out."""
        abilities = self._connection.abilities
        if not self._connection.recovering(lambda _: abilities.supports(purpose)):
            raise abilities.lacking(f"what {purpose} needs", purpose)
        try:
            held = self._session_keys.unwrap(key, algorithm, wrapped, purpose)
        except PKCS11Error as error:
            failure = error
        else:
            spec = next(spec for spec in KeySpec if purpose in algorithms_for(spec))
            made = KeyVersion(key_id, spec, (purpose,), handle=held)
            with ExitStack() as stack:
                stack.callback(self._session_keys.discard, held)
                if not self._works(made, purpose):
                    raise UnwrapError
                stack.pop_all()
            return made
        # Raised outside the handler, as in unwrap.
        if _Inquest(self._connection).is_rejection(failure):
            raise UnwrapError
        raise translated(failure, "C_UnwrapKey", "unwrapping")

    @within_deadline
    def discard(self, key: KeyVersion) -> None:
        """Destroy what :meth:`unwrap_into` made; doing so twice is harmless."""
        self._session_keys.discard(cast("SessionKey", key.handle))

    @within_deadline
    def set_enabled(self, key: KeyVersion, *, enabled: bool) -> KeyVersion:
        """Set or clear the usages of a version, and read them back."""
        identity = _identity(key)
        with self._connection.objects_lock:
            before = self._by_identity(identity)
            purpose = purpose_of(before)
            usages = _usages_to_change(before, purpose, enabled=enabled)
            self._change(identity, usages, enabled=enabled)
            after = self._by_identity(identity)
        if purpose.enabled(after) != enabled or (not enabled and after.usages & set(usages)):
            raise UnsupportedError("the token does not hold to the usages that it was told to set")
        return self._describe(after)

    @within_deadline
    def delete_key(self, key: KeyVersion) -> None:
        """Destroy all versions of a key that keyhier made, or the one object of another."""
        with self._connection.objects_lock:
            one = self._by_identity(_identity(key))
            doomed = [one]
            if one.version is not None:
                doomed = [
                    each
                    for each in self._objects.find(label=key.id.name, classes=[one.object_class])
                    if each.version is not None
                ]
            for each in doomed:
                try:
                    self._objects.destroy(each.identity)
                except PKCS11Error as error:
                    raise translated(error, "C_DestroyObject", "destroying the key") from error

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
            return self._connection.recovering(generate)
        except PKCS11Error as error:
            raise translated(error, "C_GenerateRandom", "random bytes") from error

    def examine(self) -> Iterator[Finding]:
        """See :meth:`SupportsDoctor.examine`."""
        # It needs much that no other operation does, and this module among it.
        from keyhier_pkcs11 import doctor  # noqa: PLC0415

        # Not within one deadline: it is many operations, and each check gets the whole time.
        return doctor.examine(self.connection, self._address, self.deadline)

    def close(self) -> None:
        """Leave the token; the last vault of the process that does logs out."""
        if self._closed:
            return
        self._closed = True
        if self.deadline is None:
            self._leave()
            return
        with suppress(UnavailableError):
            self.deadline.run(self._leave)
        self.deadline.close()

    def _leave(self) -> None:
        self._session_keys.close()
        self._shared.leave(self)

    @property
    def connection(self) -> Connection:
        """The connection, for an examination."""
        return self._connection

    @property
    def _connection(self) -> Connection:
        if self._closed:
            raise InvalidStateError("the vault is closed")
        return self._shared

    @property
    def _open_objects(self) -> TokenObjects:
        _ = self._connection
        return self._objects

    @property
    def _open_maker(self) -> KeyMaker:
        _ = self._connection
        return self._maker

    def _find(self, name: str, version: str | None) -> KeyObject:
        if version is None:
            return versions_of(self._open_objects.find(label=name), name)[-1]
        try:
            key_id = bytes.fromhex(version)
        except ValueError:
            key_id = b""
        if not key_id:
            raise NotFoundError(f"there is no key {name!r} with version {version!r}")
        found = self._open_objects.find(label=name or None, key_id=key_id)
        return select(found, name, version)

    def _by_identity(self, identity: Identity) -> KeyObject:
        object_class, key_id = identity
        found = self._objects.find(key_id=key_id, classes=[object_class])
        return select(found, "", key_id.hex())

    def _describe(self, key: KeyObject, publics: Sequence[KeyObject] | None = None) -> KeyVersion:
        """Return what a key object is as a key version.

        Args:
            publics: the public keys of the token, where they were read before.
        """
        purpose = purpose_of(key)
        if key.label is None:
            raise UnsupportedError(f"the label of the {key} is not UTF-8")
        enabled = purpose.enabled(key)
        version = key.version
        public_key = None
        if purpose.algorithm is not None:
            algorithms: tuple[WrapAlgorithm, ...] = (purpose.algorithm,)
        else:
            public_key = rsa.public_key_of(key.modulus, key.exponent)
            if publics is None:
                publics = self._objects.find(key_id=key.id, classes=[ObjectClass.PUBLIC_KEY])
            check_public_half(key, publics)
            abilities = self._connection.abilities
            way = abilities.way_for(key.usages) if enabled else None
            self._ways[key.identity] = way
            # Once, for after the token was lost the handle may mean another key.
            trials = iter([(key.handle, public_key)] if way else [])
            if way or not enabled:
                algorithms = self._connection.recovering(
                    lambda _: abilities.rsa_algorithms(next(trials, None), way)
                )
            else:
                algorithms = ()
        return KeyVersion(
            id=KeyId("pkcs11", self.vault, key.label, key.id.hex()),
            spec=purpose.spec,
            algorithms=algorithms,
            enabled=enabled,
            public_key=public_key,
            created=version.created if version else None,
            handle=key.identity,
        )

    def _wrapping_mechanism(self, algorithm: WrapAlgorithm, length: int) -> Mechanism:
        if algorithm is not WrapAlgorithm.A256KWP and length % 8:
            raise UnsupportedError(f"{algorithm} wraps multiples of 8 bytes, not {length}")
        key_wrap = self._key_wrap(algorithm)
        if not key_wrap.wraps(length):
            rfc = "RFC 5649" if algorithm is WrapAlgorithm.A256KWP else "RFC 3394"
            raise UnsupportedError(
                f"this token does not wrap {length} bytes with {algorithm} as {rfc} says",
                remedy="use an envelope (`wrap`)",
            )
        return key_wrap.mechanism

    def _key_wrap(self, algorithm: WrapAlgorithm) -> KeyWrap:
        return self._connection.recovering(lambda _: self._connection.abilities.key_wrap(algorithm))

    def _opening(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes
    ) -> tuple[str, Callable[[BoundKey], SecretBytes]]:
        """Return the PKCS#11 function that unwraps, and how to call it."""
        if algorithm in GCM_ALGORITHMS:
            return "C_Decrypt", lambda bound: aes.gcm_open(bound, wrapped, aad)
        if algorithm.key_type is KeyType.RSA and self._ways.get(_identity(key)) is not Way.UNWRAP:
            return "C_Decrypt", lambda bound: rsa.decrypt(bound, algorithm, wrapped)
        private = self._connection.logged_in
        if algorithm.key_type is KeyType.RSA:
            return "C_UnwrapKey", lambda bound: rsa.unwrap(
                bound, algorithm, wrapped, private=private
            )
        found = self._key_wrap(algorithm)
        return "C_UnwrapKey", lambda bound: aes.unwrap(
            bound, found.mechanism, wrapped, private=private, tell_length=found.tell_length
        )

    def _use(
        self,
        key: KeyVersion,
        operation: Callable[[BoundKey], _T],
        failed: Callable[[PKCS11Error | KeyhierError], bool] = lost,
    ) -> _T:
        """Run ``operation`` with a key of the token, or one that was unwrapped into it."""
        if isinstance(key.handle, SessionKey):
            _ = self._connection
            return self._session_keys.use(key.handle, operation)
        return self._open_objects.use(_identity(key), operation, failed)

    def _works(self, key: KeyVersion, algorithm: WrapAlgorithm) -> bool:
        """Whether a key that was unwrapped is one for AES: tokens take other lengths unseen."""
        with SecretBytes.random(16) as sample:
            try:
                with self.unwrap(key, algorithm, self.wrap(key, algorithm, sample)) as opened:
                    return opened == sample
            except NotFoundError as error:
                raise UnavailableError(
                    "the token was lost while a key was unwrapped into it", remedy="try again"
                ) from error
            except KeyhierError:
                if not self._connection.alive():
                    raise
                return False

    def _run(
        self,
        key: KeyVersion,
        function: str,
        doing: str,
        operation: Callable[[BoundKey], _T],
    ) -> _T:
        try:
            return self._use(key, operation)
        except PKCS11Error as error:
            raise translated(error, function, doing) from error

    def _change(self, identity: Identity, usages: Sequence[Attribute], *, enabled: bool) -> None:
        try:
            self._objects.set_usages(identity, usages, value=enabled)
        except PKCS11Error as error:
            change = translated(error, "C_SetAttributeValue", "changing the key's usages")
            if clearly_lost(error) or unknown(error):
                raise change from error
            raise UnsupportedError(
                "the token does not let the usages of a key be changed", native=change.native
            ) from error


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


def _identity(key: KeyVersion) -> Identity:
    return cast("Identity", key.handle)


class _Inquest:
    """Finds out what a failed unwrap died of: the input, or the token.

    The token is asked for a sign of life after an ambiguous code, and once only for each.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._alive = False

    def lost(self, error: PKCS11Error | KeyhierError) -> bool:
        """Whether the token was lost, after the first attempt."""
        if not isinstance(error, PKCS11Error):
            return lost(error)
        if clearly_lost(error):
            return True
        if not ambiguous(error):
            return False
        self._alive = self._connection.alive()
        return not self._alive

    def is_rejection(self, failure: PKCS11Error) -> bool:
        """Whether the key rejected the bytes, after the last attempt."""
        return isinstance(failure, REJECTED) or (
            ambiguous(failure) and (self._alive or self._connection.alive())
        )


def _connection(address: TokenAddress) -> Connection:
    module = load_module(address.module_path, address.init_args)
    profile = choose_profile(module.info, address.profile)
    with _hinting(NotFoundError, "this kind of module is told", profile.init_args):
        token = find_token(module, address)
    connection = connection_to(module, token)
    connection.abilities.adopt(profile)
    return connection


def _may_be_padding(failure: PKCS11Error) -> bool:
    return not (
        isinstance(failure, STALE_HANDLE) or not_permitted(failure) or clearly_lost(failure)
    ) and (isinstance(failure, REJECTED) or ambiguous(failure))


def _usages_to_change(key: KeyObject, purpose: Purpose, *, enabled: bool) -> tuple[Attribute, ...]:
    if enabled:
        return purpose.usages
    if key.version is None:
        # WRAP and ENCRYPT stay on a key of others: nothing else says what it is for.
        return tuple(sorted(key.usages & {Attribute.DECRYPT, Attribute.UNWRAP}))
    return tuple(sorted(key.usages))
