"""One record under another key: opened, wrapped anew, opened again and compared."""

from __future__ import annotations

import hmac
import os
from collections.abc import Mapping
from typing import Final

from keyhier.errors import (
    CapacityError,
    IntegrityError,
    KeyhierError,
    ThrottledError,
    UnavailableError,
    UnwrapError,
)
from keyhier.hierarchy.context import context_of
from keyhier.hierarchy.kek_use import KekUse
from keyhier.key import Key
from keyhier.records.record import Record
from keyhier.secret import SecretBytes
from keyhier.steps import Steps
from keyhier.wrapped import WrappedKey

__all__ = ["TargetRefusedError", "rewrap"]

_DIGEST: Final = "sha256"
_KEY_BYTES: Final = 32


class TargetRefusedError(Exception):
    """The key that everything is to be wrapped under cannot be used; no other record would fare
    better.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: KeyhierError) -> None:
        super().__init__(str(reason))
        self.reason = reason


def rewrap(record: Record, source: KekUse, target: KekUse) -> Steps[WrappedKey]:
    """Return a new envelope of what is in a record: same secret, context and content type.

    The record and its store are left as they are. It pauses before and after each vault's part; in
    a pause there is no secret, whose digest under a key of its own is what is compared.

    Raises:
        IntegrityError: the record contradicts itself, or the new envelope does not hold what it
            should.
        UnwrapError: the envelope does not open.
        TargetRefusedError: the target cannot be used.
        NotFoundError, InvalidStateError, UnavailableError, …: as :meth:`Key.unwrap` of the source.
    """
    context = context_of(record)
    before = record.wrapped
    digest_key = os.urandom(_KEY_BYTES)
    secret = yield from _open(source, before, context)
    try:
        with secret:
            digest = hmac.digest(digest_key, secret.view(), _DIGEST)
            made = target.wrap(secret, context=context, content_type=before.content_type)
        with (yield from _open(target, made, context)) as again:
            same = hmac.compare_digest(digest, hmac.digest(digest_key, again.view(), _DIGEST))
    except UnwrapError:
        same = False
    except (CapacityError, IntegrityError, ThrottledError, UnavailableError):
        raise
    except KeyhierError as reason:
        raise TargetRefusedError(reason) from None
    if not same:
        raise IntegrityError(f"what {target.id} wrapped for record {record.id} does not open again")
    return made


def _open(kek: KekUse, envelope: WrappedKey, context: Mapping[str, str]) -> Steps[SecretBytes]:
    # A KEK in a record is lent for one operation, and one that moved is its vault's to find.
    if isinstance(kek, Key):
        return (yield from kek.unwrap_in_steps(envelope, context=context))
    return kek.unwrap(envelope, context=context)
