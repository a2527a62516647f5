"""KekOperations: what one key version does as a KEK, without any envelope around it.

Wrapping with the public half happens here; everything else is asked of the vault. What a vault
wraps is counted where the algorithm bounds it, and opened once before it is believed.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
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
from keyhier.errors import (
    CapacityError,
    IntegrityError,
    InvalidStateError,
    UnsupportedError,
    UnwrapError,
)
from keyhier.inside import open_inside
from keyhier.secret import SecretBytes

if TYPE_CHECKING:
    from keyhier.driver import Driver, KeyVersion
    from keyhier.opened import OpenedVault
    from keyhier.wrapped import WrappedKey

__all__ = ["KekOperations"]


class KekOperations:
    """The bare wraps and unwraps of one key version, and whether it may be used.

    Attributes:
        version: what the vault said of it last.
        deleted: whether it was deleted through this vault object.
        thumbprint: the RFC 7638 thumbprint of an RSA key, or None.
    """

    def __init__(self, opened: OpenedVault[Any], version: KeyVersion) -> None:
        self._opened = opened
        self._seals = count(1)
        self.update(version)
        public_key = version.public_key
        self.thumbprint = None if public_key is None else rsa_wrap.thumbprint(public_key)

    def update(self, version: KeyVersion) -> None:
        """Take what the vault says of the version now."""
        self.version = version
        # What the vault describes is there, also if it was deleted and has been recovered.
        self.deleted = False
        times = (version.fresh_until, version.not_before, version.expires)
        self._timeless = version.enabled and times == (None, None, None)
        safe = version.algorithms[:1] != (WrapAlgorithm.RSA1_5,)
        self._default = next(iter(version.algorithms), None) if safe else None

    def refresh(self) -> None:
        """Ask the vault again how the version is.

        Raises:
            NotFoundError: it is gone.
        """
        key_id = self.version.id
        self.update(self._opened.driver.get_key(key_id.name, key_id.version))

    # ------------------------------------------------------------------ whether it may be used

    def require_usable(self) -> None:
        """Raise if the version does nothing at all.

        Raises:
            InvalidStateError: the vault was closed, or the version deleted or disabled.
        """
        self._opened.require_open()
        if self.deleted:
            raise InvalidStateError(f"{self.version.id} was deleted")
        if not self.version.enabled:
            raise InvalidStateError(
                f"{self.version.id} is disabled", remedy="enable it, or use another"
            )

    def require_wrapping(self) -> None:
        """Raise if the version is not to wrap; what is known for a time only is asked anew.

        Raises:
            InvalidStateError: as :meth:`require_usable`, or it has expired or is not valid yet.
            NotFoundError: it is gone.
        """
        if self._timeless:
            self._opened.require_open()
            if not self.deleted:
                return
        self.require_usable()
        fresh_until = self.version.fresh_until
        if fresh_until is not None and time.monotonic() >= fresh_until:
            self.refresh()
            self.require_usable()
        now = datetime.now(UTC)
        not_before, expires = self.version.not_before, self.version.expires
        if not_before is not None and now < not_before:
            raise InvalidStateError(
                f"{self.version.id} is not valid before {not_before.isoformat()}",
                remedy="use another version until then; it unwraps already",
            )
        if expires is not None and now >= expires:
            raise InvalidStateError(
                f"{self.version.id} expired at {expires.isoformat()}",
                remedy="rotate the key; the version still unwraps what it wrapped",
            )

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

    def wrap(
        self,
        algorithm: WrapAlgorithm,
        plaintext: SecretBytes,
        aad: bytes = b"",
        timeout: float | None = None,
    ) -> bytes:
        """Wrap ``plaintext``, whose length fits.

        Raises:
            CapacityError: the key has sealed 2^32 times.
            IntegrityError: what the vault wrapped does not open again.
        """
        driver = self._opened.within(timeout)
        public_key = self.version.public_key
        if public_key is not None:
            return rsa_wrap.wrap(public_key, algorithm, plaintext)
        if algorithm in GCM_ALGORITHMS and next(self._seals) > GCM_WRAP_LIMIT:
            raise CapacityError(
                f"{self.version.id} has sealed 2^32 times, the most that {algorithm} allows",
                remedy="rotate the key",
            )
        wrapped = driver.wrap(self.version, algorithm, plaintext, aad)
        # Opened again at once, since vaults are known that wrap what nothing opens.
        try:
            with driver.unwrap(self.version, algorithm, wrapped, aad) as opened:
                same = opened == plaintext
        except UnwrapError:
            same = False
        if not same:
            raise IntegrityError(
                f"what the vault wrapped with {algorithm} under {self.version.id} does not open "
                "again",
                remedy="nothing was handed out; do not use this vault for that algorithm",
            )
        return wrapped

    def unwrap(
        self,
        algorithm: WrapAlgorithm,
        wrapped: bytes,
        aad: bytes = b"",
        timeout: float | None = None,
    ) -> SecretBytes:
        """Undo :meth:`wrap`.

        Raises:
            InvalidInputError: the bytes cannot be this algorithm's output, by their length.
            UnwrapError: they do not open; nothing is said about why.
        """
        size = self.version.spec.size
        check_wrapped_length(algorithm, self.version.spec, len(wrapped))
        driver = self._opened.within(timeout)
        if algorithm is not WrapAlgorithm.RSA_AES_KWP:
            return self._ask(driver, algorithm, wrapped, aad)
        with self._ask(driver, WrapAlgorithm.RSA_OAEP, wrapped[:size]) as transport:
            return rsa_wrap.open_transport(transport, wrapped[size:])

    def _ask(
        self, driver: Driver, algorithm: WrapAlgorithm, wrapped: bytes, aad: bytes = b""
    ) -> SecretBytes:
        try:
            return driver.unwrap(self.version, algorithm, wrapped, aad)
        except UnwrapError:
            pass
        # A new one, which tells nothing even where the driver's has a cause or a context.
        raise UnwrapError

    def content_key(
        self, algorithm: WrapAlgorithm, wrapped: bytes, timeout: float | None
    ) -> SecretBytes:
        """Unwrap a content key, or return a random one, so that both ways end at the seal."""
        try:
            content_key = self._opened.within(timeout).unwrap(self.version, algorithm, wrapped)
        except UnwrapError:
            return SecretBytes.random(CONTENT_KEY_BYTES)
        if len(content_key) != CONTENT_KEY_BYTES:
            content_key.wipe()
            return SecretBytes.random(CONTENT_KEY_BYTES)
        return content_key

    def open_inside(
        self, envelope: WrappedKey, wrapped: bytes, timeout: float | None
    ) -> SecretBytes:
        """Open an envelope in a vault that lets no content key out; see :mod:`keyhier.inside`.

        Args:
            wrapped: the content key as this key wrapped it.
        """
        return open_inside(self._opened.within(timeout), self.version, wrapped, envelope)
