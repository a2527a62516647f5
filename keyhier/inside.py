"""Opening an envelope inside the vault, where that lets no content key out.

A token in FIPS mode may refuse to show any key. Then the content key becomes a key of the vault's
for a moment, which is for AES-GCM, and the vault opens the seal with it.
"""

from __future__ import annotations

from contextlib import suppress

from keyhier.algorithms import CONTENT_KEY_BYTES, WrapAlgorithm
from keyhier.driver import Driver, KeyVersion, SupportsUnwrapInto
from keyhier.errors import UnsupportedError, UnwrapError
from keyhier.secret import SecretBytes
from keyhier.wrapped import WrappedKey

__all__ = ["open_inside"]


def open_inside(
    driver: Driver, version: KeyVersion, wrapped_key: bytes, envelope: WrappedKey
) -> SecretBytes:
    """Open ``envelope`` without its content key ever being outside; the caller wipes the secret.

    Args:
        version: the key that the envelope names.
        wrapped_key: the content key as that key wrapped it.

    Raises:
        UnwrapError: it does not open; nothing is said about why.
        UnsupportedError: the vault cannot do so.
    """
    if not isinstance(driver, SupportsUnwrapInto):
        raise UnsupportedError(f"this {driver.scheme}: vault unwraps no keys into itself")
    content_key = None
    with suppress(UnwrapError):
        content_key = driver.unwrap_into(
            version, envelope.algorithm, wrapped_key, WrapAlgorithm.A256GCM, envelope.kid
        )
    if content_key is None:
        # Both ways end at the seal (promise 3).
        with SecretBytes.random(CONTENT_KEY_BYTES) as other:
            return envelope.open(other)
    sealed = envelope.iv + envelope.ciphertext + envelope.tag
    aad = envelope.protected.encode("ascii")
    try:
        with suppress(UnwrapError):
            return driver.unwrap(content_key, WrapAlgorithm.A256GCM, sealed, aad)
    finally:
        driver.discard(content_key)
    # A new one, which tells nothing even where the driver's has a cause or a context.
    raise UnwrapError
