"""KekOperations: what one key version does as a KEK, without any envelope around it.

Wrapping with the public half happens here; everything else is asked of the vault. What a vault
wraps is counted where the algorithm bounds it, and opened once before it is believed.
"""

from __future__ import annotations

from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING, Any

from keyhier import rsa_wrap
from keyhier.algorithms import (
    CONTENT_KEY_BYTES,
    GCM_ALGORITHMS,
    GCM_WRAP_LIMIT,
    KeyType,
    WrapAlgorithm,
    algorithms_for,
    check_wrapped_length,
)
from keyhier.errors import CapacityError, IntegrityError, UnsupportedError, UnwrapError
from keyhier.secret import SecretBytes

if TYPE_CHECKING:
    from keyhier.driver import KeyVersion
    from keyhier.opened import OpenedVault

__all__ = ["KekOperations"]


class KekOperations:
    """The bare wraps and unwraps of one key version; whether it may be used is not asked here."""

    def __init__(self, opened: OpenedVault[Any], version: KeyVersion) -> None:
        self._opened = opened
        self._seals = count(1)
        self.update(version)
        public_key = version.public_key
        self.thumbprint = None if public_key is None else rsa_wrap.thumbprint(public_key)

    def update(self, version: KeyVersion) -> None:
        """Take what the vault says of the version now."""
        self.version = version
        safe = version.algorithms[:1] != (WrapAlgorithm.RSA1_5,)
        self._default = next(iter(version.algorithms), None) if safe else None

    # ------------------------------------------------------------------ which algorithm

    @property
    def default_algorithm(self) -> WrapAlgorithm:
        """What is used where no algorithm is named.

        Raises:
            UnsupportedError: the vault can use the key with nothing that is safe by default.
        """
        if self._default is None:
            raise UnsupportedError(f"{self.version.id}: {self._no_default()}")
        return self._default

    def _no_default(self) -> str:
        return f"it can do {self.listed()} here, and no default is safe"

    @property
    def default_reason(self) -> str | None:
        """Why the default is not the usual one for this spec, or is none; None where it is."""
        if self._default is None:
            return self._no_default()
        usual = algorithms_for(self.version.spec)[0]
        if self.version.spec.key_type is KeyType.AES or usual in self.version.algorithms:
            return None
        return f"this vault cannot unwrap with {usual}; the default is {self._default}"

    def choose(self, algorithm: WrapAlgorithm | str | None) -> WrapAlgorithm:
        """Return the algorithm that is asked for, or the default.

        Raises:
            InvalidInputError: there is no such algorithm.
            UnsupportedError: it is not for this key in this vault.
        """
        if algorithm is None:
            # What every wrap asks for, so without one more call where there is a default.
            return self._default or self.default_algorithm
        chosen = WrapAlgorithm.parse(algorithm)
        if chosen not in self.version.algorithms:
            raise UnsupportedError(
                f"{self.version.id} ({self.version.spec}) cannot be used with {chosen} here; "
                f"it can with {self.listed()}"
            )
        return chosen

    def listed(self) -> str:
        """Return the names of what the version can be used with, for a message."""
        return ", ".join(self.version.algorithms) or "nothing"

    # ------------------------------------------------------------------ wrap and unwrap

    def wrap(self, algorithm: WrapAlgorithm, plaintext: SecretBytes, aad: bytes = b"") -> bytes:
        """Wrap ``plaintext``, whose length fits.

        Raises:
            CapacityError: the key has sealed 2^32 times.
            IntegrityError: what the vault wrapped does not open again.
        """
        driver = self._opened.driver
        public_key = self.version.public_key
        if public_key is not None:
            return rsa_wrap.wrap(public_key, algorithm, plaintext)
        if algorithm in GCM_ALGORITHMS and next(self._seals) > GCM_WRAP_LIMIT:
            raise CapacityError(
                f"{self.version.id} has sealed 2^32 times, the most that {algorithm} allows",
                remedy="rotate the key",
            )
        wrapped = driver.wrap(self.version, algorithm, plaintext, aad)
        self._verify(algorithm, wrapped, plaintext, aad)
        return wrapped

    def _verify(
        self, algorithm: WrapAlgorithm, wrapped: bytes, plaintext: SecretBytes, aad: bytes
    ) -> None:
        """Open what the vault wrapped, since vaults are known that wrap what nothing opens."""
        try:
            with self._opened.driver.unwrap(self.version, algorithm, wrapped, aad) as opened:
                same = opened == plaintext
        except UnwrapError:
            same = False
        if not same:
            raise IntegrityError(
                f"what the vault wrapped with {algorithm} under {self.version.id} does not open "
                "again",
                remedy="nothing was handed out; do not use this vault for that algorithm",
            )

    def unwrap(self, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b"") -> SecretBytes:
        """Undo :meth:`wrap`.

        Raises:
            InvalidInputError: the bytes cannot be this algorithm's output, by their length.
            UnwrapError: they do not open; nothing is said about why.
        """
        size = self.version.spec.size
        check_wrapped_length(algorithm, self.version.spec, len(wrapped))
        if algorithm is not WrapAlgorithm.RSA_AES_KWP:
            return self._ask(algorithm, wrapped, aad)
        with self._ask(WrapAlgorithm.RSA_OAEP, wrapped[:size]) as transport:
            return rsa_wrap.open_transport(transport, wrapped[size:])

    def _ask(self, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b"") -> SecretBytes:
        driver = self._opened.driver
        with suppress(UnwrapError):
            return driver.unwrap(self.version, algorithm, wrapped, aad)
        # A new one, which tells nothing even where the driver's has a cause or a context.
        raise UnwrapError

    def content_key(self, algorithm: WrapAlgorithm, wrapped: bytes) -> SecretBytes:
        """Unwrap a content key, or return a random one, so that both ways end at the seal."""
        try:
            content_key = self._opened.driver.unwrap(self.version, algorithm, wrapped)
        except UnwrapError:
            return SecretBytes.random(CONTENT_KEY_BYTES)
        if len(content_key) != CONTENT_KEY_BYTES:
            content_key.wipe()
            return SecretBytes.random(CONTENT_KEY_BYTES)
        return content_key
