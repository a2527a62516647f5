"""KekOperations: wraps and unwraps with the keys of a token, and keys that stay inside."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, TypeVar, cast

from pkcs11.exceptions import PKCS11Error

from keyhier.algorithms import GCM_ALGORITHMS, KeySpec, KeyType, WrapAlgorithm, algorithms_for
from keyhier.driver import KeyVersion
from keyhier.errors import (
    KeyhierError,
    NotFoundError,
    UnavailableError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.rsa_wrap import implicit_rejection
from keyhier.secret import SecretBytes
from keyhier_pkcs11 import aes, rsa
from keyhier_pkcs11.errors import clearly_lost, lost, translated
from keyhier_pkcs11.inquest import Inquest, may_be_padding
from keyhier_pkcs11.profile import Way
from keyhier_pkcs11.session_keys import SessionKey, SessionKeys

if TYPE_CHECKING:
    from pkcs11.mechanisms import Mechanism

    from keyhier.identifiers import KeyId
    from keyhier_pkcs11.binding import BoundKey
    from keyhier_pkcs11.catalogue import Catalogue
    from keyhier_pkcs11.mechanisms import KeyWrap
    from keyhier_pkcs11.objects import Identity, TokenObjects
    from keyhier_pkcs11.session import Connection

__all__ = ["KekOperations"]

_T = TypeVar("_T")


class KekOperations:
    """Uses the keys of one token, and those that were unwrapped into it."""

    def __init__(
        self,
        connection: Connection,
        objects: TokenObjects,
        catalogue: Catalogue,
    ) -> None:
        self._connection = connection
        self._objects = objects
        self._catalogue = catalogue
        self._session_keys = SessionKeys(connection, objects)

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

    def unwrap(
        self, key: KeyVersion, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        """Unwrap with a key on the token; what the token rejects is an :class:`UnwrapError`."""
        if algorithm is WrapAlgorithm.RSA1_5 and key.public_key is not None:
            return self._unwrap_pkcs1(key, wrapped, implicit_rejection(key.public_key, wrapped))
        function, operation = self._opening(key, algorithm, wrapped, aad)
        inquest = Inquest(self._connection)
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
            return self._objects.use(
                _identity(key),
                lambda bound: rsa.decrypt(bound, WrapAlgorithm.RSA1_5, wrapped),
                clearly_lost,
                keep_session=False,
            )
        except PKCS11Error as error:
            failure = error
        if may_be_padding(failure):
            return rejection
        raise translated(failure, "C_Decrypt", "unwrapping")

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
        if Inquest(self._connection).is_rejection(failure):
            raise UnwrapError
        raise translated(failure, "C_UnwrapKey", "unwrapping")

    def discard(self, key: KeyVersion) -> None:
        """Destroy what :meth:`unwrap_into` made; doing so twice is harmless."""
        self._session_keys.discard(cast("SessionKey", key.handle))

    def close(self) -> None:
        """Destroy all that :meth:`unwrap_into` made."""
        self._session_keys.close()

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
        rsa_key = algorithm.key_type is KeyType.RSA
        if rsa_key and self._catalogue.way_of(_identity(key)) is not Way.UNWRAP:
            return "C_Decrypt", lambda bound: rsa.decrypt(bound, algorithm, wrapped)
        private = self._connection.logged_in
        if rsa_key:
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
            return self._session_keys.use(key.handle, operation)
        return self._objects.use(_identity(key), operation, failed)

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
            except UnsupportedError:
                # In FIPS mode it takes no sample in the clear.
                return self._works_inside(key, algorithm)
            except KeyhierError as error:
                # What names no call, such as a session that did not come free, tells of no key.
                waited = isinstance(error, UnavailableError) and error.native is None
                if waited or not self._connection.alive():
                    raise
                return False

    def _works_inside(self, key: KeyVersion, algorithm: WrapAlgorithm) -> bool:
        if algorithm in GCM_ALGORITHMS:
            return False
        mechanism, private = self._key_wrap(algorithm).mechanism, self._connection.logged_in
        try:
            self._use(key, lambda bound: aes.wrap_inside(bound, mechanism, private=private))
        except PKCS11Error as error:
            if not self._connection.alive():
                raise translated(error, "C_WrapKey", "trying the key") from error
            return False
        return True

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


def _identity(key: KeyVersion) -> Identity:
    return cast("Identity", key.handle)
